/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/metrics/metric_series.h"

#include "base/alloc.h"
#include "base/thread_entry.h"

#include <stdatomic.h>
#include <string.h>

enum {
    SHARDS = 16,
    PLACES = 1024,    /* for names; a power of two */
    MOST_NAMES = 768, /* beyond this a name is read anew each time */
    LINE_BYTES = 64,
};

const struct ael_metric_family_text ael_metric_families[AEL_FAMILIES] = {
    [AEL_FAMILY_OPERATION] =
        {"ael_operation_duration_seconds",
         "Time of calls that encrypt or decrypt one record.",
         {"operation", NULL},
         true},
    [AEL_FAMILY_METASTORE] =
        {"ael_metastore_call_duration_seconds", "Time of calls of a metastore.", {"metastore", "call"}, true},
    [AEL_FAMILY_KMS] = {"ael_kms_call_duration_seconds", "Time of calls of a KMS.", {"kms", "call"}, true},
    [AEL_FAMILY_KEY_LOAD] =
        {"ael_key_load_duration_seconds",
         "Time of loads that a key cache asked for, edges included.",
         {"cache", NULL},
         true},
    [AEL_FAMILY_SECRET] =
        {"ael_secret_create_duration_seconds", "Time to make a secret.", {NULL, NULL}, true},
    [AEL_FAMILY_LOOKUPS] =
        {"ael_cache_lookups_total",
         "Look-ups in a cache, by what was found first.",
         {"cache", "result"},
         false},
    [AEL_FAMILY_EVICTIONS] =
        {"ael_cache_evictions_total", "Entries that a cache dropped.", {"cache", NULL}, false},
    [AEL_FAMILY_ERRORS] =
        {"ael_errors_total", "Failures, by what was asked for and the status.", {"source", "status"}, false},
    [AEL_FAMILY_KMS_EVENTS] =
        {"ael_kms_events_total",
         "What happened beside calls of a KMS: breakers, retries, hedges.",
         {"kms", "event"},
         false},
};

