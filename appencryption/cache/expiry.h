/*
 * appencryption/cache/expiry.h - when keys expire, and how new ones are dated.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_EXPIRY_H
#define AEL_APPENCRYPTION_CACHE_EXPIRY_H

#include "appencryption/policy.h"

/** Tells whether a key is too old to encrypt: now >= created + expire. Threads: any. */
bool ael_expiry_is_over(const struct ael_rules *rules, int64_t created_s, int64_t now_s);

/**
 * Dates a new key: the later of now, cut down to the precision, and one second after the latest key of that id, which
 * is not valid any more. So revocation within the precision never stalls encrypt, and a clock that ran ahead never
 * hides the new key behind an older one.
 *
 * @param latest_s   created of the invalid latest key; NULL when there is none.
 * @param created_s  receives the date.
 * @return AEL_OK; AEL_E_CLOCK (more than 24 h ahead of now).
 * Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_expiry_date_new_key(
    const struct ael_rules *rules, int64_t now_s, const int64_t *latest_s, int64_t *created_s, struct ael_error *err);

/** Tells whether created is so recent that a key may just be on its way: newer than now - 2 precisions. Threads: any. */
bool ael_expiry_is_recent(const struct ael_rules *rules, int64_t created_s, int64_t now_s);

#endif /* AEL_APPENCRYPTION_CACHE_EXPIRY_H */
