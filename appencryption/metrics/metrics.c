/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metrics.h>

#include "appencryption/metrics/metric_series.h"
#include "appencryption/metrics/metric_text.h"
#include "base/check.h"
#include "base/hooks.h"

#include <ael/memory.h>
#include <ael/version.h>
#include <string.h>

/* see ael/metrics.h */
enum ael_status ael_metrics_start(void) {
    AEL_TRY(ael_metric_series_prepare());
    return ael_hooks_observe(ael_metric_series_add);
}

/* see ael/metrics.h */
enum ael_status ael_metrics_stop(void) {
    return ael_hooks_observe(NULL);
}

/* ---- what was counted ---- */

/* One family on its way to the text. */
struct writing {
    struct ael_metric_text *text;
    const struct ael_metric_family_text *family;
};

enum { LE = AEL_METRIC_LABELS };

static void write_histogram(
    struct writing *writing,
    const struct ael_metric_sample *sample,
    struct ael_metric_label labels[AEL_METRIC_LABELS + 1]) {
    uint64_t count = 0;
    for (size_t i = 0; i < AEL_METRIC_BUCKETS; i++) {
        count += sample->buckets[i];
        labels[LE] = (struct ael_metric_label){"le", ael_metric_buckets[i].text};
        ael_metric_text_sample(
            writing->text, writing->family->name, "_bucket", labels, AEL_METRIC_LABELS + 1);
        ael_metric_text_number(writing->text, count);
    }
    ael_metric_text_sample(writing->text, writing->family->name, "_sum", labels, AEL_METRIC_LABELS);
    ael_metric_text_seconds(writing->text, sample->sum_ns);
    ael_metric_text_sample(writing->text, writing->family->name, "_count", labels, AEL_METRIC_LABELS);
    ael_metric_text_number(writing->text, count);
}

static bool write_series(void *context, const struct ael_metric_sample *sample) {
    struct writing *writing = context;
    struct ael_metric_label labels[AEL_METRIC_LABELS + 1];
    for (size_t i = 0; i < AEL_METRIC_LABELS; i++) {
        labels[i] = (struct ael_metric_label){writing->family->labels[i], sample->labels[i]};
    }
    if (writing->family->is_timer) {
        write_histogram(writing, sample, labels);
    } else {
        ael_metric_text_sample(writing->text, writing->family->name, "", labels, AEL_METRIC_LABELS);
        ael_metric_text_number(writing->text, sample->value);
    }
    return writing->text->status == AEL_OK;
}

static void write_counted(struct ael_metric_text *text) {
    for (size_t i = 0; i < AEL_FAMILIES; i++) {
        struct writing writing = {text, &ael_metric_families[i]};
        ael_metric_text_family(
            text, writing.family->name, writing.family->is_timer ? "histogram" : "counter",
            writing.family->help);
        (void)ael_metric_series_visit((enum ael_metric_family)i, write_series, &writing);
    }
}

static void write_one(
    struct ael_metric_text *text,
    const char *name,
    const char *type,
    const char *help,
    const struct ael_metric_label *label,
    uint64_t value) {
    ael_metric_text_family(text, name, type, help);
    ael_metric_text_sample(text, name, "", label, label != NULL ? 1 : 0);
    ael_metric_text_number(text, value);
}

static void write_own(struct ael_metric_text *text) {
    struct ael_metric_label version = {"version", ael_version()};
    write_one(text, "ael_build_info", "gauge", "The version of the library.", &version, 1);
    write_one(
        text, "ael_metrics_lost_total", "counter", "Measurements that were not counted for want of memory.",
        NULL, ael_metric_series_lost());
}

/* ---- figures of a struct ---- */

/* A figure of struct ael_memory_stats or struct ael_session_factory_stats. */
struct figure {
    const char *name, *type, *help;
    size_t at, size;
};

#define FIGURE(of, member, name, type, help)                                                                 \
    { name, type, help, offsetof(struct of, member), sizeof(((struct of *)0)->member) }

static uint64_t read_figure(const struct figure *figure, const void *stats) {
    const uint8_t *at = (const uint8_t *)stats + figure->at;
    if (figure->size == sizeof(uint64_t)) {
        uint64_t value = 0;
        memcpy(&value, at, sizeof value);
        return value;
    }
    uint32_t value = 0; /* a size_t of 32 bits */
    memcpy(&value, at, sizeof value);
    return value;
}

