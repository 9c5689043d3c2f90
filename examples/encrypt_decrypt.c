/*
 * encrypt_decrypt - a filter: payload on standard input, data row record (one line of JSON) on standard
 * output, or the reverse.
 *
 *     encrypt_decrypt --service orders --product shop --partition tenant-42
 *                     --metastore sqlite:keys.db --kms static:master.key encrypt <payload >record.json
 *
 * The heart is transform(): a factory, a session, one call. Around it: options, whole reads and writes, and
 * exit codes by who can do something about a failure (see k_usage).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PAYLOAD_MAX_BYTES = 64 << 20,
    RECORD_MAX_BYTES = (65 << 20) / 3 * 4, /* the payload in base64, its key and their names */
};

static const char k_usage[] =
    "Usage: encrypt_decrypt OPTIONS encrypt|decrypt\n"
    "Encrypts standard input to a data row record (a line of JSON) on standard output, or decrypts one.\n"
    "\n"
    "  --service TEXT        service id (required)\n"
    "  --product TEXT        product id (required)\n"
    "  --partition TEXT      whose record it is: a tenant, a user (required)\n"
    "  --metastore NAME      memory | sqlite:FILE (required; memory forgets its keys at the end)\n"
    "  --kms NAME            static:FILE, a file of 32 bytes or 64 hexadecimal digits; aws:KEY[,KEY...], the "
    "ARNs of\n"
    "                        keys of AWS KMS, the preferred region's first; secretsmanager:SECRET, whose "
    "value is the\n"
    "                        master key; vault:KEY, a key of Vault's Transit; gcp:projects/P/..., a key of "
    "Google\n"
    "                        Cloud KMS; azure:https://NAME.vault.azure.net/KEY, a key of Azure Key Vault; "
    "pkcs11:...,\n"
    "                        the URI of a token's key (required)\n"
    "  --region-suffix TEXT  suffix of this region's key ids\n"
    "  --verbose             tell refusals of a record apart, name ids, log to standard error\n"
    "  --help                this text\n"
    "\n"
    "Payloads are any bytes, up to 64 MiB. On failure nothing is written to standard output.\n"
    "Exit code: 0 done; 2 the command line is wrong; 3 standard input or output failed; else by the status' "
    "class:\n"
    "11 an argument, id or size is refused; 12 the record is not authentic, malformed or of another "
    "partition;\n"
    "13 a key or the key file (missing, wrong size, too open); 14 the KMS or the metastore; 15 the system.\n";

struct filter {
    struct ael_session_factory_options factory;
    const char *partition, *metastore, *kms;
    bool encrypt, help;
};

/* Stores the value of one option. */
static bool take_option(struct filter *filter, int option) {
    switch (option) {
    case 's':
        filter->factory.service = optarg;
        return true;
    case 'p':
        filter->factory.product = optarg;
        return true;
    case 'i':
        filter->partition = optarg;
        return true;
    case 'r':
        filter->factory.region_suffix = optarg;
        return true;
    case 'm':
        filter->metastore = optarg;
        return true;
    case 'k':
        filter->kms = optarg;
        return true;
    case 'v':
        filter->factory.verbose_errors = true;
        return true;
    case 'h':
        filter->help = true;
        return true;
    default:
        return false;
    }
}

/* Reads which way to go. */
static int take_direction(struct filter *filter, int count, char **words) {
    if (count == 1 && strcmp(words[0], "encrypt") == 0) {
        filter->encrypt = true;
        return CLI_EXIT_OK;
    }
    if (count == 1 && strcmp(words[0], "decrypt") == 0) {
        return CLI_EXIT_OK;
    }
    return cli_usage_error("say either encrypt or decrypt");
}

static int parse(int argc, char **argv, struct filter *filter) {
    static const struct option k_options[] = {
        {"service", required_argument, NULL, 's'},
        {"product", required_argument, NULL, 'p'},
        {"partition", required_argument, NULL, 'i'},
        {"metastore", required_argument, NULL, 'm'},
        {"kms", required_argument, NULL, 'k'},
        {"verbose", no_argument, NULL, 'v'},
        {"region-suffix", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", k_options, NULL)) != -1) {
        if (!take_option(filter, option)) {
            return cli_usage_error("an option is unknown or lacks its value");
        }
    }
    if (filter->help) {
        return CLI_EXIT_OK;
    }
    if (filter->factory.service == NULL || filter->factory.product == NULL || filter->partition == NULL ||
        filter->metastore == NULL || filter->kms == NULL) {
        return cli_usage_error("--service, --product, --partition, --metastore and --kms are required");
    }
    return take_direction(filter, argc - optind, argv + optind);
}

static void
log_to_stderr(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)context;
    (void)level;
    (void)fprintf(stderr, "%s: %s\n", component, message);
}

