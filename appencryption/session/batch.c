/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/batch.h"

#include "base/hooks.h"

#include <ael/session_batch.h>
#include <ael/sys/error.h>
#include <string.h>

static const char k_component[] = "batch";

enum {
    DEFAULT_TIMEOUT_MS = 30000,
    MANY = 4, /* records, for which it pays to have the key's schedule kept with the first */
};

struct batch {
    const struct ael_batch_kind *kind;
    const struct ael_batch_items *items;
    struct ael_call call;
    struct ael_error *err;  /* of the first failure that was found */
    enum ael_status status; /* the same */
};

struct window {
    struct ael_batch_piece pieces[AEL_BATCH_RUN_ITEMS];
    size_t count;
};

/* Only the first failure is described. */
static struct ael_error *err_of(const struct batch *batch) {
    return batch->status == AEL_OK ? batch->err : NULL;
}

/* NULL where the caller gave none. */
static struct ael_buf *output_of(const struct ael_batch_piece *piece) {
    return piece->sealed != NULL ? &piece->sealed->storage : piece->out;
}

static void begin_output(struct ael_batch_piece *piece) {
    struct ael_buf *output = output_of(piece);
    piece->held = output != NULL ? ael_session_set_aside(output) : 0;
    if (piece->sealed != NULL) {
        piece->sealed->record = (struct ael_record){.created_s = 0};
    }
}

static void end_output(struct ael_batch_piece *piece, enum ael_status status) {
    struct ael_buf *output = output_of(piece);
    if (output != NULL) {
        ael_session_wipe_rest(output, piece->held, status);
    }
    if (status != AEL_OK && piece->sealed != NULL) {
        piece->sealed->record = (struct ael_record){.created_s = 0};
    }
}

/* An item has come to its end. */
static void end_piece(struct batch *batch, struct ael_batch_piece *piece, enum ael_status status) {
    end_output(piece, status);
    if (status != AEL_OK && batch->kind->decrypts && piece->session != NULL) {
        status = ael_session_refuse(piece->session, status, err_of(batch));
    }
    if (batch->status == AEL_OK) {
        batch->status = status;
    }
    ael_metric_failure(batch->kind->decrypts ? AEL_METRIC_SOURCE_DECRYPT : AEL_METRIC_SOURCE_ENCRYPT, status);
    ael_record_buf_clear(&piece->read);
    piece->is_done = true;
    batch->items->give(batch->items->items, piece->index, status);
}

/* Where a status has no sentence yet. */
static void fail_piece(struct batch *batch, struct ael_batch_piece *piece, enum ael_status status) {
    end_piece(
        batch, piece,
        ael_error_set(
            err_of(batch), status, 0, k_component, "item %zu: %s", piece->index, ael_status_text(status)));
}

static bool have_same_key(const struct ael_batch_piece *a, const struct ael_batch_piece *b) {
    const struct ael_wanted_key *one = &a->wanted;
    const struct ael_wanted_key *other = &b->wanted;
    return ael_session_keys(a->session) == ael_session_keys(b->session) &&
           one->created_s == other->created_s && one->id.len == other->id.len &&
           memcmp(one->id.data, other->id.data, one->id.len) == 0;
}

/* The pieces of a window that have the leader's key, itself first. */
static size_t gather(struct window *window, size_t leader, struct ael_batch_piece **group) {
    size_t count = 0;
    for (size_t i = leader; i < window->count; i++) {
        struct ael_batch_piece *piece = &window->pieces[i];
        if (!piece->is_done && have_same_key(&window->pieces[leader], piece)) {
            group[count++] = piece;
        }
    }
    return count;
}

static enum ael_status borrow_key(
    struct batch *batch,
    const struct ael_batch_piece *leader,
    struct ael_session_call *begun,
    struct ael_key_loan *loan) {
    struct ael_error *err = err_of(batch);
    enum ael_status status = ael_session_begin_call(leader->session, &batch->call, begun, err);
    if (status != AEL_OK) {
        return status;
    }
    return leader->wanted.latest ? ael_session_latest_key(leader->session, begun, loan, err)
                                 : ael_session_dated_key(leader->session, leader->record, begun, loan, err);
}

/* @return how many pieces have room for their output; they come first. */
static size_t make_room(
    struct batch *batch,
    struct ael_batch_piece **group,
    size_t count,
    const struct ael_cached_key *key,
    int64_t now_s) {
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        enum ael_status status = batch->kind->make_room(group[i], key, now_s, err_of(batch));
        if (status == AEL_OK) {
            group[left++] = group[i];
        } else {
            end_piece(batch, group[i], status);
        }
    }
    return left;
}

