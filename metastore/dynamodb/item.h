/*
 * metastore/dynamodb/item.h - key records as items of DynamoDB's JSON, written and read.
 *
 *     Id S, Created N, KeyRecord M {
 *         Revoked BOOL (when true), Created N, Key S (base64), ParentKeyMeta M { KeyId S, Created N } }
 *
 * Read is what any SDK has written: Revoked or ParentKeyMeta may be missing or NULL, Revoked false, and there
 * may be attributes of other names.
 * Layer: metastore (libael-dynamodb). Threads: one at a time.
 * Source: Asherah's DynamoDB stores of Go, Java, C# and Rust, whose items agree.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_DYNAMODB_ITEM_H
#define AEL_METASTORE_DYNAMODB_ITEM_H

#include <ael/sys/error.h>
#include <ael/sys/key_record.h>

/* A text that is put together; the first failure sticks. Zero buf by AEL_BUF_INIT, and clear it. */
struct ael_dynamodb_text {
    struct ael_buf buf;
    enum ael_status status;
};

#define AEL_DYNAMODB_TEXT_INIT                                                                               \
    { AEL_BUF_INIT, AEL_OK }

void ael_dynamodb_put(struct ael_dynamodb_text *text, const char *piece);
void ael_dynamodb_put_bytes(struct ael_dynamodb_text *text, struct ael_bytes piece);

/** {"S":...}, {"N":...}, and the map of a record, {"M":{...}}. */
void ael_dynamodb_put_string(struct ael_dynamodb_text *text, struct ael_bytes value);
void ael_dynamodb_put_number(struct ael_dynamodb_text *text, int64_t value);
void ael_dynamodb_put_base64(struct ael_dynamodb_text *text, struct ael_bytes value);
void ael_dynamodb_put_record(struct ael_dynamodb_text *text, const struct ael_key_record *record);

/* What an item holds beside its record. */
struct ael_dynamodb_item {
    struct ael_buf id; /* empty when it was not asked for */
    bool has_created;
    int64_t created_s; /* the attribute */
};

/**
 * Reads an item.
 *
 * @param item  overwritten; its id is the caller's to clear, also after a failure. @param out emptied on
 *              failure.
 * @return AEL_OK; AEL_E_BACKEND_DATA (no key record; the sentence tells why); AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_dynamodb_item_read(
    struct ael_bytes json,
    struct ael_dynamodb_item *item,
    struct ael_key_record_buf *out,
    struct ael_error *err);

#endif /* AEL_METASTORE_DYNAMODB_ITEM_H */
