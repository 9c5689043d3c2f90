/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/etcd/key.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

enum { SEPARATOR = ' ', MARK = '!', CREATED_DIGITS = 19 };

static enum ael_status put_escaped(struct ael_buf *key, struct ael_bytes id) {
    static const char k_digits[] = "0123456789abcdef";
    size_t marked = 0;
    for (size_t i = 0; i < id.len; i++) {
        marked += id.data[i] <= MARK;
    }
    AEL_TRY(ael_buf_reserve(key, key->len + id.len + 2 * marked));
    for (size_t i = 0; i < id.len; i++) {
        uint8_t byte = id.data[i];
        if (byte <= MARK) {
            key->data[key->len++] = MARK;
            key->data[key->len++] = (uint8_t)k_digits[byte >> 4];
            byte = (uint8_t)k_digits[byte & 15];
        }
        key->data[key->len++] = byte;
    }
    return AEL_OK;
}

/* see metastore/etcd/key.h */
enum ael_status
ael_etcd_key_put_beginning(struct ael_buf *key, const char *prefix, struct ael_bytes id_beginning) {
    AEL_TRY(ael_buf_append(key, ael_bytes_from_text(prefix)));
    AEL_TRY(ael_buf_append(key, ael_bytes_from_text("/")));
    return put_escaped(key, id_beginning);
}

/* see metastore/etcd/key.h */
enum ael_status ael_etcd_key_put_id(struct ael_buf *key, const char *prefix, struct ael_bytes id) {
    AEL_TRY(ael_etcd_key_put_beginning(key, prefix, id));
    return ael_buf_append(key, ael_bytes_from_text(" "));
}

/* see metastore/etcd/key.h */
enum ael_status
ael_etcd_key_put(struct ael_buf *key, const char *prefix, struct ael_bytes id, int64_t created_s) {
    char digits[32];
    (void)snprintf(digits, sizeof digits, "%0*lld", CREATED_DIGITS, (long long)created_s);
    AEL_TRY(ael_etcd_key_put_id(key, prefix, id));
    return ael_buf_append(key, ael_bytes_from_text(digits));
}

/* see metastore/etcd/key.h */
enum ael_status ael_etcd_key_put_end(struct ael_buf *key, struct ael_bytes beginning) {
    while (beginning.len > 0 && beginning.data[beginning.len - 1] == 0xff) {
        beginning.len--;
    }
    AEL_TRY(ael_buf_append(key, beginning));
    key->data[key->len - 1]++;
    return AEL_OK;
}

/* ---- reading ---- */

static int digit_of(uint8_t byte) {
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* What put_escaped wrote, and nothing else. */
static enum ael_status read_escaped(struct ael_bytes text, struct ael_buf *id) {
    AEL_TRY(ael_buf_reserve(id, id->len + text.len));
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (byte == MARK) {
            int high = i + 2 < text.len ? digit_of(text.data[i + 1]) : -1;
            int low = high >= 0 ? digit_of(text.data[i + 2]) : -1;
            if (low < 0 || high * 16 + low > MARK) {
                return AEL_E_FORMAT;
            }
            byte = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (byte < MARK) {
            return AEL_E_FORMAT;
        }
        id->data[id->len++] = byte;
    }
    return AEL_OK;
}

static bool read_created(const uint8_t *digits, int64_t *created_s) {
    uint64_t value = 0;
    for (int i = 0; i < CREATED_DIGITS; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(digits[i] - '0'); /* 19 digits fit */
    }
    *created_s = (int64_t)value;
    return value <= INT64_MAX;
}

/* see metastore/etcd/key.h */
enum ael_status
ael_etcd_key_read(struct ael_bytes key, const char *prefix, struct ael_buf *id, int64_t *created_s) {
    size_t before = strlen(prefix) + 1;
    size_t after = 1 + CREATED_DIGITS;
    if (key.len <= before + after || memcmp(key.data, prefix, before - 1) != 0 ||
        key.data[before - 1] != '/' || key.data[key.len - after] != SEPARATOR ||
        !read_created(key.data + key.len - CREATED_DIGITS, created_s)) {
        return AEL_E_FORMAT;
    }
    return read_escaped((struct ael_bytes){key.data + before, key.len - before - after}, id);
}