const struct ael_metric_bucket ael_metric_buckets[AEL_METRIC_BUCKETS] = {
    {250, "2.5e-07"},    {500, "5e-07"},      {1000, "1e-06"},     {2500, "2.5e-06"},  {5000, "5e-06"},
    {10000, "1e-05"},    {25000, "2.5e-05"},  {50000, "5e-05"},    {100000, "0.0001"}, {250000, "0.00025"},
    {1000000, "0.001"},  {2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"}, {25000000, "0.025"},
    {50000000, "0.05"},  {100000000, "0.1"},  {250000000, "0.25"}, {1000000000, "1"},  {2500000000, "2.5"},
    {10000000000, "10"}, {INT64_MAX, "+Inf"},
};

/* A counter uses the first cell of the sum alone. Sums only, so relaxed order is enough. */
struct shard {
    _Atomic uint64_t sum;
    _Atomic uint64_t buckets[AEL_METRIC_BUCKETS];
};

struct series {
    struct series *next;
    enum ael_metric_family family;
    char labels[AEL_METRIC_LABELS][AEL_METRIC_LABEL_BYTES];
    uint8_t *shards; /* in the same memory, at the start of a cache line */
};

/* What a name stands for: a series, or none. */
struct alias {
    const char *name;
    struct series *series;
};

/* All published with release and read with acquire: who sees an entry sees its members. Never taken out again. */
static _Atomic(struct series *) g_series[AEL_FAMILIES];
static _Atomic(const struct alias *) g_places[PLACES];
static atomic_size_t g_names;   /* in places; may be a few too many */
static _Atomic uint64_t g_lost; /* a sum, relaxed */

/* ---- what a name means ---- */

struct meaning {
    enum ael_metric_family family;
    char labels[AEL_METRIC_LABELS][AEL_METRIC_LABEL_BYTES];
};

static const struct {
    const char *prefix;
    enum ael_metric_family family;
} k_prefixes[] = {
    {"ael.drr.", AEL_FAMILY_OPERATION}, {"ael.metastore.", AEL_FAMILY_METASTORE},
    {"ael.kms.", AEL_FAMILY_KMS},       {"ael.cache.", AEL_FAMILY_LOOKUPS},
    {"ael.error.", AEL_FAMILY_ERRORS},  {"secret.alloctimer", AEL_FAMILY_SECRET},
};

/* Words of ours that are clearer written out. */
static const struct {
    const char *word, *clear;
} k_words[] = {
    {"sk", "system_key"},          {"ik", "intermediate_key"},    {"loadlatest", "load_latest"},
    {"encryptkey", "encrypt_key"}, {"decryptkey", "decrypt_key"},
};

static void set_label(char label[AEL_METRIC_LABEL_BYTES], const char *text, size_t len) {
    size_t kept = len < AEL_METRIC_LABEL_BYTES ? len : AEL_METRIC_LABEL_BYTES - 1;
    memcpy(label, text, kept);
    memset(label + kept, 0, AEL_METRIC_LABEL_BYTES - kept);
}

static void make_clear(char label[AEL_METRIC_LABEL_BYTES]) {
    for (size_t i = 0; i < sizeof k_words / sizeof k_words[0]; i++) {
        if (strcmp(label, k_words[i].word) == 0) {
            set_label(label, k_words[i].clear, strlen(k_words[i].clear));
            return;
        }
    }
}

/* A cache's name ends with what happened there: those that are no look-ups have families of their own. */
static void read_event(struct meaning *meaning) {
    make_clear(meaning->labels[0]);
    const char *event = meaning->labels[1];
    if (strcmp(event, "load") == 0) {
        meaning->family = AEL_FAMILY_KEY_LOAD;
    } else if (strcmp(event, "evict") == 0) {
        meaning->family = AEL_FAMILY_EVICTIONS;
    } else {
        return;
    }
    set_label(meaning->labels[1], "", 0);
}

/* Reads what comes after the prefix: one label, or two before and after the last dot. A backend's name may have dots. */
static bool read_labels(const char *text, struct meaning *meaning) {
    const char *dot = strrchr(text, '.');
    if (meaning->family == AEL_FAMILY_SECRET || meaning->family == AEL_FAMILY_OPERATION) {
        set_label(meaning->labels[0], text, strlen(text));
        return true;
    }
    if (dot == NULL) {
        return false;
    }
    set_label(meaning->labels[0], text, (size_t)(dot - text));
    set_label(meaning->labels[1], dot + 1, strlen(dot + 1));
    make_clear(meaning->labels[1]);
    if (meaning->family == AEL_FAMILY_LOOKUPS) {
        read_event(meaning);
    }
    return true;
}

/* False for a name that is none, or none of that kind. */
static bool read_name(enum ael_metric_kind kind, const char *name, struct meaning *meaning) {
    *meaning = (struct meaning){.family = AEL_FAMILIES};
    for (size_t i = 0; i < sizeof k_prefixes / sizeof k_prefixes[0]; i++) {
        size_t len = strlen(k_prefixes[i].prefix);
        if (strncmp(name, k_prefixes[i].prefix, len) == 0) {
            meaning->family = k_prefixes[i].family;
            if (meaning->family == AEL_FAMILY_KMS && kind == AEL_METRIC_COUNTER) {
                meaning->family = AEL_FAMILY_KMS_EVENTS;
            }
            bool is_read = read_labels(name + len, meaning);
            return is_read && ael_metric_families[meaning->family].is_timer == (kind == AEL_METRIC_TIMER_NS);
        }
    }
    return false;
}

/* ---- series ---- */

static struct series *
find_series(struct series *from, const struct series *until, const struct meaning *meaning) {
    while (from != until && memcmp(from->labels, meaning->labels, sizeof from->labels) != 0) {
        from = from->next;
    }
    return from == until ? NULL : from;
}

static size_t shard_bytes(enum ael_metric_family family) {
    size_t needed = ael_metric_families[family].is_timer ? sizeof(struct shard) : sizeof(_Atomic uint64_t);
    return (needed + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}

static struct series *series_new(const struct meaning *meaning) {
    size_t bytes = SHARDS * shard_bytes(meaning->family);
    struct series *made = ael_alloc(sizeof *made + LINE_BYTES + bytes);
    if (made == NULL) {
        return NULL;
    }
    uint8_t *behind = (uint8_t *)(made + 1);
    made->shards = behind + (LINE_BYTES - (uintptr_t)behind % LINE_BYTES) % LINE_BYTES;
    made->family = meaning->family;
    memcpy(made->labels, meaning->labels, sizeof made->labels);
    return made;
}

/* Finds or makes a series. Two threads make one: what came to the list meanwhile is looked through before each try. */
static struct series *get_series(const struct meaning *meaning) {
    _Atomic(struct series *) *list = &g_series[meaning->family];
    struct series *head = atomic_load_explicit(list, memory_order_acquire);
    struct series *found = find_series(head, NULL, meaning);
    struct series *made = found == NULL ? series_new(meaning) : NULL;
    while (found == NULL && made != NULL) {
        made->next = head;
        if (atomic_compare_exchange_weak_explicit(
                list, &head, made, memory_order_acq_rel, memory_order_acquire)) {
            return made;
        }
        found = find_series(head, made->next, meaning);
    }
    ael_free(made);
    return found;
}

/* ---- names ---- */

static size_t place_of(const char *name) {
    uint64_t mixed = (uint64_t)(uintptr_t)name * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 54) % PLACES;
}

static const struct alias *find_alias(const char *name) {
    for (size_t i = place_of(name);; i = (i + 1) % PLACES) {
        const struct alias *alias = atomic_load_explicit(&g_places[i], memory_order_acquire);
        if (alias == NULL || alias->name == name) {
            return alias;
        }
    }
}

/* Notes what a name stands for. Without memory, or when there are too many names, that is found out again. */
static void note_alias(const char *name, struct series *series) {
    if (atomic_fetch_add_explicit(&g_names, 1, memory_order_relaxed) >= MOST_NAMES) {
        (void)atomic_fetch_sub_explicit(&g_names, 1, memory_order_relaxed);
        return;
    }
    struct alias *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return;
    }
    *made = (struct alias){name, series};
    for (size_t i = place_of(name);; i = (i + 1) % PLACES) {
        const struct alias *there = NULL;
        if (atomic_compare_exchange_strong_explicit(
                &g_places[i], &there, made, memory_order_acq_rel, memory_order_acquire)) {
            return;
        }
        if (there->name == name) { /* another thread was faster */
            ael_free(made);
            return;
        }
    }
}