/* In one slot. */
static enum ael_status run_pieces(
    struct batch *batch,
    struct ael_batch_piece **group,
    size_t count,
    struct ael_crypto_key *key,
    const struct ael_call *call) {
    struct ael_envelope_run run;
    if (count >= MANY) {
        ael_crypto_key_expect_use(key);
    }
    enum ael_status status = ael_envelope_run_begin(&run, key, call);
    if (status != AEL_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        group[i]->status = batch->kind->do_in_run(group[i], &run);
    }
    return ael_envelope_run_end(&run);
}

/* Not the slot, but what was opened in it. */
static bool key_was_corrupted(struct ael_batch_piece *const *group, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (group[i]->status == AEL_E_CORRUPTED) {
            return true;
        }
    }
    return false;
}

static void finish_piece(struct batch *batch, struct ael_batch_piece *piece) {
    if (piece->status != AEL_OK) {
        fail_piece(batch, piece, piece->status);
    } else {
        end_piece(batch, piece, batch->kind->finish(piece, err_of(batch)));
    }
}

static void run_group(struct batch *batch, struct ael_batch_piece **group, size_t count) {
    struct ael_session_call begun;
    struct ael_key_loan loan;
    enum ael_status status = borrow_key(batch, group[0], &begun, &loan);
    if (status != AEL_OK) {
        for (size_t i = 0; i < count; i++) {
            end_piece(batch, group[i], status);
        }
        return;
    }
    count = make_room(batch, group, count, loan.key, begun.now_s);
    status = count > 0 ? run_pieces(batch, group, count, loan.key->key, &begun.call) : AEL_OK;
    ael_session_end_loan(&loan, key_was_corrupted(group, count) ? AEL_E_CORRUPTED : status);
    for (size_t i = 0; i < count; i++) {
        group[i]->status = status != AEL_OK ? status : group[i]->status;
        finish_piece(batch, group[i]);
    }
}

static void run_window(struct batch *batch, struct window *window) {
    struct ael_batch_piece *group[AEL_BATCH_RUN_ITEMS] = {NULL};
    for (size_t i = 0; i < window->count; i++) {
        struct ael_batch_piece *piece = &window->pieces[i];
        begin_output(piece);
        enum ael_status status = batch->kind->check(piece, err_of(batch));
        if (status != AEL_OK) {
            end_piece(batch, piece, status);
        }
    }
    for (size_t i = 0; i < window->count; i++) {
        if (!window->pieces[i].is_done) {
            run_group(batch, group, gather(window, i, group));
        }
    }
}

/* The items from one on that go together: within the bounds, and one at least. */
static void fill_window(const struct batch *batch, size_t from, struct window *window) {
    size_t bytes = 0;
    window->count = 0;
    while (window->count < AEL_BATCH_RUN_ITEMS && from + window->count < batch->items->count) {
        struct ael_batch_piece *piece = &window->pieces[window->count];
        *piece = (struct ael_batch_piece){.index = from + window->count, .read = AEL_RECORD_BUF_INIT};
        batch->items->take(batch->items->items, piece->index, piece);
        size_t len = piece->input.len < AEL_BATCH_RUN_BYTES ? piece->input.len : (size_t)AEL_BATCH_RUN_BYTES;
        if (window->count > 0 && bytes + len > AEL_BATCH_RUN_BYTES) {
            return;
        }
        bytes += len;
        window->count++;
    }
}

/* One deadline for all items. A call that is none is refused item by item. */
static struct ael_call with_deadline(const struct ael_call *given) {
    struct ael_call call = AEL_CALL_INIT;
    if (given != NULL) {
        call.size = given->size;
    }
    if (given != NULL && given->size == sizeof call) {
        call = *given;
    }
    if (call.deadline_ns == 0) {
        call.deadline_ns = ael_deadline_in_ms(DEFAULT_TIMEOUT_MS);
    }
    return call;
}

/* see appencryption/session/batch.h */
enum ael_status ael_batch_run(
    const struct ael_batch_kind *kind,
    const struct ael_batch_items *items,
    const struct ael_call *call,
    struct ael_error *err) {
    struct batch batch = {kind, items, with_deadline(call), err, AEL_OK};
    struct window window;
    if (items->items == NULL && items->count > 0) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "items is NULL");
    }
    int64_t start = ael_metric_start();
    for (size_t at = 0; at < items->count; at += window.count) {
        fill_window(&batch, at, &window);
        run_window(&batch, &window);
    }
    ael_metric_timer(kind->metric, start);
    return batch.status;
}
