/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/session_parts.h"

#include "base/alloc.h"
#include "base/check.h"
#include "crypto/aead.h"
#include "securememory/process.h"

#include <string.h>

static const char k_component[] = "session factory";

static enum ael_status check_options(const struct ael_session_factory_options *options, struct ael_error *err) {
    const char *problem = NULL;
    if (options == NULL) {
        problem = "options is NULL";
    } else if (options->size != sizeof *options) {
        problem = "size is not that of the options; start from AEL_SESSION_FACTORY_OPTIONS_INIT";
    } else if (options->metastore == NULL) {
        problem = "metastore is NULL";
    } else if (options->kms == NULL) {
        problem = "kms is NULL";
    }
    return problem == NULL ? AEL_OK : ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", problem);
}

static void name_counters(struct ael_session_factory *factory) {
    struct ael_cache_counters *counters = &factory->system_key_counters;
    counters->hit_name = "ael.cache.sk.hit";
    counters->miss_name = "ael.cache.sk.miss";
    counters->stale_name = "ael.cache.sk.stale";
    counters->evict_name = "ael.cache.sk.evict";
    counters->load_name = "ael.cache.sk.load";
    counters = &factory->intermediate_key_counters;
    counters->hit_name = "ael.cache.ik.hit";
    counters->miss_name = "ael.cache.ik.miss";
    counters->stale_name = "ael.cache.ik.stale";
    counters->evict_name = "ael.cache.ik.evict";
    counters->load_name = "ael.cache.ik.load";
    counters = &factory->session_counters;
    counters->hit_name = "ael.cache.session.hit";
    counters->miss_name = "ael.cache.session.miss";
    counters->stale_name = "ael.cache.session.stale";
    counters->evict_name = "ael.cache.session.evict";
}

static enum ael_status set_names(
    struct ael_session_factory *factory, const struct ael_session_factory_options *options, struct ael_error *err) {
    struct ael_naming_options names = {
        .service = options->service,
        .product = options->product,
        .suffix = options->region_suffix != NULL ? options->region_suffix
                                                 : ael_metastore_region_suffix(options->metastore),
        .accepted = options->accepted_suffixes,
        .accepted_count = options->accepted_suffix_count,
        .strict_ids = options->strict_ids,
    };
    AEL_TRY(ael_naming_init(&factory->naming, &names, err));
    enum ael_status status = ael_naming_system_key_id(&factory->naming, &factory->system_key_id);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "no memory for the key ids");
}

static enum ael_status make_caches(struct ael_session_factory *factory) {
    const struct ael_rules *rules = &factory->rules;
    AEL_TRY(ael_key_cache_new(
        rules, &rules->system_keys, rules->cache_system_keys, &factory->system_key_counters, &factory->system_keys));
    if (rules->shared_intermediate_keys) {
        AEL_TRY(ael_key_cache_new(
            rules, &rules->intermediate_keys, rules->cache_intermediate_keys, &factory->intermediate_key_counters,
            &factory->intermediate_keys));
    }
    if (rules->cache_sessions) {
        AEL_TRY(ael_session_cache_new(
            &rules->sessions, rules->session_duration_ns, &factory->session_counters, &factory->sessions));
    }
    return AEL_OK;
}

static enum ael_status set_up(
    struct ael_session_factory *factory, const struct ael_session_factory_options *options, struct ael_error *err) {
    AEL_TRY(ael_rules_from_policy(options->policy, &factory->rules, err));
    AEL_TRY(set_names(factory, options, err));
    enum ael_status status = make_caches(factory);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "the caches: %s", ael_status_text(status));
    }
    if (factory->rules.background_loads > 0) {
        status = ael_background_new(factory->rules.background_loads, &factory->background);
    }
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "loads in the background: %s", ael_status_text(status));
    }
    factory->verbose_errors = options->verbose_errors;
    factory->edges.metastore = ael_metastore_acquire(options->metastore);
    factory->edges.kms = ael_kms_acquire(options->kms);
    factory->loader = (struct ael_key_loader){
        &factory->rules, &factory->edges, factory->system_keys, ael_buf_view(&factory->system_key_id)};
    return AEL_OK;
}

/* see ael/session.h */
enum ael_status ael_session_factory_new(
    const struct ael_session_factory_options *options, struct ael_session_factory **factory,
    struct ael_error *err) {
    if (factory == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "factory is NULL");
    }
    *factory = NULL;
    AEL_TRY(check_options(options, err));
    AEL_TRY(ael_session_check_process(err));
    struct ael_session_factory *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a factory");
    }
    ael_refcount_init(&made->count);
    atomic_init(&made->closed, false);
    made->system_key_id = (struct ael_buf)AEL_BUF_INIT;
    name_counters(made);
    enum ael_status status = set_up(made, options, err);
    if (status != AEL_OK) {
        ael_session_factory_let_go(made);
        return status;
    }
    ael_aead_prepare();
    *factory = made;
    return AEL_OK;
}

/* see appencryption/session/session_parts.h */
struct ael_session_factory *ael_session_factory_hold(struct ael_session_factory *factory) {
    ael_refcount_acquire(&factory->count);
    return factory;
}

