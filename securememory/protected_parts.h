/*
 * securememory/protected_parts.h - what protected memory consists of: how much of each, how they are made and cleared.
 *
 * securememory/protected.h has the one instance of the process, and when that happens.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_PROTECTED_PARTS_H
#define AEL_SECUREMEMORY_PROTECTED_PARTS_H

#include "securememory/generator.h"
#include "securememory/hot_keys.h"
#include "securememory/own_pages.h"
#include "securememory/rekey.h"
#include "securememory/roots.h"
#include "securememory/scratch_pool.h"
#include "securememory/secret_leases.h"
#include "securememory/secret_slots.h"
#include "securememory/warden.h"

struct ael_protected {
    uint32_t epoch; /* of the present or the last set-up; changes only while memory is absent */
    enum ael_protection_level level; /* of secrets that the host opens */
    enum ael_pkey secret_key;        /* at `pkey`: what their pages are under */
    bool fell_back;                  /* to `strict`, from `pkey` */
    struct ael_region_policy policy; /* of the library's own regions */
    struct ael_warden warden;        /* runs when something is leased */
    struct ael_roots roots;
    struct ael_scratch_pool scratch;
    struct ael_generator generator;
    struct ael_hot_keys hot;
    struct ael_secret_slots slots;
    struct ael_own_pages_list large;
    struct ael_secret_leases secret_leases;
    struct ael_rekey rekey;
};

/**
 * Makes the parts of zeroed memory whose epoch is set.
 *
 * @param inherited  root keys to go on with, which are the memory's afterwards; none in it: new ones are drawn.
 * @return as ael_memory_configure. After a failure there is nothing to clear, and inherited is what it was.
 */
AEL_MUST_CHECK enum ael_status ael_protected_parts_make(
    struct ael_protected *memory,
    const struct ael_memory_options *options,
    struct ael_inherited_roots *inherited,
    struct ael_error *err);

/** Wipes and unmaps all; nobody uses them any more. */
void ael_protected_parts_clear(struct ael_protected *memory);

/** Says all that is needed and what to do, where the part that failed knew its own pages only. @return status. */
enum ael_status ael_protected_parts_explain(
    enum ael_status status, const struct ael_memory_options *options, struct ael_error *err);

#endif /* AEL_SECUREMEMORY_PROTECTED_PARTS_H */
