/*
 * kms/aws/decrypt.c - the data key from whichever region answers, the preferred one first, and another
 * one too when that takes longer than it should.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/aws/state.h"

#include "base/clock.h"
#include "base/hooks.h"
#include "kms/aws/envelope.h"
#include "kms/key_wrap.h"

static const char k_component[] = "kms/aws";

enum { LOST_HEDGES_MOST = 3, ALL_PERCENT = 100 };

#define PROBE_EVERY_NS INT64_C(10000000000)

/* Regions that are asked for one data key, in this order. */
struct race {
    struct ael_kms_aws *kms;
    const struct ael_kms_aws_envelope *envelope;
    struct ael_call call;
    struct ael_kms_aws_endpoint *regions[AEL_KMS_AWS_MAX_REGIONS];
    size_t count;
    struct ael_kms_aws_op ops[AEL_KMS_AWS_MAX_REGIONS];
    bool seen[AEL_KMS_AWS_MAX_REGIONS]; /* its end was looked at */
    size_t begun;
    bool probing;
    int64_t hedge_delay_ns;
};

/* ---- the order ---- */

static bool is_slow(const struct ael_kms_aws *kms, const struct ael_kms_aws_endpoint *endpoint) {
    return kms->hedging &&
           atomic_load_explicit(&endpoint->lost_hedges, memory_order_relaxed) >= LOST_HEDGES_MOST;
}

/* Once in a while a region that was put behind is asked at the same time, to see whether it is well again. */
static bool is_time_to_probe(struct ael_kms_aws *kms) {
    int64_t now_ns = ael_clock_boot_ns();
    int64_t last_ns = atomic_load_explicit(&kms->probed_ns, memory_order_relaxed);
    return now_ns - last_ns >= PROBE_EVERY_NS &&
           atomic_compare_exchange_strong_explicit(
               &kms->probed_ns, &last_ns, now_ns, memory_order_relaxed, memory_order_relaxed);
}

static void add_regions(struct race *race, const bool slow[], bool which) {
    for (size_t i = 0; i < race->kms->count; i++) {
        struct ael_kms_aws_endpoint *endpoint = &race->kms->endpoints[i];
        if (slow[i] == which && ael_kms_aws_envelope_find(race->envelope, endpoint->region) != NULL) {
            race->regions[race->count++] = endpoint;
        }
    }
}

/* One of those behind the first `quick` ones comes right behind the first; of several each in its turn. */
static void probe_one(struct race *race, size_t quick) {
    size_t turn = (size_t)(ael_clock_boot_ns() / PROBE_EVERY_NS) % (race->count - quick);
    struct ael_kms_aws_endpoint *probed = race->regions[quick + turn];
    for (size_t i = quick + turn; i > 1; i--) {
        race->regions[i] = race->regions[i - 1];
    }
    race->regions[1] = probed;
    race->probing = true;
}

/* As they were given, but slow ones behind the others. */
static void set_order(struct race *race) {
    bool slow[AEL_KMS_AWS_MAX_REGIONS] = {false}; /* looked at once: other callers change it */
    for (size_t i = 0; i < race->kms->count; i++) {
        slow[i] = is_slow(race->kms, &race->kms->endpoints[i]);
    }
    add_regions(race, slow, false);
    size_t quick = race->count;
    add_regions(race, slow, true);
    if (quick > 0 && quick < race->count && is_time_to_probe(race->kms)) {
        probe_one(race, quick);
    }
}

/* The smaller p95 of the first two, of those that have one. */
static int64_t hedge_delay(const struct race *race) {
    int64_t delay_ns = 0;
    for (size_t i = 0; i < race->count && i < 2; i++) {
        int64_t p95_ns = ael_kms_aws_endpoint_p95_ns(race->regions[i]);
        if (p95_ns != 0 && (delay_ns == 0 || p95_ns < delay_ns)) {
            delay_ns = p95_ns;
        }
    }
    return delay_ns == 0 ? race->kms->hedge_delay_ns : delay_ns;
}

