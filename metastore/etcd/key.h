/*
 * metastore/etcd/key.h - ids and dates as keys of etcd, which are bytes that it keeps in order.
 *
 *     <prefix>/<id> <created, 19 digits>          ael/_IK_tenant_service_product 0000000001700000040
 *
 * In an id the bytes up to the blank and the mark itself (0x00 .. 0x21) are written as ! and two hexadecimal
 * digits. So keys are in the order of ids and then dates, an id ends at the blank whatever ids begin with it,
 * the newest key of an id is the last one before "<id>!", and what can be seen of a key can be typed.
 * Layer: metastore (libael-etcd). Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_ETCD_KEY_H
#define AEL_METASTORE_ETCD_KEY_H

#include <ael/bytes.h>

/* All append to key. @return as ael_buf_append. */
AEL_MUST_CHECK enum ael_status
ael_etcd_key_put(struct ael_buf *key, const char *prefix, struct ael_bytes id, int64_t created_s);

/** What all keys of an id begin with, its blank included. */
AEL_MUST_CHECK enum ael_status
ael_etcd_key_put_id(struct ael_buf *key, const char *prefix, struct ael_bytes id);

/** What the keys of all ids that begin so begin with; an empty beginning is that of all. */
AEL_MUST_CHECK enum ael_status
ael_etcd_key_put_beginning(struct ael_buf *key, const char *prefix, struct ael_bytes id_beginning);

/** The first key behind all that begin with `beginning`, which holds a byte other than 0xff. */
AEL_MUST_CHECK enum ael_status ael_etcd_key_put_end(struct ael_buf *key, struct ael_bytes beginning);

/**
 * Reads a key.
 *
 * @param id  the id is appended.
 * @return AEL_OK; AEL_E_FORMAT (no key of this prefix, or written in another way); or as ael_buf_append.
 */
AEL_MUST_CHECK enum ael_status
ael_etcd_key_read(struct ael_bytes key, const char *prefix, struct ael_buf *id, int64_t *created_s);

#endif /* AEL_METASTORE_ETCD_KEY_H */
