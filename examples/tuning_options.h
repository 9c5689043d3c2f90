/*
 * examples/tuning_options.h - the command line of performance_tuning.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_TUNING_OPTIONS_H
#define AEL_EXAMPLES_TUNING_OPTIONS_H

#include <ael/ael.h>

struct tuning_options {
    uint64_t operations; /* of all threads; 0 = until duration_s is over */
    uint64_t duration_s;
    uint64_t payload; /* bytes */
    uint64_t threads;
    uint64_t partitions;
    uint64_t mix;           /* per cent of operations that encrypt */
    uint64_t session_cache; /* entries; 0 = off */
    uint64_t key_cache;     /* the same, for system and for intermediate keys */
    uint64_t hold_s;
    const char *eviction_name;
    enum ael_eviction eviction;
    const char *metastore;
    const char *kms;        /* NULL = a random master key, made on the spot */
    const char *record_out; /* NULL = none */
    enum ael_protection_level protection;
    bool json_records;
    bool no_mlock;
    bool json; /* the report */
    bool help;
};

/**
 * Reads the command line over the defaults.
 * @return CLI_EXIT_OK; CLI_EXIT_USAGE after a message.
 */
int tuning_options_parse(int argc, char **argv, struct tuning_options *options);

/** Prints the help text on standard output. */
void tuning_options_help(void);

#endif /* AEL_EXAMPLES_TUNING_OPTIONS_H */
