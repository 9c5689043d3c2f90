/* SPDX-License-Identifier: Apache-2.0 */
#include "tuning_options.h"

#include "cli.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static const char k_usage[] =
    "Usage: performance_tuning [OPTIONS]\n"
    "Encrypts and decrypts with a session factory from several threads and reports what it measured.\n"
    "Without options: 256 operations of 1 KiB, one thread a CPU, LRU caches of 1000 entries.\n"
    "\n"
    "How much:\n"
    "  --operations N        operations of all threads together (256)\n"
    "  --duration S          run for S seconds instead\n"
    "  --payload BYTES       size of a payload, 0 .. 67108864 (1024)\n"
    "  --threads N           1 .. 4096 (as many as CPUs)\n"
    "  --partitions N        partitions, chosen at random for each encrypt (1)\n"
    "  --mix PERCENT         per cent of operations that encrypt; the others decrypt one of the thread's "
    "last\n"
    "                        records and compare it with what was encrypted (50)\n"
    "  --records FORM        struct | json (struct)\n"
    "With what:\n"
    "  --session-cache N     entries of the session cache, 0 = off (1000)\n"
    "  --key-cache N         entries of the system key and of the intermediate key cache, 0 = off (1000)\n"
    "  --eviction POLICY     simple | lru | lfu | slru | tinylfu (lru)\n"
    "  --metastore NAME      memory | sqlite:FILE | postgres://... | mysql://... |\n"
    "                        dynamodb://TABLE | etcd:URL,... (memory)\n"
    "  --kms NAME            static:FILE, a file of 32 bytes or 64 hexadecimal digits (a random master key "
    "in memory);\n"
    "                        aws:KEY[,KEY...], AWS KMS in one or several regions, the first one preferred: "
    "KEY is "
    "the\n"
    "                        ARN of a key or alias, or REGION=ID, or REGION=alias/NAME, with "
    "@https://ENDPOINT "
    "behind\n"
    "                        it where it is not AWS' own; credentials as the environment says;\n"
    "                        secretsmanager:[REGION=]SECRET[#STAGE][@https://ENDPOINT], a name or ARN of AWS "
    "Secrets\n"
    "                        Manager, whose value is the master key;\n"
    "                        vault:[MOUNT/]KEY[@ADDRESS], a key of Vault's Transit; else by VAULT_ADDR, "
    "VAULT_TOKEN,\n"
    "                        VAULT_NAMESPACE and VAULT_CACERT;\n"
    "                        gcp:projects/P/locations/L/keyRings/R/cryptoKeys/K[@ENDPOINT], a key of Google "
    "Cloud KMS;\n"
    "                        the token as GOOGLE_APPLICATION_CREDENTIALS or the metadata server has it;\n"
    "                        azure:https://NAME.vault.azure.net/KEY[/VERSION][@RESOURCE], a key of Azure Key "
    "Vault; the\n"
    "                        token as AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or a managed "
    "identity have it;\n"
    "                        pkcs11:..., the URI of a token's key, with module-path and pin-source\n"
    "                        (and x-in-process=yes, the module in this process)\n"
    "  --protection LEVEL    strict, pkey, leased or open (leased)\n"
    "  --no-mlock            do not lock protected memory: for comparisons only, it can be swapped out\n"
    "Afterwards:\n"
    "  --record-out FILE     write one more record, of partition \"partition-0000000000\", service\n"
    "                        \"performance\", product \"tuning\", as a line of JSON\n"
    "  --hold S              stay warm and idle for S seconds, to look at the memory\n"
    "  --json                report as one line of JSON\n"
    "  --help                this text\n"
    "\n"
    "Exit code: 0 done; 1 a decrypted payload differed; 2 the command line is wrong; 3 input or output "
    "failed; else\n"
    "by the status' class: 11 caller, 12 data, 13 key or key file, 14 KMS or metastore, 15 system.\n";

enum { DEFAULT_OPERATIONS = 256, MAX_ENTRIES = 1000000000 };

/* see tuning_options.h */
void tuning_options_help(void) {
    (void)fputs(k_usage, stdout);
}

/* CPUs that this process may use, which in a container are fewer than the machine has. */
static uint64_t usable_cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 1;
    }
    int count = CPU_COUNT(&set);
    return count > 0 ? (uint64_t)count : 1;
}

static void set_defaults(struct tuning_options *options) {
    memset(options, 0, sizeof *options);
    options->payload = 1024;
    options->threads = usable_cpus();
    options->partitions = 1;
    options->mix = 50;
    options->session_cache = 1000;
    options->key_cache = 1000;
    options->eviction_name = "lru";
    options->eviction = AEL_EVICTION_LRU;
    options->metastore = "memory";
    options->protection = AEL_PROTECTION_LEASED;
}

/* One option that takes a number: its name, its range, its place. */
struct number_option {
    const char *name;
    uint64_t min, max;
    size_t offset;
};

#define NUMBER(name, min, max, member)                                                                       \
    { name, min, max, offsetof(struct tuning_options, member) }

