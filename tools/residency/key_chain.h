/*
 * tools/residency/key_chain.h - the keys of a factory, derived from a master key and what lies in its metastore.
 *
 * So the scanned process need not tell its keys: the scanner opens system keys with the master key, intermediate keys
 * with those, and data row keys of records with those. Works for keys that the static KMS sealed.
 * Layer: tools. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_TOOLS_RESIDENCY_KEY_CHAIN_H
#define AEL_TOOLS_RESIDENCY_KEY_CHAIN_H

#include "tools/residency/needles.h"

#include <ael/bytes.h>

enum { RESIDENCY_SEALED_KEY_BYTES = 60 };

struct residency_link {
    char *id; /* of the row; NULL for a record */
    int64_t created_s;
    char *parent_id; /* NULL for a system key */
    int64_t parent_created_s;
    uint8_t sealed[RESIDENCY_SEALED_KEY_BYTES];
    uint8_t key[RESIDENCY_KEY_BYTES];
    bool is_open;
};

struct residency_chain {
    struct residency_link *links;
    size_t count;
    size_t cap;
};

#define RESIDENCY_CHAIN_INIT                                                                                 \
    { NULL, 0, 0 }

/** Adds a row of the metastore: its id, and the key record as JSON. False: no such JSON, a key of another length, no memory. */
bool residency_chain_add_row(struct residency_chain *chain, struct ael_bytes id, struct ael_bytes json);

/** Adds an encrypted record as JSON. False as above. */
bool residency_chain_add_record(struct residency_chain *chain, struct ael_bytes json);

/** Opens what a master key opens, and what that opens; may be repeated with others. @return how many stay sealed. */
size_t residency_chain_open(struct residency_chain *chain, const uint8_t master[RESIDENCY_KEY_BYTES]);

/** Adds the opened keys as needles, labelled SK, IK and DRK. False without memory. */
bool residency_chain_add_keys(const struct residency_chain *chain, struct residency_needles *needles);

/** Wipes and frees all; may be repeated. */
void residency_chain_clear(struct residency_chain *chain);

#endif /* AEL_TOOLS_RESIDENCY_KEY_CHAIN_H */
