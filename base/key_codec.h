/*
 * base/key_codec.h - the envelope key object of Asherah's JSON, which a key record is and a data row record
 * holds.
 *
 * Reading takes three steps, so that nothing is allocated for a text that is refused:
 *
 *     ael_key_codec_read(&reader, &text);      // grammar; key and parent_id are raw texts inside the JSON
 *     ael_key_codec_decoded_len(&reader, &text, &len);
 *     ael_buf_reserve(storage, len);
 *     ael_key_codec_decode(&reader, &text, storage, &record);
 * Layer: base. Threads: one at a time per reader.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_KEY_CODEC_H
#define AEL_BASE_KEY_CODEC_H

#include "base/component_api.h"
#include "base/json.h"

#include <ael/sys/key_record.h>

/** Expects an envelope key object; failures stick to the reader. text's views are raw and borrow the JSON. */
void ael_key_codec_read(struct ael_json_reader *reader, struct ael_key_record *text);

/**
 * Adds to *len how much storage decoding takes, and checks the limits of key and id.
 * @return AEL_OK; AEL_E_FORMAT; AEL_E_TOO_LARGE.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status
ael_key_codec_decoded_len(struct ael_json_reader *reader, const struct ael_key_record *text, size_t *len);

/**
 * Decodes text into storage, which has the room, and sets record's views.
 * @return AEL_OK; AEL_E_FORMAT.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_key_codec_decode(
    struct ael_json_reader *reader,
    const struct ael_key_record *text,
    struct ael_buf *storage,
    struct ael_key_record *record);

/** The same two steps for a raw base64 text by itself. */
AEL_MUST_CHECK enum ael_status
ael_key_codec_base64_len(struct ael_json_reader *reader, struct ael_bytes raw, size_t *len);
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_key_codec_base64_decode(
    struct ael_json_reader *reader, struct ael_bytes raw, struct ael_buf *storage, struct ael_bytes *bytes);

/**
 * Checks what can be written: pointers, the lengths of key and id, the id's characters.
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_TOO_LARGE.
 */
AEL_MUST_CHECK enum ael_status ael_key_codec_check(const struct ael_key_record *record);

/** Returns the length of the canonical JSON of a record; SIZE_MAX on overflow. */
size_t ael_key_codec_json_len(const struct ael_key_record *record);

/** Puts the canonical JSON of a checked record where there is room for it; returns where it ends. */
uint8_t *ael_key_codec_put(uint8_t *at, const struct ael_key_record *record);

/** Copies bytes to the end of storage, which has the room, and returns the view of the copy. */
struct ael_bytes ael_key_codec_keep(struct ael_buf *storage, struct ael_bytes bytes);

/** The same for key and parent id: returns the record over the copies; without a parent its members are
 * empty. */
struct ael_key_record ael_key_codec_keep_record(struct ael_buf *storage, const struct ael_key_record *record);

#endif /* AEL_BASE_KEY_CODEC_H */
