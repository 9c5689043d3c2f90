/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/batch.h"

#include "base/check.h"

static const char k_component[] = "batch";

static enum ael_status finish_nothing(struct ael_batch_piece *piece, struct ael_error *err) {
    (void)piece;
    (void)err;
    return AEL_OK;
}

static enum ael_status check_whole(const struct ael_batch_piece *piece, bool has_output, struct ael_error *err) {
    if (piece->session == NULL || !has_output) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "an item's session or output is NULL");
    }
    return AEL_OK;
}

/* -- encrypting -- */

static enum ael_status check_payload(struct ael_batch_piece *piece, struct ael_error *err) {
    AEL_TRY(check_whole(piece, piece->sealed != NULL || piece->out != NULL, err));
    piece->wanted = (struct ael_wanted_key){ael_session_id(piece->session), 0, true};
    return ael_session_check_payload(piece->session, piece->input, err);
}

static enum ael_status lay_out(
    struct ael_batch_piece *piece, const struct ael_cached_key *key, int64_t now_s, struct ael_error *err) {
    return ael_session_lay_out(piece->session, key, piece->input.len, now_s, piece->sealed, err);
}

static enum ael_status seal(struct ael_batch_piece *piece, struct ael_envelope_run *run) {
    uint8_t *data = piece->sealed->storage.data;
    return ael_envelope_run_seal(run, piece->input, data, data + piece->input.len + AEL_SEALED_OVERHEAD_BYTES);
}

static enum ael_status lay_out_json(
    struct ael_batch_piece *piece, const struct ael_cached_key *key, int64_t now_s, struct ael_error *err) {
    return ael_session_lay_out_json(piece->session, key, piece->input.len, now_s, piece->out, &piece->work, err);
}

static enum ael_status seal_json(struct ael_batch_piece *piece, struct ael_envelope_run *run) {
    return ael_envelope_run_seal(run, piece->input, piece->work.data, piece->work.key);
}

static enum ael_status finish_json(struct ael_batch_piece *piece, struct ael_error *err) {
    return ael_session_write_json(&piece->work, piece->out, err);
}

/* -- decrypting -- */

static enum ael_status check_record(struct ael_batch_piece *piece, struct ael_error *err) {
    AEL_TRY(check_whole(piece, piece->record != NULL && piece->out != NULL, err));
    AEL_TRY(ael_session_check_open(piece->session, err));
    AEL_TRY(ael_session_admit(piece->session, piece->record, err));
    piece->wanted =
        (struct ael_wanted_key){piece->record->parent_key_id, piece->record->parent_created_s, false};
    return AEL_OK;
}

static enum ael_status check_json(struct ael_batch_piece *piece, struct ael_error *err) {
    AEL_TRY(check_whole(piece, piece->out != NULL && ael_session_is_payload(piece->input), err));
    AEL_TRY(ael_session_check_open(piece->session, err));
    AEL_TRY(ael_session_read_json(piece->session, piece->input, &piece->read, err));
    piece->record = &piece->read.record;
    return check_record(piece, err);
}

static enum ael_status make_room_for_plain(
    struct ael_batch_piece *piece, const struct ael_cached_key *key, int64_t now_s, struct ael_error *err) {
    (void)key;
    (void)now_s;
    return ael_session_reserve_plain(piece->out, piece->record->data.len - AEL_SEALED_OVERHEAD_BYTES, err);
}

static enum ael_status open_record(struct ael_batch_piece *piece, struct ael_envelope_run *run) {
    AEL_TRY(ael_envelope_run_open(run, piece->record->key, piece->record->data, piece->out->data));
    piece->out->len = piece->record->data.len - AEL_SEALED_OVERHEAD_BYTES;
    return AEL_OK;
}

const struct ael_batch_kind ael_batch_encrypting = {
    "ael.drr.encrypt_batch", false, check_payload, lay_out, seal, finish_nothing};
const struct ael_batch_kind ael_batch_encrypting_json = {
    "ael.drr.encrypt_batch", false, check_payload, lay_out_json, seal_json, finish_json};
const struct ael_batch_kind ael_batch_decrypting = {
    "ael.drr.decrypt_batch", true, check_record, make_room_for_plain, open_record, finish_nothing};
const struct ael_batch_kind ael_batch_decrypting_json = {
    "ael.drr.decrypt_batch", true, check_json, make_room_for_plain, open_record, finish_nothing};
