/*
 * securememory/own_pages.h - pages of its own for a secret that is too large for a slot, and the list of all
 * such.
 *
 *     guard | zero ... canary data | guard        (data ends at the rear guard)
 *
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_OWN_PAGES_H
#define AEL_SECUREMEMORY_OWN_PAGES_H

#include "base/sync.h"
#include "securememory/pages.h"

enum { AEL_OWN_CANARY_BYTES = 64 };

struct ael_own_pages {
    struct ael_pages pages;
    size_t len;
    bool is_written;            /* not shut since it was mapped */
    struct ael_own_pages *next; /* in the list */
    struct ael_own_pages *previous;
    uint8_t canary[AEL_OWN_CANARY_BYTES];
    bool is_told; /* that it was overwritten */
};

struct ael_own_pages_list {
    struct ael_mutex lock; /* guards first and the links */
    struct ael_own_pages *first;
    size_t count;
};

/**
 * Maps pages for len bytes and writes the canary; writable until they are shut or unmapped, zero, in no list.
 *
 * @param key  to put them under; AEL_PKEY_NONE. With a key they are writable for the calling thread alone.
 * @return as ael_pages_map; AEL_E_RANDOM; AEL_E_SYSTEM.
 */
AEL_MUST_CHECK enum ael_status ael_own_pages_map(
    struct ael_own_pages *own, size_t len, const struct ael_pages_policy *policy, enum ael_pkey key);

/** Ends the writing: closed from now on. The thread that mapped them. @return AEL_OK; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status ael_own_pages_shut(struct ael_own_pages *own);

/** Returns where the len bytes are. */
uint8_t *ael_own_pages_data(const struct ael_own_pages *own);

/** True when the canary, which is readable, was not overwritten; else the host is told, once. */
bool ael_own_pages_are_intact(struct ael_own_pages *own);

/** Wipes and unmaps; none are accepted. */
void ael_own_pages_unmap(struct ael_own_pages *own);

void ael_own_pages_list_add(struct ael_own_pages_list *list, struct ael_own_pages *own);
void ael_own_pages_list_remove(struct ael_own_pages_list *list, struct ael_own_pages *own);

/** Wipes and unmaps all that are in the list, which is empty then; nobody uses them any more. */
void ael_own_pages_list_unmap_all(struct ael_own_pages_list *list);

/** Returns how many there are. Threads: any. */
size_t ael_own_pages_list_count(struct ael_own_pages_list *list);

#endif /* AEL_SECUREMEMORY_OWN_PAGES_H */
