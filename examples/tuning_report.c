/* SPDX-License-Identifier: Apache-2.0 */
#include "tuning_report.h"

#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The percentiles shown: label, name in JSON, parts of a million. */
static const struct {
    const char *label, *name;
    uint64_t per_million;
} k_percentiles[] = {
    {"p50", "p50", 500000},
    {"p90", "p90", 900000},
    {"p99", "p99", 990000},
    {"p99.9", "p99_9", 999000},
};

enum { PERCENTILES = sizeof k_percentiles / sizeof k_percentiles[0] };

/* see tuning_report.h */
void tuning_report_since(
    struct ael_session_factory_stats *after, const struct ael_session_factory_stats *before) {
    after->system_key_hits -= before->system_key_hits;
    after->system_key_misses -= before->system_key_misses;
    after->system_key_stale -= before->system_key_stale;
    after->system_key_evictions -= before->system_key_evictions;
    after->intermediate_key_hits -= before->intermediate_key_hits;
    after->intermediate_key_misses -= before->intermediate_key_misses;
    after->intermediate_key_stale -= before->intermediate_key_stale;
    after->intermediate_key_evictions -= before->intermediate_key_evictions;
    after->session_hits -= before->session_hits;
    after->session_misses -= before->session_misses;
    after->session_evictions -= before->session_evictions;
    after->metastore_loads -= before->metastore_loads;
    after->metastore_loads_latest -= before->metastore_loads_latest;
    after->metastore_stores -= before->metastore_stores;
    after->kms_encrypts -= before->kms_encrypts;
    after->kms_decrypts -= before->kms_decrypts;
}

/* see tuning_report.h */
uint64_t tuning_resident_bytes(void) {
    unsigned long long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL) {
        return 0;
    }
    if (fscanf(statm, "%*u %llu", &pages) != 1) {
        pages = 0;
    }
    (void)fclose(statm);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double operations_per_second(const struct tuning_report *report) {
    return report->seconds > 0 ? (double)report->all.count / report->seconds : 0;
}

static double mean_ns(const struct histogram *histogram) {
    return histogram->count > 0 ? (double)histogram->sum_ns / (double)histogram->count : 0;
}

static const char *kms_of(const struct tuning_report *report) {
    static const char *const k_kinds[] = {"aws", "secretsmanager", "vault", "gcp", "azure", "pkcs11"};
    const char *kms = report->options->kms;
    if (kms == NULL) {
        return "random";
    }
    for (size_t i = 0; i < sizeof k_kinds / sizeof k_kinds[0]; i++) {
        if (strncmp(kms, k_kinds[i], strlen(k_kinds[i])) == 0 && kms[strlen(k_kinds[i])] == ':') {
            return k_kinds[i];
        }
    }
    return "static";
}

static const char *metastore_of(const struct tuning_report *report) {
    static const char *const k_kinds[] = {"memory", "sqlite", "postgres", "mysql", "mariadb", "dynamodb", "etcd"};
    for (size_t i = 0; i < sizeof k_kinds / sizeof k_kinds[0]; i++) {
        if (strncmp(report->options->metastore, k_kinds[i], strlen(k_kinds[i])) == 0) {
            return k_kinds[i];
        }
    }
    return "other";
}

/* The three caches under one shape. */
struct cache_row {
    const char *label, *name;
    uint64_t hits, misses, stale, evictions;
    size_t entries;
};

enum { CACHES = 3 };

static void list_caches(const struct ael_session_factory_stats *stats, struct cache_row rows[static CACHES]) {
    rows[0] = (struct cache_row){
        "sessions",
        "session",
        stats->session_hits,
        stats->session_misses,
        0,
        stats->session_evictions,
        stats->sessions_cached};
    rows[1] = (struct cache_row){
        "intermediate keys",
        "intermediate_key",
        stats->intermediate_key_hits,
        stats->intermediate_key_misses,
        stats->intermediate_key_stale,
        stats->intermediate_key_evictions,
        stats->intermediate_keys_cached};
    rows[2] = (struct cache_row){
        "system keys",
        "system_key",
        stats->system_key_hits,
        stats->system_key_misses,
        stats->system_key_stale,
        stats->system_key_evictions,
        stats->system_keys_cached};
}