/* ---- running ---- */

static void begin_next(struct race *race) {
    struct ael_kms_aws_endpoint *endpoint = race->regions[race->begun];
    struct ael_kms_aws_op *op = &race->ops[race->begun];
    ael_kms_aws_op_begin(op, &race->kms->shared, endpoint, AEL_KMS_AWS_DECRYPT, &race->call);
    op->blob_in = ael_kms_aws_envelope_find(race->envelope, endpoint->region)->encrypted;
    race->begun++;
}

/* All that were asked have failed, or have to try again: no use to wait for them alone. */
static bool all_in_trouble(const struct race *race) {
    for (size_t i = 0; i < race->begun; i++) {
        if (!race->ops[i].over && race->ops[i].tries == 0) {
            return false;
        }
    }
    return true;
}

/* When another one is asked beside the last that was; that one's time begins when there are credentials to
 * ask it with. */
static int64_t hedge_at(const struct race *race) {
    return race->ops[race->begun - 1].begun_ns + race->hedge_delay_ns;
}

static void begin_what_is_due(struct race *race) {
    int64_t now_ns = ael_clock_boot_ns();
    while (race->begun < race->count) {
        bool slow = race->kms->hedging && race->begun > 0 && now_ns >= hedge_at(race);
        bool probe = race->probing && race->begun == 1;
        if (race->begun > 0 && !slow && !probe && !all_in_trouble(race)) {
            return;
        }
        if (slow) {
            ael_metric_event("ael.kms.aws.hedge");
        }
        begin_next(race);
    }
}

static int64_t wake_at(const struct race *race) {
    if (race->begun < race->count && race->kms->hedging) {
        int64_t hedge_ns = hedge_at(race);
        return hedge_ns < race->call.deadline_ns ? hedge_ns : race->call.deadline_ns;
    }
    return race->call.deadline_ns;
}

/* Opens the key with the data key that came. One that does not open it counts as a region's failure. */
static enum ael_status open_with(struct race *race, struct ael_kms_aws_op *op, struct ael_secret **key) {
    enum ael_status status = ael_key_unwrap(op->key, &race->call, race->envelope->encrypted_key, key);
    if (status == AEL_E_AUTHENTICATION) {
        op->status = ael_error_set(
            &op->err, AEL_E_KMS, 0, k_component,
            "%s: the data key that came does not open the key; the record is damaged, or of another master "
            "key",
            op->endpoint->region);
        return AEL_E_KMS;
    }
    if (status != AEL_OK) {
        op->status = ael_error_set(&op->err, status, 0, k_component, "%s", ael_status_text(status));
    }
    return status;
}

/*
 * Who was asked earlier, and had not answered when another did, has lost; a probe is asked at the same time.
 * Where all of those had failed a try, the winner was asked for that, and is no hedge.
 */
static void note_winner(struct race *race, size_t winner) {
    size_t silent = 0;
    atomic_store_explicit(&race->regions[winner]->lost_hedges, 0, memory_order_relaxed);
    for (size_t i = 0; i < winner; i++) {
        if (!race->ops[i].over && !(race->probing && winner == 1)) {
            silent += race->ops[i].tries == 0 ? 1 : 0;
            (void)atomic_fetch_add_explicit(&race->regions[i]->lost_hedges, 1, memory_order_relaxed);
        }
    }
    if (silent > 0) {
        ael_metric_event("ael.kms.aws.hedge_won");
    }
}

/* Goes on with each; true when the key is there, or cannot be opened here. */
static bool step_all(struct race *race, struct ael_secret **key, enum ael_status *status) {
    for (size_t i = 0; i < race->begun; i++) {
        struct ael_kms_aws_op *op = &race->ops[i];
        if (race->seen[i] || !ael_kms_aws_op_step(op)) {
            continue;
        }
        race->seen[i] = true;
        if (op->status != AEL_OK) {
            continue;
        }
        *status = open_with(race, op, key);
        if (*status == AEL_OK) {
            note_winner(race, i);
            return true;
        }
        if (*status != AEL_E_KMS) {
            return true;
        }
    }
    return false;
}

