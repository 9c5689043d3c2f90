/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/remote/decrypt_flights.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/hooks.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <string.h>

static const char k_component[] = "kms";

enum {
    WITH_TOKEN_MS = 20, /* a cancel token wakes nobody: look at it this often */
    SLICE_MS = 1000,
    PRESSED_MS = 1000, /* who had less left gave up sooner than others would */
};

/* On the list until nobody holds it, so that a child has what its parent's threads left. */
struct ael_decrypt_flight {
    struct ael_decrypt_flight *next;
    struct ael_bytes encrypted; /* of who calls; not looked at when it is over */
    unsigned holders;           /* who calls, and who waits */
    bool over;
    bool left_alone; /* of before a fork: off the list, and nobody's to free */
    struct ael_cond landed;
    enum ael_status status;
    bool pressed; /* who called had no time to try again */
    struct ael_error err;
    struct ael_secret *key;
};

/* ---- around fork ---- */

/* The flights of before a fork: in reach, so that no leak checker takes them for mistakes. */
static struct ael_decrypt_flight *s_left_alone;

/* Of their threads only the one that forked is here, in a hook: one that called goes on, one that waits sees
 * that nothing came of it, and calls itself. */
static void after_fork_child(void *self) {
    struct ael_decrypt_flights *flights = self;
    while (flights->first != NULL) {
        struct ael_decrypt_flight *one = flights->first;
        flights->first = one->next;
        one->next = s_left_alone;
        s_left_alone = one;
        one->left_alone = true;
        one->holders = 1;
        if (!one->over) {
            one->status = AEL_E_CANCELLED;
            one->over = true;
        }
    }
}

/* see kms/remote/decrypt_flights.h */
enum ael_status ael_decrypt_flights_init(struct ael_decrypt_flights *flights, const char *joined) {
    AEL_TRY(ael_mutex_init(&flights->lock));
    flights->fork = (struct ael_fork_part){.child = after_fork_child, .self = flights};
    enum ael_status status = ael_fork_add(&flights->fork);
    if (status != AEL_OK) {
        ael_mutex_clear(&flights->lock);
        return status;
    }
    flights->joined = joined;
    return AEL_OK;
}

/* see kms/remote/decrypt_flights.h */
void ael_decrypt_flights_clear(struct ael_decrypt_flights *flights) {
    if (flights->joined != NULL) {
        ael_fork_remove(&flights->fork);
        ael_mutex_clear(&flights->lock);
        flights->joined = NULL;
    }
}

/* ---- with the lock held ---- */

static struct ael_decrypt_flight *find(struct ael_decrypt_flights *flights, struct ael_bytes encrypted) {
    struct ael_decrypt_flight *one = flights->first;
    while (one != NULL && (one->over || one->encrypted.len != encrypted.len ||
                           memcmp(one->encrypted.data, encrypted.data, encrypted.len) != 0)) {
        one = one->next;
    }
    return one;
}

static struct ael_decrypt_flight *begin(struct ael_decrypt_flights *flights, struct ael_bytes encrypted) {
    struct ael_decrypt_flight *made = ael_alloc(sizeof *made);
    if (made != NULL) {
        made->encrypted = encrypted;
        ael_cond_init(&made->landed);
        made->next = flights->first;
        flights->first = made;
    }
    return made;
}

/* True: it is nobody's any more, and off the list. */
static bool drop(struct ael_decrypt_flights *flights, struct ael_decrypt_flight *flight) {
    struct ael_decrypt_flight **at = &flights->first;
    if (flight->left_alone || --flight->holders > 0) {
        return false;
    }
    while (*at != flight) {
        at = &(*at)->next;
    }
    *at = flight->next;
    return true;
}

static enum ael_status wait_until_over(
    struct ael_decrypt_flights *flights, struct ael_decrypt_flight *flight, const struct ael_call *call) {
    uint32_t slice_ms = call->cancel != NULL ? WITH_TOKEN_MS : SLICE_MS;
    while (!flight->over) {
        AEL_TRY(ael_call_check(call));
        uint32_t left_ms = ael_call_remaining_ms(call);
        ael_cond_wait_for(
            &flight->landed, &flights->lock, (int64_t)(left_ms < slice_ms ? left_ms : slice_ms) * 1000000);
    }
    return AEL_OK;
}

/* ---- without it ---- */

static void leave(struct ael_decrypt_flights *flights, struct ael_decrypt_flight *flight) {
    ael_mutex_lock(&flights->lock);
    bool last = drop(flights, flight);
    ael_mutex_unlock(&flights->lock);
    if (last) {
        ael_secret_release(flight->key);
        ael_free(flight);
    }
}

