/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/expiry.h"

#include <ael/sys/error.h>

/* a + b that stays at the ends of the range: dates come from stores and need not make sense. */
static int64_t add_clamped(int64_t a, int64_t b) {
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b > 0 ? INT64_MAX : INT64_MIN;
    }
    return sum;
}

static int64_t cut_down(int64_t seconds, int64_t precision) {
    int64_t rest = seconds % precision;
    return rest >= 0 ? seconds - rest : add_clamped(seconds, -rest - precision);
}

/* see appencryption/cache/expiry.h */
bool ael_expiry_is_over(const struct ael_rules *rules, int64_t created_s, int64_t now_s) {
    return now_s >= add_clamped(created_s, rules->expire_s);
}

/* see appencryption/cache/expiry.h */
enum ael_status ael_expiry_date_new_key(
    const struct ael_rules *rules, int64_t now_s, const int64_t *latest_s, int64_t *created_s, struct ael_error *err) {
    int64_t created = cut_down(now_s, rules->precision_s);
    if (latest_s != NULL && *latest_s >= created) {
        created = add_clamped(*latest_s, 1);
    }
    if (created > add_clamped(now_s, AEL_CLOCK_AHEAD_MAX_S)) {
        return ael_error_set(
            err, AEL_E_CLOCK, 0, "key hierarchy",
            "the newest key is not valid and dated over 24 h ahead; correct the clock or remove the key");
    }
    *created_s = created;
    return AEL_OK;
}

/* see appencryption/cache/expiry.h */
bool ael_expiry_is_recent(const struct ael_rules *rules, int64_t created_s, int64_t now_s) {
    return created_s > add_clamped(add_clamped(now_s, -rules->precision_s), -rules->precision_s);
}
