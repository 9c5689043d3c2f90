/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/scanned_keys.h"

#include <ael/secret.h>
#include <ael/sys/kms_backend.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *s_planted;

static bool copy(struct ael_secret *key, uint8_t out[static 32]) {
    struct ael_secret_access access;
    if (ael_secret_access_begin(key, &access) != AEL_OK) {
        return false;
    }
    memcpy(out, access.bytes.data, 32);
    return ael_secret_access_end(&access) == AEL_OK;
}

static bool plant(struct ael_secret *key) {
    s_planted = malloc(32);
    return copy(key, s_planted);
}

/* see tests/support/scanned_keys.h */
void scanned_keys_forget_planted(void) {
    if (s_planted != NULL) {
        sodium_memzero(s_planted, 32);
        free(s_planted);
        s_planted = NULL;
    }
}

/* see tests/support/scanned_keys.h */
bool scanned_keys_trip(struct ael_kms *kms, bool planting, struct ael_buf *sealed) {
    struct ael_secret *key = NULL;
    struct ael_secret *back = NULL;
    bool good = ael_secret_new_random(32, &key) == AEL_OK &&
                ael_kms_encrypt_key(kms, NULL, key, sealed, NULL) == AEL_OK &&
                ael_kms_decrypt_key(kms, NULL, ael_buf_view(sealed), &back, NULL) == AEL_OK &&
                (!planting || plant(back));
    ael_secret_release(key);
    ael_secret_release(back);
    return good;
}

/* see tests/support/scanned_keys.h */
bool scanned_keys_tell(const struct ael_buf *sealed) {
    printf("%.*s\n", (int)sealed->len, (const char *)sealed->data);
    return true;
}

/* ---- who looks ---- */

/* see tests/support/scanned_keys.h */
bool scanned_keys_reach(
    const struct scanned *scanned, const char *place, const char *begins, struct scanned_keys_told *told) {
    for (told->count = 0; told->count < SCANNED_KEYS_LINES; told->count++) {
        char *line = told->lines[told->count];
        if (fgets(line, SCANNED_KEYS_LINE_BYTES, scanned->from) == NULL) {
            return false;
        }
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, begins, strlen(begins)) != 0) {
            return strcmp(line, place) == 0;
        }
    }
    return false;
}

/* see tests/support/scanned_keys.h */
bool scanned_keys_open(struct ael_kms *kms, struct ael_bytes sealed, uint8_t key[static 32]) {
    struct ael_secret *opened = NULL;
    bool good = ael_kms_decrypt_key(kms, NULL, sealed, &opened, NULL) == AEL_OK && copy(opened, key);
    ael_secret_release(opened);
    return good;
}