/* Opens the edges that the command line names. */
static enum ael_status open_edges(struct filter *filter, struct ael_error *err) {
    enum ael_status status = cli_open_kms(filter->kms, &filter->factory.kms, err);
    if (status == AEL_OK) {
        status = cli_open_metastore(filter->metastore, &filter->factory.metastore, err);
    }
    if (status == AEL_OK && filter->encrypt && strcmp(filter->metastore, "memory") == 0) {
        (void)fputs(
            "encrypt_decrypt: note: a metastore in memory forgets its keys now; nobody can decrypt this "
            "record\n",
            stderr);
    }
    return status;
}

/* The whole use of the library: a factory, a session for the partition, one call. */
static enum ael_status
transform(const struct filter *filter, struct ael_bytes in, struct ael_buf *out, struct ael_error *err) {
    struct ael_session_factory *factory = NULL;
    struct ael_session *session = NULL;

    enum ael_status status = ael_session_factory_new(&filter->factory, &factory, err);
    if (status != AEL_OK) {
        goto done;
    }
    status = ael_session_acquire(factory, filter->partition, &session, err);
    if (status != AEL_OK) {
        goto done;
    }
    if (filter->encrypt) {
        status = ael_session_encrypt_json(session, in, out, NULL, err);
    } else {
        status = ael_session_decrypt_json(session, in, out, NULL, err);
    }

done:
    ael_session_release(session);
    ael_session_factory_free(factory);
    return status;
}

/* Reads, transforms, writes; the buffers may hold plaintext, and clearing wipes them. */
static int run(struct filter *filter) {
    struct ael_error err = {0};
    struct ael_buf in = AEL_BUF_INIT;
    struct ael_buf out = AEL_BUF_INIT;
    in.max = filter->encrypt ? PAYLOAD_MAX_BYTES : RECORD_MAX_BYTES;

    int result = cli_read_all(STDIN_FILENO, &in);
    if (result != CLI_EXIT_OK) {
        goto done;
    }
    enum ael_status status = open_edges(filter, &err);
    if (status == AEL_OK) {
        status = transform(filter, ael_buf_view(&in), &out, &err);
    }
    if (status != AEL_OK) {
        result = cli_fail(filter->encrypt ? "cannot encrypt" : "cannot decrypt", status, &err);
        goto done;
    }
    result = cli_write_all(STDOUT_FILENO, ael_buf_view(&out));
    if (result == CLI_EXIT_OK && filter->encrypt) {
        result = cli_write_all(STDOUT_FILENO, ael_bytes_from_text("\n"));
    }

done:
    ael_buf_clear(&out);
    ael_buf_clear(&in);
    return result;
}

/* With --verbose the log goes to standard error. */
static int set_up(const struct filter *filter) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.log = log_to_stderr;
    hooks.log_level = AEL_LOG_INFO;
    enum ael_status status = filter->factory.verbose_errors ? ael_hooks_set(&hooks) : AEL_OK;
    return status == AEL_OK ? CLI_EXIT_OK : cli_fail("cannot set the log hook", status, NULL);
}

int main(int argc, char **argv) {
    struct filter filter = {.factory = AEL_SESSION_FACTORY_OPTIONS_INIT};
    cli_set_program("encrypt_decrypt");
    (void)signal(SIGPIPE, SIG_IGN); /* a closed output is exit code 3, not a death */

    int result = parse(argc, argv, &filter);
    if (result != CLI_EXIT_OK || filter.help) {
        (void)fputs(filter.help ? k_usage : "", stdout);
        return result;
    }
    result = set_up(&filter);
    if (result == CLI_EXIT_OK) {
        result = run(&filter);
    }
    ael_metastore_release(filter.factory.metastore);
    ael_kms_release(filter.factory.kms);
    enum ael_status status = ael_shutdown(1000);
    return result == CLI_EXIT_OK && status != AEL_OK ? cli_fail("cannot shut down", status, NULL) : result;
}