static bool has_failed(const struct race *race) {
    for (size_t i = 0; i < race->count; i++) {
        if (i >= race->begun || !race->ops[i].over) {
            return false;
        }
    }
    return true;
}

/* The higher, the sooner it is what is told: what a retry may mend; what says nothing about the key; "wrong
 * key". */
static int weight_of(enum ael_status status) {
    if (status == AEL_E_UNREACHABLE || status == AEL_E_TIMEOUT || status == AEL_E_CANCELLED) {
        return 2;
    }
    return status == AEL_E_KMS ? 0 : 1;
}

/* Of several failures the weightiest, of equal ones the first region's. */
static enum ael_status explain(const struct race *race, struct ael_error *err) {
    const struct ael_kms_aws_op *worst = &race->ops[0];
    for (size_t i = 1; i < race->begun; i++) {
        worst = weight_of(race->ops[i].status) > weight_of(worst->status) ? &race->ops[i] : worst;
    }
    if (err != NULL) {
        *err = worst->err;
    }
    return worst->status;
}

static enum ael_status run(struct race *race, struct ael_secret **key, struct ael_error *err) {
    enum ael_status status = AEL_OK;
    race->hedge_delay_ns = hedge_delay(race);
    for (;;) {
        begin_what_is_due(race);
        if (step_all(race, key, &status)) {
            if (status != AEL_OK) {
                (void)ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
            }
            return status;
        }
        if (has_failed(race)) {
            return explain(race, err);
        }
        if (race->begun == race->count || !all_in_trouble(race)) {
            ael_kms_aws_op_wait(race->ops, race->begun, wake_at(race));
        }
    }
}

static enum ael_status decrypt_envelope(
    struct ael_kms_aws *kms,
    const struct ael_call *call,
    const struct ael_kms_aws_envelope *envelope,
    struct ael_secret **key,
    struct ael_error *err) {
    struct race race = {.kms = kms, .envelope = envelope, .call = *call};
    set_order(&race);
    if (race.count == 0) {
        const struct ael_bytes first =
            envelope->kek_count == 0 ? (struct ael_bytes){NULL, 0} : envelope->keks[0].region;
        return ael_error_set(
            err, AEL_E_KMS, 0, k_component,
            "the key was encrypted in none of the regions given here (but in %zu others, such as %.*s); give "
            "one of them",
            envelope->kek_count, (int)(first.len < 32 ? first.len : 32),
            first.len == 0 ? "" : (const char *)first.data);
    }
    enum ael_status status = run(&race, key, err);
    for (size_t i = 0; i < race.begun; i++) {
        ael_kms_aws_op_clear(&race.ops[i]);
    }
    return status;
}

/* The call that is made for all who want this key now. */
static enum ael_status decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_kms_aws_envelope envelope;
    *key = NULL;
    enum ael_status status = ael_kms_aws_envelope_parse(encrypted, &envelope, err);
    if (status != AEL_OK) {
        return status;
    }
    if (envelope.encrypted_key.len != AEL_WRAPPED_KEY_BYTES) {
        status = ael_error_set(
            err, AEL_E_KMS, 0, k_component, "the encrypted key has %zu bytes instead of %d; it is damaged",
            envelope.encrypted_key.len, (int)AEL_WRAPPED_KEY_BYTES);
    } else {
        status = decrypt_envelope(self, call, &envelope, key, err);
    }
    ael_kms_aws_envelope_clear(&envelope);
    return status;
}

/* see kms/aws/state.h */
enum ael_status ael_kms_aws_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_kms_aws *kms = self;
    struct ael_call limited = ael_kms_aws_limit(call, ALL_PERCENT);
    *key = NULL;
    enum ael_status status = ael_call_check(&limited);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
    }
    return ael_decrypt_flights_run(&kms->flights, &limited, encrypted, decrypt_key, kms, key, err);
}