static uint64_t look_ups(const struct cache_row *row) {
    return row->hits + row->misses + row->stale;
}

/* ---- as a table ---- */

static void table_settings(const struct tuning_report *report) {
    const struct tuning_options *options = report->options;
    (void)printf(
        "%" PRIu64 " operations (%" PRIu64 " encrypts, %" PRIu64 " decrypts, %" PRIu64 " %% encrypt asked), "
        "payload %" PRIu64 " bytes, records as %s\n",
        report->all.count, report->encrypts.count, report->decrypts.count, options->mix, options->payload,
        options->json_records ? "json" : "struct");
    (void)printf(
        "%" PRIu64 " threads, %" PRIu64 " partitions, metastore %s, kms %s; caches: %s, sessions %" PRIu64
        ", keys %" PRIu64 "\n\n",
        options->threads, options->partitions, metastore_of(report), kms_of(report), options->eviction_name,
        options->session_cache, options->key_cache);
}

static void table_latency(const char *label, const struct histogram *histogram) {
    (void)printf("  %-8s", label);
    for (int i = 0; i < PERCENTILES; i++) {
        (void)printf(" %11.2f", (double)histogram_percentile(histogram, k_percentiles[i].per_million) / 1000);
    }
    (void)printf(" %11.2f %11.2f\n", (double)histogram->max_ns / 1000, mean_ns(histogram) / 1000);
}

static void table_latencies(const struct tuning_report *report) {
    (void)printf("  %-8s", "us");
    for (int i = 0; i < PERCENTILES; i++) {
        (void)printf(" %11s", k_percentiles[i].label);
    }
    (void)printf(" %11s %11s\n", "max", "mean");
    table_latency("all", &report->all);
    table_latency("encrypt", &report->encrypts);
    table_latency("decrypt", &report->decrypts);
}

static void table_caches(const struct tuning_report *report) {
    struct cache_row rows[CACHES];
    list_caches(&report->stats, rows);
    (void)printf(
        "\n  %-18s %9s %11s %9s %9s %9s %9s\n", "cache", "hit rate", "hits", "misses", "stale", "evicted",
        "entries");
    for (int i = 0; i < CACHES; i++) {
        const struct cache_row *row = &rows[i];
        (void)printf("  %-18s ", row->label);
        if (look_ups(row) == 0) {
            (void)printf("%9s", "unused");
        } else {
            (void)printf("%7.2f %%", 100.0 * (double)row->hits / (double)look_ups(row));
        }
        (void)printf(
            " %11" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9zu\n", row->hits, row->misses,
            row->stale, row->evictions, row->entries);
    }
}

static void table_edges(const struct tuning_report *report) {
    const struct ael_session_factory_stats *stats = &report->stats;
    const struct ael_memory_stats *memory = &report->memory;
    (void)printf(
        "\nmetastore calls: %" PRIu64 " load, %" PRIu64 " load latest, %" PRIu64 " store; kms calls: %" PRIu64
        " encrypt, %" PRIu64 " decrypt\n",
        stats->metastore_loads, stats->metastore_loads_latest, stats->metastore_stores, stats->kms_encrypts,
        stats->kms_decrypts);
    (void)printf(
        "protected memory: level %s, backing %s, %zu bytes %s; resident %.1f MiB\n",
        ael_protection_level_name(memory->key_level), ael_backing_name(memory->backing), memory->locked_bytes,
        memory->locked ? "locked" : "NOT LOCKED", (double)report->resident_bytes / (1 << 20));
}

static void print_table(const struct tuning_report *report) {
    table_settings(report);
    (void)printf(
        "%.0f operations/s, %.1f MiB/s of payload, in %.3f ms\n\n", operations_per_second(report),
        operations_per_second(report) * (double)report->options->payload / (1 << 20), report->seconds * 1000);
    table_latencies(report);
    table_caches(report);
    table_edges(report);
    if (report->set_up_operations > 0) {
        (void)printf(
            "before the start: %" PRIu64 " encrypts, in none of these figures\n", report->set_up_operations);
    }
    if (report->mismatches > 0) {
        (void)printf(
            "FAILED: %" PRIu64 " decrypted payloads differ from what was encrypted\n", report->mismatches);
    }
}

/* ---- as JSON; every text in it is one of ours and needs no escapes ---- */

