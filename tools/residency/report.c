/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/residency/report.h"

#include <inttypes.h>

/* A text in quotation marks; names of files may hold anything. */
static void print_quoted(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c > 0x7e) {
            fprintf(out, "\\u%04x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

static void print_json_hit(const struct residency_report *report, const struct residency_hit *hit) {
    const struct residency_needle *needle = hit->needle;
    fprintf(
        report->out, "{\"hit\": \"%s\", \"secret\": %u, \"label\": ", residency_place_name(hit->place),
        (unsigned)needle->secret);
    print_quoted(report->out, report->needles->labels[needle->secret]);
    fprintf(
        report->out,
        ", \"form\": \"%s\", \"part\": %u, \"address\": \"%#" PRIx64 "\", \"offset\": %" PRIu64
        ", \"mapping\": \"%#" PRIx64 "-%#" PRIx64 "\", \"flags\": \"%s\", \"name\": ",
        residency_form_name((enum residency_form)needle->form), (unsigned)needle->part, hit->address,
        hit->address - hit->mapping->start, hit->mapping->start, hit->mapping->end, hit->mapping->flags);
    print_quoted(report->out, hit->mapping->name);
    fputs("}\n", report->out);
}

static void print_text_hit(const struct residency_report *report, const struct residency_hit *hit) {
    const struct residency_needle *needle = hit->needle;
    const struct residency_mapping *mapping = hit->mapping;
    fprintf(
        report->out,
        "%s: secret %u (%s), %s %u, at %#" PRIx64 ": offset %#" PRIx64 " of %" PRIx64 "-%" PRIx64 " %s %s\n",
        residency_place_name(hit->place), (unsigned)needle->secret, report->needles->labels[needle->secret],
        residency_form_name((enum residency_form)needle->form), (unsigned)needle->part, hit->address,
        hit->address - mapping->start, mapping->start, mapping->end, mapping->flags,
        mapping->name[0] == '\0' ? "anonymous" : mapping->name);
}

/* see tools/residency/report.h */
void residency_report_hit(void *context, const struct residency_hit *hit) {
    const struct residency_report *report = context;
    if (report->json) {
        print_json_hit(report, hit);
    } else {
        print_text_hit(report, hit);
    }
}

static void print_json_totals(const struct residency_report *report, const struct residency_result *result) {
    fputs("{\"totals\": true", report->out);
    for (int i = 0; i < RESIDENCY_PLACES; i++) {
        fprintf(report->out, ", \"%s\": %zu", residency_place_name((enum residency_place)i), result->hits[i]);
    }
    fprintf(
        report->out,
        ", \"secrets\": %zu, \"needles\": %zu, \"mappings\": %zu, \"bytes_scanned\": %" PRIu64
        ", \"bytes_absent\": %" PRIu64 ", \"bytes_refused\": %" PRIu64 ", \"bytes_left_out\": %" PRIu64 "}\n",
        report->needles->secrets, report->needles->count, result->mappings_scanned, result->bytes_scanned,
        result->bytes_absent, result->bytes_refused, result->bytes_left_out);
}

/* see tools/residency/report.h */
void residency_report_totals(const struct residency_report *report, const struct residency_result *result) {
    if (report->json) {
        print_json_totals(report, result);
        return;
    }
    fprintf(
        report->out,
        "%zu secrets in %zu forms; %zu mappings, %" PRIu64 " bytes scanned (%" PRIu64
        " never written, %" PRIu64 " refused by the kernel, %" PRIu64 " left out)\n",
        report->needles->secrets, report->needles->count, result->mappings_scanned, result->bytes_scanned,
        result->bytes_absent, result->bytes_refused, result->bytes_left_out);
    fprintf(
        report->out, "found: %zu outside, %zu in protected mappings, %zu in environ, %zu in argv\n",
        result->hits[RESIDENCY_OUTSIDE], result->hits[RESIDENCY_PROTECTED], result->hits[RESIDENCY_ENVIRON],
        result->hits[RESIDENCY_ARGV]);
}
