/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/status.h>

#include <stddef.h>

struct status_row {
    enum ael_status status;
    const char *name;
    const char *text;
};

static const struct status_row k_rows[] = {
#define AEL_X(name, value, text) {name, #name, text},
    AEL_STATUS_MAP(AEL_X)
#undef AEL_X
};

static const struct status_row *find_row(enum ael_status status) {
    for (size_t i = 0; i < sizeof(k_rows) / sizeof(k_rows[0]); i++) {
        if (k_rows[i].status == status) {
            return &k_rows[i];
        }
    }
    return NULL;
}

/* see ael/status.h */
const char *ael_status_name(enum ael_status status) {
    const struct status_row *row = find_row(status);
    return row != NULL ? row->name : "AEL_E_UNKNOWN";
}

/* see ael/status.h */
const char *ael_status_text(enum ael_status status) {
    const struct status_row *row = find_row(status);
    return row != NULL ? row->text : "unknown status";
}