static void json_settings(const struct tuning_report *report) {
    const struct tuning_options *options = report->options;
    (void)printf(
        "{\"program\":\"performance_tuning\",\"operations\":%" PRIu64 ",\"encrypts\":%" PRIu64
        ",\"decrypts\":%" PRIu64 ",\"set_up_operations\":%" PRIu64 ",\"mismatches\":%" PRIu64,
        report->all.count, report->encrypts.count, report->decrypts.count, report->set_up_operations,
        report->mismatches);
    (void)printf(
        ",\"payload_bytes\":%" PRIu64 ",\"threads\":%" PRIu64 ",\"partitions\":%" PRIu64
        ",\"mix_percent_encrypt\":%" PRIu64 ",\"records\":\"%s\"",
        options->payload, options->threads, options->partitions, options->mix,
        options->json_records ? "json" : "struct");
    (void)printf(
        ",\"metastore\":\"%s\",\"kms\":\"%s\",\"eviction\":\"%s\",\"session_cache\":%" PRIu64
        ",\"key_cache\":%" PRIu64,
        metastore_of(report), kms_of(report), options->eviction_name, options->session_cache,
        options->key_cache);
    (void)printf(",\"seconds\":%.9f,\"ops_per_second\":%.3f", report->seconds, operations_per_second(report));
}

static void json_latency(const char *before, const struct histogram *histogram) {
    (void)printf("%s{", before);
    for (int i = 0; i < PERCENTILES; i++) {
        (void)printf(
            "\"%s\":%" PRIu64 ",", k_percentiles[i].name,
            histogram_percentile(histogram, k_percentiles[i].per_million));
    }
    (void)printf("\"max\":%" PRIu64 ",\"mean\":%.1f}", histogram->max_ns, mean_ns(histogram));
}

static void json_caches(const struct tuning_report *report) {
    struct cache_row rows[CACHES];
    list_caches(&report->stats, rows);
    (void)printf(",\"caches\":{");
    for (int i = 0; i < CACHES; i++) {
        const struct cache_row *row = &rows[i];
        (void)printf("%s\"%s\":{\"hit_rate\":", i > 0 ? "," : "", row->name);
        if (look_ups(row) == 0) {
            (void)printf("null");
        } else {
            (void)printf("%.6f", (double)row->hits / (double)look_ups(row));
        }
        (void)printf(
            ",\"hits\":%" PRIu64 ",\"misses\":%" PRIu64 ",\"stale\":%" PRIu64 ",\"evictions\":%" PRIu64
            ",\"entries\":%zu}",
            row->hits, row->misses, row->stale, row->evictions, row->entries);
    }
    (void)printf("}");
}

static void json_edges(const struct tuning_report *report) {
    const struct ael_session_factory_stats *stats = &report->stats;
    const struct ael_memory_stats *memory = &report->memory;
    (void)printf(
        ",\"metastore_calls\":{\"load\":%" PRIu64 ",\"load_latest\":%" PRIu64 ",\"store\":%" PRIu64
        "},\"kms_calls\":{\"encrypt\":%" PRIu64 ",\"decrypt\":%" PRIu64 "}",
        stats->metastore_loads, stats->metastore_loads_latest, stats->metastore_stores, stats->kms_encrypts,
        stats->kms_decrypts);
    (void)printf(
        ",\"protection_level\":\"%s\",\"backing\":\"%s\",\"locked\":%s,\"locked_bytes\":%zu"
        ",\"resident_bytes\":%" PRIu64 "}\n",
        ael_protection_level_name(memory->key_level), ael_backing_name(memory->backing),
        memory->locked ? "true" : "false", memory->locked_bytes, report->resident_bytes);
}

static void print_json(const struct tuning_report *report) {
    json_settings(report);
    json_latency(",\"latency_ns\":{\"all\":", &report->all);
    json_latency(",\"encrypt\":", &report->encrypts);
    json_latency(",\"decrypt\":", &report->decrypts);
    (void)printf("}");
    json_caches(report);
    json_edges(report);
}

/* see tuning_report.h */
int tuning_report_print(const struct tuning_report *report) {
    if (report->options->json) {
        print_json(report);
    } else {
        print_table(report);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "performance_tuning: cannot write the report\n");
        return CLI_EXIT_IO;
    }
    return CLI_EXIT_OK;
}