static const struct number_option k_numbers[] = {
    NUMBER("operations", 1, UINT64_C(1000000000000), operations),
    NUMBER("duration", 1, 1000000, duration_s),
    NUMBER("payload", 0, 64 << 20, payload),
    NUMBER("threads", 1, 4096, threads),
    NUMBER("partitions", 1, MAX_ENTRIES, partitions),
    NUMBER("mix", 0, 100, mix),
    NUMBER("session-cache", 0, MAX_ENTRIES, session_cache),
    NUMBER("key-cache", 0, MAX_ENTRIES, key_cache),
    NUMBER("hold", 0, 1000000, hold_s),
};

static bool
take_number(struct tuning_options *options, const struct number_option *number, const char *text) {
    uint64_t value = 0;
    if (!cli_number(number->name, text, number->min, number->max, &value)) {
        return false;
    }
    memcpy((char *)options + number->offset, &value, sizeof value);
    return true;
}

static bool take_eviction(struct tuning_options *options, const char *text) {
    if (ael_eviction_from_text(text, &options->eviction) != AEL_OK) {
        (void)cli_usage_error("--eviction takes simple, lru, lfu, slru or tinylfu, not \"%s\"", text);
        return false;
    }
    options->eviction_name = text;
    return true;
}

static bool take_protection(struct tuning_options *options, const char *text) {
    static const enum ael_protection_level k_levels[] = {
        AEL_PROTECTION_STRICT, AEL_PROTECTION_PKEY, AEL_PROTECTION_LEASED, AEL_PROTECTION_OPEN};
    for (size_t i = 0; i < sizeof k_levels / sizeof k_levels[0]; i++) {
        if (strcmp(text, ael_protection_level_name(k_levels[i])) == 0) {
            options->protection = k_levels[i];
            return true;
        }
    }
    (void)cli_usage_error("--protection takes strict, pkey, leased or open, not \"%s\"", text);
    return false;
}

static bool take_records(struct tuning_options *options, const char *text) {
    options->json_records = strcmp(text, "json") == 0;
    if (!options->json_records && strcmp(text, "struct") != 0) {
        (void)cli_usage_error("--records takes struct or json, not \"%s\"", text);
        return false;
    }
    return true;
}

/* Stores the value of an option that takes no number. */
static bool take_word(struct tuning_options *options, int option, const char *text) {
    switch (option) {
    case 'e':
        return take_eviction(options, text);
    case 'P':
        return take_protection(options, text);
    case 'r':
        return take_records(options, text);
    case 'm':
        options->metastore = text;
        return true;
    case 'k':
        options->kms = text;
        return true;
    case 'o':
        options->record_out = text;
        return true;
    case 'l':
        options->no_mlock = true;
        return true;
    case 'j':
        options->json = true;
        return true;
    case 'h':
        options->help = true;
        return true;
    default:
        (void)cli_usage_error("an option is unknown or lacks its value");
        return false;
    }
}

enum { NUMBERS = sizeof k_numbers / sizeof k_numbers[0], FIRST_NUMBER = 1000 };

static bool take_option(struct tuning_options *options, int option, const char *text) {
    if (option >= FIRST_NUMBER) {
        return take_number(options, &k_numbers[option - FIRST_NUMBER], text);
    }
    return take_word(options, option, text);
}

static const struct option k_words[] = {
    {"eviction", required_argument, NULL, 'e'}, {"protection", required_argument, NULL, 'P'},
    {"records", required_argument, NULL, 'r'},  {"metastore", required_argument, NULL, 'm'},
    {"kms", required_argument, NULL, 'k'},      {"record-out", required_argument, NULL, 'o'},
    {"no-mlock", no_argument, NULL, 'l'},       {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
};

enum { WORDS = sizeof k_words / sizeof k_words[0] };

/* Puts both kinds of options into the one list that getopt wants. */
static void list_options(struct option list[static NUMBERS + WORDS + 1]) {
    memset(list, 0, (NUMBERS + WORDS + 1) * sizeof *list);
    for (int i = 0; i < NUMBERS; i++) {
        list[i] = (struct option){k_numbers[i].name, required_argument, NULL, FIRST_NUMBER + i};
    }
    memcpy(list + NUMBERS, k_words, sizeof k_words);
}

/* How much work: by count or by time, not both. */
static int settle_amount(struct tuning_options *options) {
    if (options->operations != 0 && options->duration_s != 0) {
        return cli_usage_error("--operations and --duration exclude each other");
    }
    if (options->operations == 0 && options->duration_s == 0) {
        options->operations = DEFAULT_OPERATIONS;
    }
    if (options->operations != 0 && options->threads > options->operations) {
        options->threads = options->operations; /* the rest would have nothing to do */
    }
    return CLI_EXIT_OK;
}

/* see tuning_options.h */
int tuning_options_parse(int argc, char **argv, struct tuning_options *options) {
    struct option list[NUMBERS + WORDS + 1];
    int option;

    set_defaults(options);
    list_options(list);
    while ((option = getopt_long(argc, argv, "", list, NULL)) != -1) {
        if (!take_option(options, option, optarg)) {
            return CLI_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        return cli_usage_error("\"%s\" is not an option", argv[optind]);
    }
    return settle_amount(options);
}
