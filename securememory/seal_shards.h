/*
 * securememory/seal_shards.h - the list of everything that is sealed, in shards, each with a lock and a nonce counter of
 * its own.
 *
 * A thread seals in its own shard, so that threads do not wait for each other. A nonce is the shard's number and a
 * counter that the shard never takes back: with the root's number it comes once. The shards belong to no set-up of
 * protected memory: in a child they hold what the parent had sealed.
 * Lock order: a shard's lock is held with no other of this folder, and after the roots were opened (ael_roots_begin).
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SEAL_SHARDS_H
#define AEL_SECUREMEMORY_SEAL_SHARDS_H

#include "base/sync.h"
#include "securememory/sealed.h"

enum { AEL_SEAL_SHARDS = 16 };

struct ael_seal_shard {
    _Alignas(128) struct ael_mutex lock; /* guards what follows, the links of what is listed and its changes */
    uint64_t last_nonce;
    struct ael_sealed *first;
    struct ael_sealed *next_swept; /* where the sweep goes on (securememory/reseal.h); NULL = behind the last */
    atomic_uint_least64_t seals;   /* made since the start; relaxed, changed under the lock */
    atomic_uint_least64_t listed;  /* the same, of what is in the list */
};

/** Returns a shard by its number. */
struct ael_seal_shard *ael_seal_shard(uint32_t number);

/** Returns the number of the calling thread's shard. */
uint32_t ael_seal_shard_here(void);

/** Returns a nonce that this process has not used before. Under the lock. */
uint64_t ael_seal_shard_nonce(struct ael_seal_shard *shard);

/** Adds to the list, before what the sweep is still to see. Under the lock. */
void ael_seal_shard_add(struct ael_seal_shard *shard, struct ael_sealed *sealed);

/** Takes out of the list. Under the lock. */
void ael_seal_shard_remove(struct ael_seal_shard *shard, struct ael_sealed *sealed);

/** Returns how many seals were made since the start. Threads: any. */
uint64_t ael_seal_shards_seals(void);

/** Returns how many are listed now. Threads: any. */
uint64_t ael_seal_shards_listed(void);

#endif /* AEL_SECUREMEMORY_SEAL_SHARDS_H */
