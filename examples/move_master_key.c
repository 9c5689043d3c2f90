/*
 * move_master_key - moves all system keys of a metastore from one KMS to another, while services go on.
 *
 *     move_master_key --metastore sqlite:keys.db --from static:old.key --to aws:arn:aws:kms:... --dry-run
 *     move_master_key --metastore sqlite:keys.db --from static:old.key --to aws:arn:aws:kms:...
 *
 * Before, every service must decrypt with both (ael_kms_chain_new); afterwards, when a dry run counts nothing to move,
 * each may be given the new one alone. It may be killed and run again at any time: what is done stays done.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char k_usage[] =
    "Usage: move_master_key OPTIONS\n"
    "Moves the system keys of a metastore from one KMS to another. Records and intermediate keys stay.\n"
    "\n"
    "  --metastore NAME      sqlite:FILE | postgres://... | mysql://... | dynamodb://TABLE |\n"
    "                        etcd:URL,... (required)\n"
    "  --from NAME           the KMS that the keys are under: static:FILE | aws:KEY[,KEY...] |\n"
    "                        secretsmanager:SECRET | vault:KEY | gcp:projects/P/... |\n"
    "                        azure:https://NAME.vault.azure.net/KEY | pkcs11:... (required)\n"
    "  --to NAME             the KMS that they shall be under; the same key with more regions is fine "
    "(required)\n"
    "  --service TEXT        with --product: this service's keys only, those with an AWS region's suffix "
    "included;\n"
    "                        with another suffix give PRODUCT_SUFFIX, too\n"
    "  --product TEXT\n"
    "  --timeout-ms NUMBER   for the listing and for each key (30000)\n"
    "  --dry-run             do everything but write\n"
    "  --verbose             a line for each key, not only for those that failed\n"
    "  --help                this text\n"
    "\n"
    "Prints \"moved M, already A, gone G, failed F of N\" on standard output. Run it again after a failure: "
    "what "
    "is\n"
    "under the new KMS is not written again.\n"
    "Exit code: 0 nothing failed; 2 the command line is wrong; else by the class of the first failure:\n"
    "11 an argument is refused; 13 a key or the key file; 14 the KMS or the metastore; 15 the system.\n";

struct mover {
    struct ael_rewrap_options options;
    const char *metastore, *from, *to;
    uint64_t timeout_ms;
    bool verbose, help;
};

/* Stores the value of one option. */
static bool take_option(struct mover *mover, int option) {
    switch (option) {
    case 'm':
        mover->metastore = optarg;
        return true;
    case 'f':
        mover->from = optarg;
        return true;
    case 't':
        mover->to = optarg;
        return true;
    case 's':
        mover->options.service = optarg;
        return true;
    case 'p':
        mover->options.product = optarg;
        return true;
    case 'w':
        return cli_number("timeout-ms", optarg, 1, 3600000, &mover->timeout_ms);
    case 'd':
        mover->options.dry_run = true;
        return true;
    case 'v':
        mover->verbose = true;
        return true;
    case 'h':
        mover->help = true;
        return true;
    default:
        return false;
    }
}