static enum ael_status
copy_of(struct ael_secret *key, const struct ael_call *call, struct ael_secret **copy) {
    struct ael_scratch scratch;
    size_t len = ael_secret_len(key);
    AEL_TRY(ael_scratch_begin(&scratch, call));
    enum ael_status status = ael_secret_open_into(key, scratch.bytes, AEL_SCRATCH_BYTES);
    if (status == AEL_OK) {
        status = ael_secret_new(scratch.bytes, len, copy);
    }
    enum ael_status ended = ael_scratch_end(&scratch);
    if (status == AEL_OK && ended != AEL_OK) {
        ael_secret_release(*copy);
        *copy = NULL;
    }
    return status == AEL_OK ? ended : status;
}

/* A copy for those who wait, whom the caller's closing of his own must not reach; NULL: none waits, or none
 * is to be had. */
static struct ael_secret *copy_for_others(
    struct ael_decrypt_flights *flights,
    const struct ael_decrypt_flight *flight,
    const struct ael_call *call,
    struct ael_secret *key) {
    struct ael_secret *copy = NULL;
    ael_mutex_lock(&flights->lock);
    bool awaited = key != NULL && flight->holders > 1;
    ael_mutex_unlock(&flights->lock);
    return awaited && copy_of(key, call, &copy) == AEL_OK ? copy : NULL;
}

/* Who calls: makes what came known to those who wait. */
static void land(
    struct ael_decrypt_flights *flights,
    struct ael_decrypt_flight *flight,
    const struct ael_call *call,
    struct ael_secret *key) {
    struct ael_secret *copy = copy_for_others(flights, flight, call, key);
    ael_mutex_lock(&flights->lock);
    flight->pressed = ael_call_remaining_ms(call) < PRESSED_MS;
    flight->key = copy != NULL ? copy : flight->holders > 1 ? ael_secret_acquire(key) : NULL;
    flight->over = true;
    ael_cond_broadcast(&flight->landed);
    ael_mutex_unlock(&flights->lock);
}

/* A failure that every caller would have met. */
static bool is_everybodys(const struct ael_decrypt_flight *flight) {
    return flight->status == AEL_E_KMS || flight->status == AEL_E_BACKEND ||
           (flight->status == AEL_E_UNREACHABLE && !flight->pressed);
}

/* What came of a flight that is over. False: nothing that is of use to others. */
static bool share(
    const struct ael_decrypt_flight *flight,
    const struct ael_call *call,
    enum ael_status *status,
    struct ael_secret **key,
    struct ael_error *err) {
    if (flight->status == AEL_OK) {
        *status = copy_of(flight->key, call, key);
        if (*status != AEL_OK) {
            (void)ael_error_set(err, *status, 0, k_component, "%s", ael_status_text(*status));
        }
        return *status != AEL_E_CLOSED; /* by who called, before there was a copy */
    }
    *status = flight->status;
    if (err != NULL) {
        *err = flight->err;
    }
    return is_everybodys(flight);
}

/* Waits for another's call. False: it was of no use. */
static bool join(
    struct ael_decrypt_flights *flights,
    struct ael_decrypt_flight *flight,
    const struct ael_call *call,
    enum ael_status *status,
    struct ael_secret **key,
    struct ael_error *err) {
    ael_metric_event(flights->joined);
    ael_mutex_lock(&flights->lock);
    *status = wait_until_over(flights, flight, call);
    ael_mutex_unlock(&flights->lock);
    bool useful = true;
    if (*status == AEL_OK) {
        useful = share(flight, call, status, key, err);
    } else {
        (void)ael_error_set(
            err, *status, 0, k_component, "waiting for another caller's decrypt of the same key: %s",
            ael_status_text(*status));
    }
    leave(flights, flight);
    return useful;
}

/* An equal call that is under way, held; or a new one, which is the caller's to make (*calls); NULL without
 * memory. */
static struct ael_decrypt_flight *
find_or_begin(struct ael_decrypt_flights *flights, struct ael_bytes encrypted, bool *calls) {
    ael_mutex_lock(&flights->lock);
    struct ael_decrypt_flight *flight = find(flights, encrypted);
    *calls = flight == NULL;
    flight = *calls ? begin(flights, encrypted) : flight;
    if (flight != NULL) {
        flight->holders++;
    }
    ael_mutex_unlock(&flights->lock);
    return flight;
}

/* see kms/remote/decrypt_flights.h */
enum ael_status ael_decrypt_flights_run(
    struct ael_decrypt_flights *flights,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    ael_decrypt_fn decrypt,
    void *self,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_decrypt_flight *flight = NULL;
    enum ael_status status = AEL_OK;
    bool calls = false;
    *key = NULL;
    do {
        flight = find_or_begin(flights, encrypted, &calls);
        if (flight == NULL) { /* no memory to tell the others */
            return decrypt(self, call, encrypted, key, err);
        }
    } while (!calls && !join(flights, flight, call, &status, key, err));
    if (!calls) {
        return status;
    }
    flight->status = decrypt(self, call, encrypted, key, &flight->err); /* read by others when it is over */
    status = flight->status;
    if (status != AEL_OK && err != NULL) {
        *err = flight->err;
    }
    land(flights, flight, call, *key);
    leave(flights, flight);
    return status;
}
