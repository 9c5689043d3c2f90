/*
 * securememory/sealed.h - something sealed: ciphertext in ordinary memory that stays openable while its roots change.
 *
 *     made (in the list of its shard) --opened, sealed anew under a newer root, by any number of threads--> --dropped-->
 *
 * Short ones are read without a lock: a reader copies the ciphertext and looks whether its version changed meanwhile.
 * Long ones are opened under their shard's lock. Who seals anew holds that lock in either case.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SEALED_H
#define AEL_SECUREMEMORY_SEALED_H

#include <ael/bytes.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct ael_roots;
struct ael_seal_shard;

enum {
    AEL_SEALED_TAG_BYTES = 16,
    AEL_SEALED_SHORT_LEN = 64, /* plain bytes; the longest that is read without a lock */
};

/* Whole words for the ciphertext of len plain bytes. */
#define AEL_SEALED_ROOM(len) (((len) + AEL_SEALED_TAG_BYTES + 7) / 8 * 8)

/* What a seal is bound to: as associated data, all but the last member. Constant once it is sealed. */
struct ael_key_binding {
    uint64_t id_hash;
    int64_t created_s;
    uint64_t generation; /* of the entry: distinguishes two loads of one key */
    uint32_t kind;       /* enum ael_key_kind */
    uint32_t process;    /* which process made it */
};

/* The bytes that are bound; without padding, and the number of the process is none of them. */
enum { AEL_KEY_BINDING_BYTES = offsetof(struct ael_key_binding, process) };

/* AEL_SEALED_ROOM(len) bytes of ciphertext lie right behind it. It stays where it is until it is dropped. */
struct ael_sealed {
    struct ael_sealed *next; /* in its shard, as what follows under its lock */
    struct ael_sealed *previous;
    atomic_uint_least64_t nonce;
    atomic_uint_least32_t root;
    atomic_uint_least32_t version; /* odd while the three that readers copy are being changed */
    uint32_t epoch;                /* of protected memory, when it was made; the owner's */
    uint16_t len;                  /* plain bytes; constant */
    uint8_t shard;                 /* constant while it is listed */
    bool listed;
    struct ael_key_binding binding;
};

/**
 * Seals bytes and lists them. Inside the gate.
 *
 * @param sealed   zeroed, with AEL_SEALED_ROOM(plain.len) bytes behind it.
 * @param binding  what it is bound to; copied. @param plain  at most UINT16_MAX bytes.
 * @return AEL_OK; AEL_E_SYSTEM; AEL_E_NO_MEMORY: zeroed and not listed then. Threads: any.
 */
AEL_MUST_CHECK enum ael_status
ael_sealed_make(struct ael_sealed *sealed, const struct ael_key_binding *binding, struct ael_bytes plain);

/**
 * Opens it. Inside the gate.
 *
 * @param plain  sealed->len bytes of protected memory; zeroed on failure.
 * @return AEL_OK; AEL_E_CORRUPTED (not authentic, another binding, or its root is gone); AEL_E_SYSTEM;
 *         AEL_E_NO_MEMORY. Threads: any.
 */
AEL_MUST_CHECK enum ael_status
ael_sealed_open(const struct ael_sealed *sealed, const struct ael_key_binding *binding, uint8_t *plain);

/** Takes it out of the list and wipes it; a zeroed one, or one that was dropped, is accepted. Threads: any, one. */
void ael_sealed_drop(struct ael_sealed *sealed);

/**
 * Seals it anew under the current root, under its shard's lock, between begin and end of the roots.
 *
 * @param plain  sealed->len bytes of protected memory, to be wiped by the caller.
 * @return AEL_OK; AEL_E_CORRUPTED or AEL_E_STATE (it does not open, or its root is gone: nothing changed);
 *         AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_sealed_renew(
    struct ael_sealed *sealed, const struct ael_roots *roots, struct ael_seal_shard *shard, uint8_t *plain);

#endif /* AEL_SECUREMEMORY_SEALED_H */
