/*
 * appencryption/cache/key_flight.h - loads under way: one leader a key, any number of followers.
 *
 * The leader takes off, loads without the cache's lock, and lands with what came of it; followers wait until then with
 * their own deadline and token. All calls under the cache's lock; waiting gives it up meanwhile.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_KEY_FLIGHT_H
#define AEL_APPENCRYPTION_CACHE_KEY_FLIGHT_H

#include "appencryption/cache/cached_key.h"
#include "appencryption/cache/id_hash.h"
#include "base/sync.h"

#include <ael/call.h>

enum { AEL_FLIGHT_BUCKETS = 64 };

/* What is being loaded; the id stays the leader's and valid until it lands. */
struct ael_flight_key {
    struct ael_id_tag tag;
    struct ael_bytes id;
    int64_t created_s; /* 0 with latest */
    bool latest;
};

/* What came of a load. */
struct ael_flight_outcome {
    enum ael_status status;
    struct ael_cached_key *key; /* on AEL_OK */
    bool metastore_unreachable; /* the failure was that */
    struct ael_error error;
};

struct ael_key_flight {
    struct ael_key_flight *next;
    struct ael_flight_key key;
    struct ael_flight_outcome outcome; /* once landed; holds a reference of the key */
    struct ael_cond landed_cond;
    uint64_t leader; /* its number, base/thread_entry.h */
    uint32_t holders; /* the leader and its followers */
    bool landed;
};

/* Zero is empty. */
struct ael_flights {
    uint32_t forks; /* of the process whose flights these are */
    /* The last one that ended, for the next: memory that came and went with each load would leave a hole beside each
     * key that is loaded. */
    struct ael_key_flight *spare;
    struct ael_key_flight *buckets[AEL_FLIGHT_BUCKETS];
};

/** Finds the load of a key that is under way; NULL when there is none. In a child, those of the parent's other threads
 * are forgotten first: they will never land. */
struct ael_key_flight *ael_flights_find(struct ael_flights *flights, const struct ael_flight_key *key);

/** Begins a load. @return AEL_OK; AEL_E_NO_MEMORY. */
AEL_MUST_CHECK enum ael_status ael_flights_take_off(
    struct ael_flights *flights, const struct ael_flight_key *key, struct ael_key_flight **flight);

/** Ends a load: followers wake up with the outcome, whose key the flight acquires. The leader's hold is gone. */
void ael_flights_land(
    struct ael_flights *flights, struct ael_key_flight *flight, const struct ael_flight_outcome *outcome);

/**
 * Waits for the leader to land.
 *
 * @param outcome  receives, on AEL_OK, a copy with a reference of its own.
 * @return AEL_OK; AEL_E_TIMEOUT or AEL_E_CANCELLED (of this caller's call).
 */
AEL_MUST_CHECK enum ael_status ael_flights_follow(
    struct ael_flights *flights, struct ael_key_flight *flight, struct ael_mutex *lock, const struct ael_call *call,
    struct ael_flight_outcome *outcome);

/** Frees what is kept for the next flight; none is under way. */
void ael_flights_clear(struct ael_flights *flights);

#endif /* AEL_APPENCRYPTION_CACHE_KEY_FLIGHT_H */