/* The first time that this name is seen. False for want of memory. */
static bool learn(enum ael_metric_kind kind, const char *name, struct series **series) {
    struct meaning meaning;
    *series = NULL;
    if (read_name(kind, name, &meaning)) {
        *series = get_series(&meaning);
        if (*series == NULL) {
            return false;
        }
    }
    note_alias(name, *series);
    return true;
}

/* ---- measurements ---- */

static size_t bucket_of(int64_t ns) {
    size_t low = 0;
    size_t high = AEL_METRIC_BUCKETS - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ns <= ael_metric_buckets[middle].up_to_ns) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static struct shard *shard_at(const struct series *series, size_t shard) {
    return (struct shard *)(void *)(series->shards + shard * shard_bytes(series->family));
}

static void add_to(const struct series *series, int64_t value) {
    struct shard *mine = shard_at(series, ael_thread_number() % SHARDS);
    uint64_t amount = value > 0 ? (uint64_t)value : 0; /* totals never go down */
    atomic_fetch_add_explicit(&mine->sum, amount, memory_order_relaxed);
    if (ael_metric_families[series->family].is_timer) {
        atomic_fetch_add_explicit(&mine->buckets[bucket_of(value)], 1, memory_order_relaxed);
    }
}

/* see appencryption/metrics/metric_series.h */
void ael_metric_series_add(enum ael_metric_kind kind, const char *name, int64_t value) {
    const struct alias *alias = name != NULL ? find_alias(name) : NULL;
    struct series *series = alias != NULL ? alias->series : NULL;
    if (name != NULL && alias == NULL && !learn(kind, name, &series)) {
        atomic_fetch_add_explicit(&g_lost, 1, memory_order_relaxed);
    }
    if (series != NULL) {
        add_to(series, value);
    }
}

/* see appencryption/metrics/metric_series.h */
enum ael_status ael_metric_series_prepare(void) {
    static const char *const k_timers[] = {
        "ael.drr.encrypt", "ael.drr.decrypt", "ael.cache.sk.load", "ael.cache.ik.load", "secret.alloctimer"};
    static const char *const k_counters[] = {
        "ael.cache.sk.hit",      "ael.cache.sk.miss",      "ael.cache.sk.stale",      "ael.cache.sk.evict",
        "ael.cache.ik.hit",      "ael.cache.ik.miss",      "ael.cache.ik.stale",      "ael.cache.ik.evict",
        "ael.cache.session.hit", "ael.cache.session.miss", "ael.cache.session.evict",
    };
    struct meaning meaning;
    bool done = true;
    for (size_t i = 0; i < sizeof k_timers / sizeof k_timers[0]; i++) {
        done = read_name(AEL_METRIC_TIMER_NS, k_timers[i], &meaning) && get_series(&meaning) != NULL && done;
    }
    for (size_t i = 0; i < sizeof k_counters / sizeof k_counters[0]; i++) {
        done = read_name(AEL_METRIC_COUNTER, k_counters[i], &meaning) && get_series(&meaning) != NULL && done;
    }
    return done ? AEL_OK : AEL_E_NO_MEMORY;
}

/* ---- reading ---- */

static void add_up(const struct series *series, struct ael_metric_sample *sample) {
    bool is_timer = ael_metric_families[series->family].is_timer;
    *sample = (struct ael_metric_sample){.labels = {series->labels[0], series->labels[1]}};
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = shard_at(series, i);
        sample->value += atomic_load_explicit(&shard->sum, memory_order_relaxed);
        for (size_t bucket = 0; is_timer && bucket < AEL_METRIC_BUCKETS; bucket++) {
            sample->buckets[bucket] += atomic_load_explicit(&shard->buckets[bucket], memory_order_relaxed);
        }
    }
    sample->sum_ns = sample->value;
}

/* see appencryption/metrics/metric_series.h */
bool ael_metric_series_visit(enum ael_metric_family family, ael_metric_visit_fn visit, void *context) {
    const struct series *series = atomic_load_explicit(&g_series[family], memory_order_acquire);
    for (; series != NULL; series = series->next) {
        struct ael_metric_sample sample;
        add_up(series, &sample);
        if (!visit(context, &sample)) {
            return false;
        }
    }
    return true;
}

/* see appencryption/metrics/metric_series.h */
uint64_t ael_metric_series_lost(void) {
    return atomic_load_explicit(&g_lost, memory_order_relaxed);
}