/* see appencryption/session/session_parts.h */
void ael_session_factory_let_go(struct ael_session_factory *factory) {
    if (!ael_refcount_release(&factory->count)) {
        return;
    }
    ael_background_close(factory->background);
    ael_background_release(factory->background);
    ael_session_cache_free(factory->sessions);
    ael_cached_key_sweep();
    ael_key_cache_free(factory->intermediate_keys);
    ael_key_cache_free(factory->system_keys);
    ael_naming_clear(&factory->naming);
    ael_buf_clear(&factory->system_key_id);
    ael_metastore_release(factory->edges.metastore);
    ael_kms_release(factory->edges.kms);
    ael_free(factory);
}

/* see ael/session.h */
void ael_session_factory_free(struct ael_session_factory *factory) {
    if (factory == NULL || ael_process_is_lost()) {
        return;
    }
    atomic_store_explicit(&factory->closed, true, memory_order_relaxed);
    ael_background_close(factory->background);
    if (factory->sessions != NULL) {
        ael_session_cache_close(factory->sessions);
    }
    ael_session_factory_let_go(factory);
}

static enum ael_status make_session(
    struct ael_session_factory *factory, struct ael_bytes partition, struct ael_session **session,
    struct ael_error *err) {
    struct ael_session *made = NULL;
    enum ael_status status = ael_session_new(factory, partition, &made);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "a session: %s", ael_status_text(status));
    }
    if (factory->sessions != NULL) {
        made = ael_session_cache_put(factory->sessions, partition, made);
    }
    *session = made;
    return AEL_OK;
}

/* see ael/session.h */
enum ael_status ael_session_acquire_bytes(
    struct ael_session_factory *factory, struct ael_bytes partition, struct ael_session **session,
    struct ael_error *err) {
    if (session != NULL) {
        *session = NULL;
    }
    if (factory == NULL || session == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "factory or session is NULL");
    }
    AEL_TRY(ael_session_check_process(err));
    if (atomic_load_explicit(&factory->closed, memory_order_relaxed)) {
        return ael_error_set(err, AEL_E_CLOSED, 0, k_component, "the factory was closed");
    }
    AEL_TRY(ael_naming_check_partition(&factory->naming, partition, err));
    if (factory->sessions != NULL) {
        *session = ael_session_cache_get(factory->sessions, partition);
    }
    return *session != NULL ? AEL_OK : make_session(factory, partition, session, err);
}

/* see ael/session.h */
enum ael_status ael_session_acquire(
    struct ael_session_factory *factory, const char *partition, struct ael_session **session,
    struct ael_error *err) {
    return ael_session_acquire_bytes(factory, ael_bytes_from_text(partition), session, err);
}

static uint64_t read_count(const atomic_uint_least64_t *total) {
    return atomic_load_explicit(total, memory_order_relaxed);
}

static void read_caches(const struct ael_session_factory *factory, struct ael_session_factory_stats *stats) {
    const struct ael_cache_counters *counters = &factory->system_key_counters;
    stats->system_key_hits = ael_cache_counters_hits(counters);
    stats->system_key_misses = read_count(&counters->misses);
    stats->system_key_stale = read_count(&counters->stale);
    stats->system_key_evictions = read_count(&counters->evictions);
    stats->system_keys_cached = atomic_load_explicit(&counters->cached, memory_order_relaxed);
    counters = &factory->intermediate_key_counters;
    stats->intermediate_key_hits = ael_cache_counters_hits(counters);
    stats->intermediate_key_misses = read_count(&counters->misses);
    stats->intermediate_key_stale = read_count(&counters->stale);
    stats->intermediate_key_evictions = read_count(&counters->evictions);
    stats->intermediate_keys_cached = atomic_load_explicit(&counters->cached, memory_order_relaxed);
    counters = &factory->session_counters;
    stats->session_hits = ael_cache_counters_hits(counters);
    stats->session_misses = read_count(&counters->misses);
    stats->session_evictions = read_count(&counters->evictions);
    stats->sessions_cached = atomic_load_explicit(&counters->cached, memory_order_relaxed);
    stats->session_bytes = atomic_load_explicit(&counters->bytes, memory_order_relaxed);
    counters = &factory->system_key_counters;
    stats->system_key_bytes = atomic_load_explicit(&counters->bytes, memory_order_relaxed);
    counters = &factory->intermediate_key_counters;
    stats->intermediate_key_bytes = atomic_load_explicit(&counters->bytes, memory_order_relaxed);
}

/* see ael/session.h */
enum ael_status
ael_session_factory_stats(struct ael_session_factory *factory, struct ael_session_factory_stats *stats) {
    if (factory == NULL || stats == NULL || stats->size < sizeof stats->size || stats->size > sizeof *stats) {
        return AEL_E_ARGUMENT;
    }
    struct ael_session_factory_stats now = {.size = stats->size};
    read_caches(factory, &now);
    now.metastore_loads = read_count(&factory->edges.loads);
    now.metastore_loads_latest = read_count(&factory->edges.loads_latest);
    now.metastore_stores = read_count(&factory->edges.stores);
    now.kms_encrypts = read_count(&factory->edges.encrypts);
    now.kms_decrypts = read_count(&factory->edges.decrypts);
    memcpy(stats, &now, now.size);
    return AEL_OK;
}
