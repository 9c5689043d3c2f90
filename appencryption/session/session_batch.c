/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/session_batch.h>

#include "appencryption/session/batch.h"

static void take_encrypt(const void *items, size_t i, struct ael_batch_piece *piece) {
    const struct ael_encrypt_item *item = (const struct ael_encrypt_item *)items + i;
    piece->session = item->session;
    piece->input = item->plain;
    piece->sealed = item->out;
}

static void take_encrypt_json(const void *items, size_t i, struct ael_batch_piece *piece) {
    const struct ael_encrypt_json_item *item = (const struct ael_encrypt_json_item *)items + i;
    piece->session = item->session;
    piece->input = item->plain;
    piece->out = item->json;
}

static void take_decrypt(const void *items, size_t i, struct ael_batch_piece *piece) {
    const struct ael_decrypt_item *item = (const struct ael_decrypt_item *)items + i;
    piece->session = item->session;
    piece->record = item->record;
    piece->input = item->record != NULL ? item->record->data : piece->input;
    piece->out = item->plain;
}

static void take_decrypt_json(const void *items, size_t i, struct ael_batch_piece *piece) {
    const struct ael_decrypt_json_item *item = (const struct ael_decrypt_json_item *)items + i;
    piece->session = item->session;
    piece->input = item->json;
    piece->out = item->plain;
}

static void give_encrypt(void *items, size_t i, enum ael_status status) {
    ((struct ael_encrypt_item *)items + i)->status = status;
}

static void give_encrypt_json(void *items, size_t i, enum ael_status status) {
    ((struct ael_encrypt_json_item *)items + i)->status = status;
}

static void give_decrypt(void *items, size_t i, enum ael_status status) {
    ((struct ael_decrypt_item *)items + i)->status = status;
}

static void give_decrypt_json(void *items, size_t i, enum ael_status status) {
    ((struct ael_decrypt_json_item *)items + i)->status = status;
}

/* see ael/session_batch.h */
enum ael_status ael_batch_encrypt(
    struct ael_encrypt_item *items, size_t count, const struct ael_call *call, struct ael_error *err) {
    const struct ael_batch_items list = {items, count, take_encrypt, give_encrypt};
    return ael_batch_run(&ael_batch_encrypting, &list, call, err);
}

/* see ael/session_batch.h */
enum ael_status ael_batch_encrypt_json(
    struct ael_encrypt_json_item *items, size_t count, const struct ael_call *call, struct ael_error *err) {
    const struct ael_batch_items list = {items, count, take_encrypt_json, give_encrypt_json};
    return ael_batch_run(&ael_batch_encrypting_json, &list, call, err);
}

/* see ael/session_batch.h */
enum ael_status ael_batch_decrypt(
    struct ael_decrypt_item *items, size_t count, const struct ael_call *call, struct ael_error *err) {
    const struct ael_batch_items list = {items, count, take_decrypt, give_decrypt};
    return ael_batch_run(&ael_batch_decrypting, &list, call, err);
}

/* see ael/session_batch.h */
enum ael_status ael_batch_decrypt_json(
    struct ael_decrypt_json_item *items, size_t count, const struct ael_call *call, struct ael_error *err) {
    const struct ael_batch_items list = {items, count, take_decrypt_json, give_decrypt_json};
    return ael_batch_run(&ael_batch_decrypting_json, &list, call, err);
}
