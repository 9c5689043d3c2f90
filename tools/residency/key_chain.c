/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/residency/key_chain.h"

#include <ael/record.h>
#include <ael/sys/key_record.h>

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_BYTES = 16 };

/* Opens ciphertext (32) || tag (16) || nonce (12). */
static bool open_key(const uint8_t *key, const uint8_t sealed[RESIDENCY_SEALED_KEY_BYTES], uint8_t *plain) {
    uint8_t tag[TAG_BYTES];
    int n = 0;
    memcpy(tag, sealed + RESIDENCY_KEY_BYTES, sizeof tag);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = ctx != NULL &&
                EVP_DecryptInit_ex(
                    ctx, EVP_aes_256_gcm(), NULL, key, sealed + RESIDENCY_KEY_BYTES + TAG_BYTES) == 1 &&
                EVP_DecryptUpdate(ctx, plain, &n, sealed, RESIDENCY_KEY_BYTES) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
                EVP_DecryptFinal_ex(ctx, plain + n, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!good) {
        explicit_bzero(plain, RESIDENCY_KEY_BYTES);
    }
    return good;
}

static bool same_text(const char *a, const char *b) {
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static char *copy_text(struct ael_bytes text) {
    return strndup((const char *)text.data, text.len);
}

/* Moving what may hold opened keys: copied and wiped, for realloc would leave them. */
static struct residency_link *one_more(struct residency_chain *chain) {
    if (chain->count == chain->cap) {
        size_t cap = chain->cap == 0 ? 64 : 2 * chain->cap;
        struct residency_link *links = calloc(cap, sizeof *links);
        if (links == NULL) {
            return NULL;
        }
        if (chain->count > 0) {
            memcpy(links, chain->links, chain->count * sizeof *links);
            explicit_bzero(chain->links, chain->count * sizeof *links);
        }
        free(chain->links);
        chain->links = links;
        chain->cap = cap;
    }
    return &chain->links[chain->count];
}

/* Takes over the texts. A row that is there already is not added twice. */
static bool add(struct residency_chain *chain, struct residency_link *link, struct ael_bytes sealed) {
    bool good = sealed.len == sizeof link->sealed;
    bool known = false;
    for (size_t i = 0; good && i < chain->count && !known; i++) {
        known = memcmp(chain->links[i].sealed, sealed.data, sealed.len) == 0;
    }
    struct residency_link *place = good && !known ? one_more(chain) : NULL;
    if (place != NULL) {
        memcpy(link->sealed, sealed.data, sizeof link->sealed);
        *place = *link;
        chain->count++;
        return true;
    }
    free(link->id);
    free(link->parent_id);
    return known;
}

/* see tools/residency/key_chain.h */
bool residency_chain_add_row(struct residency_chain *chain, struct ael_bytes id, struct ael_bytes json) {
    struct ael_key_record_buf row = AEL_KEY_RECORD_BUF_INIT;
    bool good = ael_key_record_from_json(json, &row, NULL) == AEL_OK;
    if (good) {
        const struct ael_key_record *record = &row.record;
        struct residency_link link = {
            .id = copy_text(id),
            .created_s = record->created_s,
            .parent_created_s = record->parent_created_s};
        link.parent_id = record->has_parent ? copy_text(record->parent_id) : NULL;
        good = add(chain, &link, record->key);
    }
    ael_key_record_buf_clear(&row);
    return good;
}

/* see tools/residency/key_chain.h */
bool residency_chain_add_record(struct residency_chain *chain, struct ael_bytes json) {
    struct ael_record_buf read = AEL_RECORD_BUF_INIT;
    bool good = ael_record_from_json(json, &read, NULL) == AEL_OK && read.record.has_parent;
    if (good) {
        struct residency_link link = {
            .parent_id = copy_text(read.record.parent_key_id),
            .parent_created_s = read.record.parent_created_s};
        good = add(chain, &link, read.record.key);
    }
    ael_record_buf_clear(&read);
    return good;
}

/* One step down: what the key of one link (or the master key, with NULL) opens. */
static size_t
open_children(struct residency_chain *chain, const struct residency_link *parent, const uint8_t *key) {
    size_t opened = 0;
    for (size_t i = 0; i < chain->count; i++) {
        struct residency_link *link = &chain->links[i];
        bool child = parent == NULL ? link->parent_id == NULL
                                    : same_text(link->parent_id, parent->id) &&
                                          link->parent_created_s == parent->created_s;
        if (child && !link->is_open && open_key(key, link->sealed, link->key)) {
            link->is_open = true;
            opened++;
        }
    }
    return opened;
}

/* All steps from what is open. */
static size_t open_next(struct residency_chain *chain) {
    size_t opened = 0;
    for (size_t i = 0; i < chain->count; i++) {
        if (chain->links[i].is_open && chain->links[i].id != NULL) {
            opened += open_children(chain, &chain->links[i], chain->links[i].key);
        }
    }
    return opened;
}

/* see tools/residency/key_chain.h */
size_t residency_chain_open(struct residency_chain *chain, const uint8_t master[RESIDENCY_KEY_BYTES]) {
    size_t sealed = 0;
    (void)open_children(chain, NULL, master);
    while (open_next(chain) > 0) {
    }
    for (size_t i = 0; i < chain->count; i++) {
        sealed += !chain->links[i].is_open;
    }
    return sealed;
}

static const char *kind_of(const struct residency_link *link) {
    return link->id == NULL ? "DRK" : link->parent_id == NULL ? "SK" : "IK";
}

/* see tools/residency/key_chain.h */
bool residency_chain_add_keys(const struct residency_chain *chain, struct residency_needles *needles) {
    bool good = true;
    for (size_t i = 0; good && i < chain->count; i++) {
        const struct residency_link *link = &chain->links[i];
        good = !link->is_open || residency_add_key(needles, kind_of(link), link->key);
    }
    return good;
}

/* see tools/residency/key_chain.h */
void residency_chain_clear(struct residency_chain *chain) {
    for (size_t i = 0; i < chain->count; i++) {
        free(chain->links[i].id);
        free(chain->links[i].parent_id);
    }
    if (chain->links != NULL) {
        explicit_bzero(chain->links, chain->cap * sizeof *chain->links);
    }
    free(chain->links);
    *chain = (struct residency_chain)RESIDENCY_CHAIN_INIT;
}
