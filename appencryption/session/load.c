/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/load.h"

#include "base/alloc.h"
#include "securememory/scratch.h"

#include <ael/sys/error.h>
#include <string.h>

static const char k_component[] = "background";

/* What a load gives to the try that it was for, whatever the key's age, is for that try to come soon. */
static const int64_t k_soon_ns = 1000000000;

static uint64_t hash_of(const struct ael_loads *loads, const struct ael_wanted_key *wanted) {
    return ael_id_hash_dated(ael_id_hash_of(&loads->hash, wanted->id), wanted->latest ? -1 : wanted->created_s);
}

static struct ael_load **bucket_of(struct ael_loads *loads, uint64_t hash) {
    return &loads->listed[hash % AEL_LOAD_BUCKETS];
}

/* A key of the same name in another cache is another one. */
static bool is_of(
    const struct ael_load *load, const struct ael_session *session, const struct ael_wanted_key *wanted) {
    const struct ael_wanted_key *own = &load->wanted;
    return ael_session_keys(load->session) == ael_session_keys(session) && own->latest == wanted->latest
           && own->created_s == wanted->created_s && own->id.len == wanted->id.len
           && memcmp(own->id.data, wanted->id.data, own->id.len) == 0;
}

/* see appencryption/session/load.h */
struct ael_load *ael_loads_find(
    const struct ael_loads *loads, const struct ael_session *session, const struct ael_wanted_key *wanted) {
    struct ael_load *load = loads->listed[hash_of(loads, wanted) % AEL_LOAD_BUCKETS];
    while (load != NULL && !is_of(load, session, wanted)) {
        load = load->next_listed;
    }
    return load;
}

static struct ael_load *new_load(struct ael_session *session, const struct ael_wanted_key *wanted) {
    struct ael_load *load = ael_alloc(sizeof *load + wanted->id.len);
    if (load == NULL) {
        return NULL;
    }
    if (ael_cancel_new(&load->cancel) != AEL_OK) {
        ael_free(load);
        return NULL;
    }
    ael_refcount_init(&load->count);
    load->session = ael_session_hold(session);
    memcpy(load->id, wanted->id.data, wanted->id.len);
    load->wanted = (struct ael_wanted_key){{load->id, wanted->id.len}, wanted->created_s, wanted->latest};
    load->call = (struct ael_call)AEL_CALL_INIT;
    load->call.cancel = load->cancel;
    load->deadline_ns = INT64_MIN;
    atomic_init(&load->landed, false);
    return load;
}

/* see appencryption/session/load.h */
struct ael_load *ael_loads_add(
    struct ael_loads *loads, struct ael_session *session, const struct ael_wanted_key *wanted) {
    struct ael_load *load = new_load(session, wanted);
    if (load == NULL) {
        return NULL;
    }
    load->hash = hash_of(loads, wanted);
    load->next_listed = *bucket_of(loads, load->hash);
    *bucket_of(loads, load->hash) = load;
    load->listed = true;
    ael_loads_queue(loads, load);
    return load;
}

/* see appencryption/session/load.h */
void ael_loads_queue(struct ael_loads *loads, struct ael_load *load) {
    load->next_queued = NULL;
    *(loads->first_queued == NULL ? &loads->first_queued : &loads->last_queued->next_queued) = load;
    loads->last_queued = load;
}

/* see appencryption/session/load.h */
struct ael_load *ael_loads_take(struct ael_loads *loads) {
    struct ael_load *load = loads->first_queued;
    if (load != NULL) {
        loads->first_queued = load->next_queued;
    }
    return load;
}

/* see appencryption/session/load.h */
void ael_loads_unlist(struct ael_loads *loads, struct ael_load *load) {
    if (!load->listed) {
        return;
    }
    struct ael_load **link = bucket_of(loads, load->hash);
    while (*link != load) {
        link = &(*link)->next_listed;
    }
    *link = load->next_listed;
    load->listed = false;
}

/* see appencryption/session/load.h */
void ael_loads_call_off(struct ael_loads *loads, struct ael_load *load) {
    ael_loads_unlist(loads, load);
    load->called_off = true;
    ael_cancel_trigger(load->cancel);
}

/* A try wants a slot of protected memory, too; where none is free it is waited for here, in the order of coming. */
static enum ael_status wait_for_slot(const struct ael_call *call) {
    struct ael_scratch scratch;
    enum ael_status status = ael_scratch_begin(&scratch, call);
    return status == AEL_OK ? ael_scratch_end(&scratch) : status;
}

/* see appencryption/session/load.h. The load has the key when it has a hold on it, and not before: a child of fork that finds the
 * loader anywhere in here lets go of what the load has. */
void ael_load_run(struct ael_load *load) {
    struct ael_cached_key *key = NULL;
    load->status = ael_session_load_key(load->session, &load->wanted, &load->call, &key, &load->error);
    if (load->status != AEL_OK) {
        return;
    }
    enum ael_status status = wait_for_slot(&load->call);
    if (status == AEL_OK) {
        load->key = key;
        return;
    }
    ael_cached_key_release(key);
    load->status = ael_error_set(
        &load->error, status, 0, k_component, "the key is there, but no slot of protected memory is free");
}

/* see appencryption/session/background.h */
struct ael_cached_key *ael_load_key(
    const struct ael_load *load, const struct ael_session *session, const struct ael_wanted_key *wanted,
    int64_t now_ns) {
    bool landed = load != NULL && atomic_load_explicit(&load->landed, memory_order_acquire);
    if (!landed || load->key == NULL || !is_of(load, session, wanted)) {
        return NULL;
    }
    bool is_fresh = now_ns - ael_cached_key_checked_ns(load->key) < session->factory->rules.interval_ns;
    return is_fresh || now_ns - load->landed_ns < k_soon_ns ? load->key : NULL;
}

/* see appencryption/session/background.h */
void ael_load_release(struct ael_load *load) {
    if (load == NULL || !ael_refcount_release(&load->count)) {
        return;
    }
    ael_cached_key_release(load->key);
    ael_cancel_free(load->cancel);
    ael_session_release(load->session);
    ael_free(load);
}
