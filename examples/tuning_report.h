/*
 * examples/tuning_report.h - what performance_tuning prints at the end, as a table or as one line of JSON.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_TUNING_REPORT_H
#define AEL_EXAMPLES_TUNING_REPORT_H

#include "histogram.h"
#include "tuning_options.h"

/* What was measured. */
struct tuning_report {
    const struct tuning_options *options;
    struct histogram all, encrypts, decrypts;
    double seconds; /* from the first worker's start to the last one's end */
    uint64_t set_up_operations, mismatches;
    struct ael_session_factory_stats stats; /* of the measured part alone */
    struct ael_memory_stats memory;
    uint64_t resident_bytes; /* of the process; 0 = unknown */
};

/** Leaves in after what happened since before; the counts of entries are after's. */
void tuning_report_since(
    struct ael_session_factory_stats *after, const struct ael_session_factory_stats *before);

/** Reads the process's resident memory; 0 when the kernel does not tell. */
uint64_t tuning_resident_bytes(void);

/** Prints on standard output. @return CLI_EXIT_OK; CLI_EXIT_IO. */
int tuning_report_print(const struct tuning_report *report);

#endif /* AEL_EXAMPLES_TUNING_REPORT_H */
