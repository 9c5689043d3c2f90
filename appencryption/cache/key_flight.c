/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/key_flight.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/thread_entry.h"

#include <string.h>

/* A token is triggered without a wake-up (it may happen in a signal handler), so it is looked at this often. */
static const int64_t k_cancel_poll_ns = 10000000;

static size_t bucket_of(const struct ael_flight_key *key) {
    return (size_t)(key->tag.hash % AEL_FLIGHT_BUCKETS);
}

static bool is_same(const struct ael_flight_key *a, const struct ael_flight_key *b) {
    return a->tag.hash == b->tag.hash && a->latest == b->latest && a->created_s == b->created_s
           && a->id.len == b->id.len && memcmp(a->id.data, b->id.data, a->id.len) == 0;
}

/* Nobody holds a flight whose leader is not here: its followers are not here either. */
static void forget_others(struct ael_key_flight **bucket) {
    while (*bucket != NULL) {
        struct ael_key_flight *flight = *bucket;
        if (flight->leader != 0 && flight->leader == ael_fork_thread()) {
            flight->holders = 1; /* it forked inside its load, and will land here too */
            bucket = &flight->next;
        } else {
            *bucket = flight->next;
            ael_free(flight);
        }
    }
}

static void forget_the_parents(struct ael_flights *flights) {
    if (flights->forks == ael_fork_count()) {
        return;
    }
    flights->forks = ael_fork_count();
    for (size_t i = 0; i < AEL_FLIGHT_BUCKETS; i++) {
        forget_others(&flights->buckets[i]);
    }
}

/* see appencryption/cache/key_flight.h */
struct ael_key_flight *ael_flights_find(struct ael_flights *flights, const struct ael_flight_key *key) {
    forget_the_parents(flights);
    struct ael_key_flight *flight = flights->buckets[bucket_of(key)];
    while (flight != NULL && !is_same(&flight->key, key)) {
        flight = flight->next;
    }
    return flight;
}

static struct ael_key_flight *take_spare(struct ael_flights *flights) {
    struct ael_key_flight *flight = flights->spare;
    flights->spare = NULL;
    if (flight != NULL) {
        memset(flight, 0, sizeof *flight);
    }
    return flight;
}

/* see appencryption/cache/key_flight.h */
enum ael_status ael_flights_take_off(
    struct ael_flights *flights, const struct ael_flight_key *key, struct ael_key_flight **flight) {
    forget_the_parents(flights);
    struct ael_key_flight *made = take_spare(flights);
    if (made == NULL) {
        made = ael_alloc(sizeof *made);
    }
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    ael_cond_init(&made->landed_cond);
    made->key = *key;
    made->holders = 1;
    made->leader = ael_thread_number();
    made->next = flights->buckets[bucket_of(key)];
    flights->buckets[bucket_of(key)] = made;
    *flight = made;
    return AEL_OK;
}

static void let_go(struct ael_flights *flights, struct ael_key_flight *flight) {
    if (--flight->holders > 0) {
        return;
    }
    ael_cached_key_release(flight->outcome.key);
    ael_free(flights->spare);
    flights->spare = flight;
}

/* see appencryption/cache/key_flight.h */
void ael_flights_land(
    struct ael_flights *flights, struct ael_key_flight *flight, const struct ael_flight_outcome *outcome) {
    forget_the_parents(flights);
    struct ael_key_flight **link = &flights->buckets[bucket_of(&flight->key)];
    while (*link != flight) {
        link = &(*link)->next;
    }
    *link = flight->next;
    flight->outcome = *outcome;
    if (outcome->key != NULL) {
        (void)ael_cached_key_acquire(outcome->key);
    }
    flight->landed = true;
    ael_cond_broadcast(&flight->landed_cond);
    let_go(flights, flight);
}

/* Waits once, until the flight lands, the call is over or it is time to look at the token. */
static enum ael_status wait_once(struct ael_key_flight *flight, struct ael_mutex *lock, const struct ael_call *call) {
    AEL_TRY(ael_call_check(call));
    int64_t until = call->deadline_ns;
    if (call->cancel != NULL) {
        int64_t poll = ael_clock_boot_ns() + k_cancel_poll_ns;
        until = poll < until ? poll : until;
    }
    enum ael_status status = ael_cond_wait_until(&flight->landed_cond, lock, until);
    bool is_over = status == AEL_E_TIMEOUT && until == call->deadline_ns && !flight->landed;
    return is_over ? AEL_E_TIMEOUT : AEL_OK;
}

/* see appencryption/cache/key_flight.h */
enum ael_status ael_flights_follow(
    struct ael_flights *flights, struct ael_key_flight *flight, struct ael_mutex *lock, const struct ael_call *call,
    struct ael_flight_outcome *outcome) {
    enum ael_status status = AEL_OK;
    flight->holders++;
    while (!flight->landed && status == AEL_OK) {
        status = wait_once(flight, lock, call);
    }
    if (status == AEL_OK) {
        *outcome = flight->outcome;
        if (outcome->key != NULL) {
            (void)ael_cached_key_acquire(outcome->key);
        }
    }
    let_go(flights, flight);
    return status;
}

/* see appencryption/cache/key_flight.h */
void ael_flights_clear(struct ael_flights *flights) {
    ael_free(flights->spare);
    flights->spare = NULL;
}