#define MEMORY(member, name, type, help) FIGURE(ael_memory_stats, member, name, type, help)

static const struct figure k_memory_figures[] = {
    MEMORY(secrets_allocated, "ael_secrets_created_total", "counter", "Secrets made since the start."),
    MEMORY(secrets_in_use, "ael_secrets", "gauge", "Secrets that are not closed."),
    MEMORY(sealed, "ael_sealed", "gauge", "Secrets and keys that are sealed."),
    MEMORY(roots, "ael_root_keys", "gauge", "Root keys: the current one and those that only open."),
    MEMORY(secret_slots, "ael_secret_slots", "gauge", "Slots for open secrets."),
    MEMORY(secret_slots_in_use, "ael_secret_slots_in_use", "gauge", "Slots with a secret that is open."),
    MEMORY(secret_slots_filled, "ael_secret_slots_filled", "gauge", "Slots that hold a secret, open or not."),
    MEMORY(scratch_slots, "ael_scratch_slots", "gauge", "Slots for the library's own operations."),
    MEMORY(scratch_slots_in_use, "ael_scratch_slots_in_use", "gauge", "Slots of operations under way."),
    MEMORY(hot_keys, "ael_hot_keys", "gauge", "Room for expanded keys that are used all the time."),
    MEMORY(hot_keys_filled, "ael_hot_keys_filled", "gauge", "Expanded keys in it."),
    MEMORY(locked_bytes, "ael_locked_bytes", "gauge", "Bytes of locked memory."),
    MEMORY(large_regions, "ael_large_secrets", "gauge", "Secrets with pages of their own."),
    MEMORY(lease_openings, "ael_lease_openings_total", "counter", "Times that leased memory was opened."),
    MEMORY(
        lease_late_closings,
        "ael_lease_late_closings_total",
        "counter",
        "Times that leased memory was shut more than a lease too late."),
    MEMORY(
        lease_failed_closings,
        "ael_lease_failed_closings_total",
        "counter",
        "Times that the system refused to shut leased memory."),
    MEMORY(rekeys, "ael_rekeys_total", "counter", "Root keys drawn since the set-up."),
    MEMORY(reseals, "ael_reseals_total", "counter", "Seals moved to the current root key."),
    MEMORY(roots_wiped, "ael_root_keys_wiped_total", "counter", "Old root keys that were wiped."),
    MEMORY(
        secret_slots_idle_wiped,
        "ael_secret_slots_idle_wiped_total",
        "counter",
        "Slots wiped because nobody came back to their secret."),
};

/* The number of a level is its strictness, so that an alert can say "below". */
static void write_level(struct ael_metric_text *text, const char *memory, enum ael_protection_level level) {
    struct ael_metric_label labels[] = {{"memory", memory}, {"level", ael_protection_level_name(level)}};
    ael_metric_text_sample(text, "ael_protection_level", "", labels, 2);
    ael_metric_text_number(text, (uint64_t)level);
}

static void write_protection(struct ael_metric_text *text, const struct ael_memory_stats *stats) {
    struct ael_metric_label backing = {"backing", ael_backing_name(stats->backing)};
    ael_metric_text_family(
        text, "ael_protection_level", "gauge",
        "The level in force: 40 strict, 35 pkey, 30 leased, 10 open, 0 not set up.");
    write_level(text, "secrets", stats->level);
    write_level(text, "keys", stats->key_level);
    write_one(text, "ael_memory_locked", "gauge", "1 when protected memory is locked.", NULL, stats->locked);
    write_one(text, "ael_memory_backing_info", "gauge", "What protected memory is made of.", &backing, 1);
}

static void write_memory(struct ael_metric_text *text) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    if (ael_memory_stats(&stats) != AEL_OK) {
        return;
    }
    for (size_t i = 0; i < sizeof k_memory_figures / sizeof k_memory_figures[0]; i++) {
        const struct figure *figure = &k_memory_figures[i];
        write_one(text, figure->name, figure->type, figure->help, NULL, read_figure(figure, &stats));
    }
    write_protection(text, &stats);
}

