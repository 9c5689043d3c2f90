/*
 * tools/residency/report.h - what was found, as text or as JSON, a line each: never the secret itself.
 *
 * Layer: tools.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_TOOLS_RESIDENCY_REPORT_H
#define AEL_TOOLS_RESIDENCY_REPORT_H

#include "tools/residency/scan.h"

#include <stdio.h>

struct residency_report {
    FILE *out;
    bool json;
    const struct residency_needles *needles;
};

/** Prints a hit; a residency_hit_fn, whose context is the report. */
void residency_report_hit(void *report, const struct residency_hit *hit);

/** Prints the totals. */
void residency_report_totals(const struct residency_report *report, const struct residency_result *result);

#endif /* AEL_TOOLS_RESIDENCY_REPORT_H */
