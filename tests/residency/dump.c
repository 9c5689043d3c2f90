/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/residency/dump.h"

#include "securememory/protected.h"
#include "tests/residency/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SETTLING_LOOKS = 20000 };

static struct wire_counts g_counts;

static bool has_bytes(const uint8_t *bytes, size_t len) {
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any != 0;
}

/* Whether the pages can be read now: the kernel is asked, so that no fault answers. */
static bool is_readable(const struct ael_pages *pages) {
    struct iovec part = {pages->bytes, 1};
    int ends[2];
    bool readable = pipe2(ends, O_CLOEXEC) == 0 && writev(ends[1], &part, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return readable;
}

static void count_pages(enum wire_part part, const struct ael_pages *pages) {
    const uint8_t *bytes = pages->bytes;
    if (part == WIRE_PART_SLOT) {
        g_counts.slots_with_bytes += has_bytes(bytes, pages->len);
    } else if (part == WIRE_PART_OWN) {
        g_counts.own_pages++;
    } else if (part == WIRE_PART_HOT) {
        for (uint32_t i = 0; i < ael_protected()->hot.count; i++) {
            g_counts.hot_with_bytes += has_bytes(bytes + (size_t)i * AEL_HOT_KEY_BYTES, AEL_HOT_KEY_BYTES);
        }
    } else if (part == WIRE_PART_SCRATCH) {
        uint32_t slots = ael_protected()->scratch.slots;
        const uint8_t *slot = bytes + pages->len - (size_t)slots * AEL_SCRATCH_STRIDE;
        for (uint32_t i = 0; i < slots; i++, slot += AEL_SCRATCH_STRIDE) {
            g_counts.scratch_with_bytes += has_bytes(slot + AEL_SCRATCH_CANARY_BYTES, AEL_SCRATCH_BYTES);
        }
    }
}

/* Lets a lease run out, so that the pages are not closed while they are sent; what stays open stays so. */
static bool stays_readable(const struct ael_pages *pages) {
    if (ael_protected()->policy.level == AEL_PROTECTION_OPEN) {
        return is_readable(pages);
    }
    for (int i = 0; i < SETTLING_LOOKS && is_readable(pages); i++) {
        sched_yield();
    }
    return is_readable(pages);
}

/* Closed pages are closed again. The warden closes only what it knows to be open, so it does not meet us. */
static bool send_pages(int fd, enum wire_part part, const struct ael_pages *pages) {
    if (pages->bytes == NULL) {
        return true;
    }
    struct wire_message message = {
        .type = WIRE_PAGES,
        .len = (uint32_t)pages->len,
        .pid = getpid(),
        .number = part,
        .address = (uint64_t)(uintptr_t)pages->bytes};
    bool was_open = stays_readable(pages);
    bool good = was_open || ael_pages_set_access(pages, AEL_PAGES_READ) == AEL_OK;
    if (good) {
        ael_pkey_begin(pages->key, false);
        count_pages(part, pages);
        good = wire_send(fd, &message, pages->bytes);
        ael_pkey_end(pages->key);
    }
    return (was_open || ael_pages_set_access(pages, AEL_PAGES_CLOSED) == AEL_OK) && good;
}

_Static_assert((int)AEL_ROOTS_CANARY_BYTES <= (int)WIRE_CANARY_BYTES, "it is sent whole");

static bool send_counts(int fd) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    struct wire_message message = {.type = WIRE_COUNTS, .len = sizeof g_counts, .pid = getpid()};
    bool good = ael_memory_stats(&stats) == AEL_OK;
    g_counts.slots_filled = stats.secret_slots_filled;
    g_counts.scratch_in_use = stats.scratch_slots_in_use;
    g_counts.large_regions = stats.large_regions;
    g_counts.hot_filled = stats.hot_keys_filled;
    g_counts.roots = stats.roots;
    g_counts.rekeys = stats.rekeys;
    memcpy(g_counts.canary, ael_protected()->roots.canary, AEL_ROOTS_CANARY_BYTES);
    return good && wire_send(fd, &message, &g_counts);
}

/* see tests/residency/dump.h */
bool dump_protected(int fd) {
    const struct wire_message begin = {.type = WIRE_PAGES, .pid = getpid(), .number = WIRE_PART_NONE};
    const struct ael_protected *memory = ael_protected();
    g_counts = (struct wire_counts){.slots_filled = 0};
    bool good = wire_send(fd, &begin, NULL) && send_pages(fd, WIRE_PART_ROOTS, &memory->roots.region.pages) &&
                send_pages(fd, WIRE_PART_SCRATCH, &memory->scratch.region.pages) &&
                send_pages(fd, WIRE_PART_GENERATOR, &memory->generator.region.pages) &&
                send_pages(fd, WIRE_PART_HOT, &memory->hot.region.pages);
    for (size_t i = 0; good && i < memory->slots.count; i++) {
        good = send_pages(fd, WIRE_PART_SLOT, &memory->slots.slots[i].pages);
    }
    for (const struct ael_own_pages *own = memory->large.first; good && own != NULL; own = own->next) {
        good = send_pages(fd, WIRE_PART_OWN, &own->pages);
    }
    return good && send_counts(fd);
}
