/*
 * appencryption/key_loader.h - where the caches get their keys: from the metastore, or made new.
 *
 * A new key is handed out only after the metastore has confirmed that it is durably stored. Who loses the race to store
 * one reads the winner from the primary and uses that, if it may encrypt; else it tries again, five times, with pauses
 * of random length between.
 * Layer: appencryption. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_KEY_LOADER_H
#define AEL_APPENCRYPTION_KEY_LOADER_H

#include "appencryption/cache/key_cache.h"
#include "appencryption/edge_calls.h"

enum { AEL_KEY_ROUNDS = 5 };

/* One a factory; immutable but for what it points to. */
struct ael_key_loader {
    const struct ael_rules *rules;
    struct ael_edges *edges;
    struct ael_key_cache *system_keys;
    struct ael_bytes system_key_id;
};

/**
 * Gives the latest intermediate key of a partition, good for encrypting; makes it, and its system key, when needed.
 *
 * @param cache  where the partition's intermediate keys are kept. @param call  with a deadline.
 * @param key    receives the key; the caller releases it.
 * @return AEL_OK; AEL_E_KEY_CONTENTION; AEL_E_CLOCK; AEL_E_KEY_STALE; any of class 4 and class 5.
 */
AEL_MUST_CHECK enum ael_status ael_key_loader_latest_intermediate(
    struct ael_key_loader *loader, struct ael_key_cache *cache, struct ael_bytes id, const struct ael_call *call,
    struct ael_cached_key **key, struct ael_error *err);

/**
 * Gives the intermediate key (id, created), expired or revoked or not.
 *
 * @return AEL_OK; AEL_E_KEY_NOT_FOUND (it, or its system key); AEL_E_BACKEND_DATA (a row without a parent, or one that
 *         its parent does not open); AEL_E_KEY_STALE; any of class 4 and class 5.
 */
AEL_MUST_CHECK enum ael_status ael_key_loader_intermediate(
    struct ael_key_loader *loader, struct ael_key_cache *cache, struct ael_bytes id, int64_t created_s,
    const struct ael_call *call, struct ael_cached_key **key, struct ael_error *err);

#endif /* AEL_APPENCRYPTION_KEY_LOADER_H */