/* ---- factories ---- */

#define CACHE(member, cache)                                                                                 \
    {                                                                                                        \
        FIGURE(ael_session_factory_stats, member, "ael_cache_entries", "gauge", "Entries in a cache."), {    \
            {"cache", cache}, {                                                                              \
                NULL, NULL                                                                                   \
            }                                                                                                \
        }                                                                                                    \
    }
#define CALLS(member, edge, call)                                                                            \
    {                                                                                                        \
        FIGURE(                                                                                              \
            ael_session_factory_stats, member, "ael_factory_calls_total", "counter",                         \
            "Calls that a factory made to its metastore and its KMS."),                                      \
        {                                                                                                    \
            {"edge", edge}, {                                                                                \
                "call", call                                                                                 \
            }                                                                                                \
        }                                                                                                    \
    }

/* Those of one name stand together. */
static const struct factory_figure {
    struct figure figure;
    struct ael_metric_label labels[2];
} k_factory_figures[] = {
    CACHE(sessions_cached, "session"),
    CACHE(intermediate_keys_cached, "intermediate_key"),
    CACHE(system_keys_cached, "system_key"),
    CALLS(metastore_loads, "metastore", "load"),
    CALLS(metastore_loads_latest, "metastore", "load_latest"),
    CALLS(metastore_stores, "metastore", "store"),
    CALLS(kms_encrypts, "kms", "encrypt_key"),
    CALLS(kms_decrypts, "kms", "decrypt_key"),
};

static void write_factory_figure(
    struct ael_metric_text *text,
    const struct factory_figure *row,
    const struct ael_metrics_factory *factory) {
    struct ael_session_factory_stats stats = {.size = sizeof stats};
    struct ael_metric_label labels[] = {{"factory", factory->name}, row->labels[0], row->labels[1]};
    if (ael_session_factory_stats(factory->factory, &stats) != AEL_OK) {
        return;
    }
    ael_metric_text_sample(text, row->figure.name, "", labels, sizeof labels / sizeof labels[0]);
    ael_metric_text_number(text, read_figure(&row->figure, &stats));
}

static void
write_factories(struct ael_metric_text *text, const struct ael_metrics_factory *factories, size_t count) {
    const char *last = "";
    for (size_t i = 0; count > 0 && i < sizeof k_factory_figures / sizeof k_factory_figures[0]; i++) {
        const struct factory_figure *row = &k_factory_figures[i];
        if (strcmp(row->figure.name, last) != 0) {
            ael_metric_text_family(text, row->figure.name, row->figure.type, row->figure.help);
            last = row->figure.name;
        }
        for (size_t j = 0; j < count; j++) {
            write_factory_figure(text, row, &factories[j]);
        }
    }
}

static bool factories_are_valid(const struct ael_metrics_factory *factories, size_t count) {
    bool valid = factories != NULL || count == 0;
    for (size_t i = 0; valid && i < count; i++) {
        valid = factories[i].name != NULL && factories[i].factory != NULL;
        for (size_t j = 0; valid && j < i; j++) {
            valid = strcmp(factories[i].name, factories[j].name) != 0;
        }
    }
    return valid;
}

/* see ael/metrics.h */
enum ael_status ael_metrics_write_to(
    const struct ael_metrics_factory *factories, size_t count, ael_metrics_write_fn write, void *context) {
    struct ael_metric_text text;
    if (write == NULL || !factories_are_valid(factories, count)) {
        return AEL_E_ARGUMENT;
    }
    ael_metric_text_begin(&text, write, context);
    write_own(&text);
    write_counted(&text);
    write_memory(&text);
    write_factories(&text, factories, count);
    return ael_metric_text_end(&text);
}

static enum ael_status append(void *context, struct ael_bytes text) {
    return ael_buf_append(context, text);
}

/* see ael/metrics.h */
enum ael_status
ael_metrics_write(const struct ael_metrics_factory *factories, size_t count, struct ael_buf *out) {
    if (out == NULL) {
        return AEL_E_ARGUMENT;
    }
    out->len = 0;
    enum ael_status status = ael_metrics_write_to(factories, count, append, out);
    if (status != AEL_OK) {
        out->len = 0;
    }
    return status;
}