static int parse(int argc, char **argv, struct mover *mover) {
    static const struct option k_options[] = {
        {"metastore", required_argument, NULL, 'm'},
        {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 't'},
        {"service", required_argument, NULL, 's'},
        {"product", required_argument, NULL, 'p'},
        {"timeout-ms", required_argument, NULL, 'w'},
        {"dry-run", no_argument, NULL, 'd'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", k_options, NULL)) != -1) {
        if (!take_option(mover, option)) {
            return CLI_EXIT_USAGE;
        }
    }
    if (mover->help) {
        return CLI_EXIT_OK;
    }
    if (optind != argc || mover->metastore == NULL || mover->from == NULL || mover->to == NULL) {
        return cli_usage_error("give --metastore, --from and --to, and nothing beside options");
    }
    mover->options.step_timeout_ms = (uint32_t)mover->timeout_ms;
    return CLI_EXIT_OK;
}

static const char *word_of(enum ael_rewrap_outcome outcome) {
    static const char *const k_words[] = {"moved", "already there", "gone", "FAILED"};
    return k_words[outcome];
}

/* Ids are names, no secrets; they go to standard error, with the reason. */
static bool print_row(void *context, const struct ael_rewrap_row *row) {
    const struct mover *mover = context;
    if (mover->verbose || row->error != NULL) {
        (void)fprintf(
            stderr, "%.*s %" PRId64 ": %s%s%s\n", (int)row->key_id.len, (const char *)row->key_id.data,
            row->created_s, word_of(row->outcome), row->error == NULL ? "" : ": ",
            row->error == NULL ? "" : row->error->detail);
    }
    return true;
}

static int print_counts(const struct mover *mover, const struct ael_rewrap_counts *counts) {
    char line[160];
    int len = snprintf(
        line, sizeof line,
        "%s %" PRIu64 ", already %" PRIu64 ", gone %" PRIu64 ", failed %" PRIu64 " of %" PRIu64 "\n",
        mover->options.dry_run ? "would be moved" : "moved", counts->moved, counts->already, counts->gone,
        counts->failed, counts->seen);
    return cli_write_all(1, (struct ael_bytes){(const uint8_t *)line, (size_t)len});
}

static int move(struct mover *mover) {
    struct ael_rewrap_counts counts = {0};
    struct ael_error err = {0};
    mover->options.progress = print_row;
    mover->options.context = mover;
    enum ael_status status = ael_rewrap_system_keys(&mover->options, NULL, &counts, &err);
    int printed = counts.seen > 0 || status == AEL_OK ? print_counts(mover, &counts) : CLI_EXIT_OK;
    if (status == AEL_OK && counts.seen == 0) {
        (void)fprintf(stderr, "no system key was found; check --metastore, --service and --product\n");
    }
    return status == AEL_OK ? printed : cli_fail("not all keys were moved", status, &err);
}

/* SQLite would make the file, and a run over no rows looks like one that is done. */
static bool is_missing_file(const char *metastore) {
    static const char k_kind[] = "sqlite:";
    size_t len = sizeof k_kind - 1;
    return strncmp(metastore, k_kind, len) == 0 && access(metastore + len, F_OK) != 0;
}

static int open_and_move(struct mover *mover) {
    struct ael_metastore *metastore = NULL;
    struct ael_kms *from = NULL;
    struct ael_kms *to = NULL;
    struct ael_error err = {0};
    int result = CLI_EXIT_OK;
    if (is_missing_file(mover->metastore)) {
        return cli_usage_error("--metastore names a file that is not there");
    }
    enum ael_status status = cli_open_metastore(mover->metastore, &metastore, &err);
    if (status != AEL_OK) {
        result = cli_fail("cannot open the metastore", status, &err);
        goto done;
    }
    status = cli_open_kms(mover->from, &from, &err);
    if (status != AEL_OK) {
        result = cli_fail("cannot open the KMS to move from", status, &err);
        goto done;
    }
    status = cli_open_kms(mover->to, &to, &err);
    if (status != AEL_OK) {
        result = cli_fail("cannot open the KMS to move to", status, &err);
        goto done;
    }
    mover->options.metastore = metastore;
    mover->options.from = from;
    mover->options.to = to;
    result = move(mover);

done:
    ael_kms_release(to);
    ael_kms_release(from);
    ael_metastore_release(metastore);
    return result;
}

int main(int argc, char **argv) {
    struct mover mover = {.options = AEL_REWRAP_OPTIONS_INIT};
    cli_set_program("move_master_key");
    int result = parse(argc, argv, &mover);
    if (result != CLI_EXIT_OK) {
        return result;
    }
    if (mover.help) {
        return cli_write_all(1, ael_bytes_from_text(k_usage));
    }
    return open_and_move(&mover);
}
