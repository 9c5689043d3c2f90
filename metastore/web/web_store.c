/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/web/web_store.h"

#include "base/check.h"
#include "base/clock.h"
#include "net/http/http.h"

#include <poll.h>
#include <stdio.h>

enum {
    MAX_TIMEOUT_MS = 86400000,
    MAX_RETRIES = 100,
    FIRST_PAUSE_MS = 50,
    LAST_PAUSE_MS = 2000,
    SLICE_MS = 20, /* a cancel token wakes nobody: look at it this often */
};

/* ---- options ---- */

static bool is_timeout(uint32_t ms) {
    return ms >= 1 && ms <= MAX_TIMEOUT_MS;
}

/* see metastore/web/web_store.h */
enum ael_status
ael_web_bounds_check(const struct ael_web_bounds *bounds, const char *component, struct ael_error *err) {
    if (bounds->max_connections < 1 || bounds->max_connections > AEL_HTTP_MAX_CONNECTIONS ||
        bounds->max_retries > MAX_RETRIES) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, component, "max_connections must be 1 to %d, max_retries 0 to %d",
            AEL_HTTP_MAX_CONNECTIONS, MAX_RETRIES);
    }
    if (!is_timeout(bounds->connect_timeout_ms) || !is_timeout(bounds->answer_timeout_ms)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, component, "connect_timeout_ms and answer_timeout_ms must be 1 to %d",
            MAX_TIMEOUT_MS);
    }
    return AEL_OK;
}

/* ---- pauses ---- */

/* see metastore/web/web_store.h. The clock is random enough to part callers who failed together. */
uint32_t ael_web_pause_ms(uint32_t pauses) {
    uint32_t bound = (uint32_t)FIRST_PAUSE_MS << (pauses < 6 ? pauses : 6);
    uint64_t mixed = (uint64_t)ael_clock_boot_ns() ^ (uint64_t)(uintptr_t)&bound;
    mixed *= 0x9e3779b97f4a7c15u;
    return 1 + (uint32_t)(mixed >> 33) % (bound < LAST_PAUSE_MS ? bound : LAST_PAUSE_MS);
}

/* see metastore/web/web_store.h */
enum ael_status ael_web_pause(const struct ael_call *call, uint32_t ms) {
    AEL_TRY(ael_call_check(call));
    while (ms > 0) {
        uint32_t slice = ms < SLICE_MS ? ms : SLICE_MS;
        (void)poll(NULL, 0, (int)slice);
        AEL_TRY(ael_call_check(call));
        ms -= slice;
    }
    return AEL_OK;
}

/* ---- failures ---- */

/* see metastore/web/web_store.h */
enum ael_status ael_web_outcome_unknown(const char *component, struct ael_error *err) {
    char why[sizeof(err->detail)] = "";
    int32_t native = 0;
    if (err != NULL) {
        (void)snprintf(why, sizeof why, "%s", err->detail);
        native = err->native_code;
    }
    return ael_error_set(err, AEL_E_OUTCOME_UNKNOWN, native, component, "while storing: %s", why);
}
