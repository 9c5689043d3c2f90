/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/residency/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* see tests/residency/inside.h */
void inside_drop(struct inside *inside) {
    for (size_t i = 0; i < inside->count; i++) {
        free(inside->pages[i].bytes);
    }
    inside->count = 0;
    inside->counts = (struct wire_counts){.slots_filled = 0};
}

/* see tests/residency/inside.h */
void inside_clear(struct inside *inside) {
    inside_drop(inside);
    explicit_bzero(inside, sizeof *inside);
}

/* see tests/residency/inside.h */
bool inside_take(struct inside *inside, const struct wire_message *message, uint8_t *bytes) {
    if (message->number == WIRE_PART_NONE) {
        inside_drop(inside);
        free(bytes);
        return true;
    }
    if (inside->count == INSIDE_PAGES_MAX) {
        free(bytes);
        return false;
    }
    inside->pages[inside->count++] =
        (struct inside_pages){(enum wire_part)message->number, message->address, message->len, bytes};
    return true;
}

/* see tests/residency/inside.h */
bool inside_holds(const struct inside *inside, uint64_t address) {
    for (size_t i = 0; i < inside->count; i++) {
        const struct inside_pages *pages = &inside->pages[i];
        if (address >= pages->address && address - pages->address < pages->len) {
            return true;
        }
    }
    return false;
}

/* -- root keys -- */

/* An expanded key is known by its look: the round keys follow from the first two. */
static bool is_schedule(const uint8_t *at) {
    static const uint8_t k_zero[RESIDENCY_KEY_BYTES];
    uint8_t schedule[RESIDENCY_SCHEDULE_BYTES];
    if (memcmp(at, k_zero, sizeof k_zero) == 0) {
        return false;
    }
    residency_expand(at, schedule);
    return memcmp(schedule, at, sizeof schedule) == 0;
}

static bool is_known(const struct inside *inside, const uint8_t *root) {
    for (size_t i = 0; i < inside->root_count; i++) {
        if (memcmp(inside->roots[i], root, RESIDENCY_KEY_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static bool learn(struct inside *inside, const uint8_t *root) {
    if (is_known(inside, root)) {
        return true;
    }
    if (inside->root_count == INSIDE_ROOTS_MAX) {
        return false;
    }
    memcpy(inside->roots[inside->root_count++], root, RESIDENCY_KEY_BYTES);
    return true;
}

/* Without AES instructions root keys are plain keys of another cipher, which no look tells. */
static bool
learn_roots(struct inside *inside, const struct inside_pages *pages, struct residency_needles *needles) {
    size_t found = 0;
    bool good = true;
    for (size_t at = 0; good && at + RESIDENCY_SCHEDULE_BYTES <= pages->len; at += 8) {
        if (is_schedule(pages->bytes + at)) {
            found++;
            good = learn(inside, pages->bytes + at);
        }
    }
    inside->roots_there = found;
    return found > 0 ? good : residency_add_bytes(needles, "root", pages->bytes, pages->len);
}

/* see tests/residency/inside.h */
bool inside_add_secrets(struct inside *inside, struct residency_needles *needles) {
    bool good = true;
    inside->roots_there = 0;
    for (size_t i = 0; good && i < inside->count; i++) {
        const struct inside_pages *pages = &inside->pages[i];
        if (pages->part == WIRE_PART_ROOTS) {
            good = learn_roots(inside, pages, needles);
        } else if (pages->part == WIRE_PART_GENERATOR) {
            good = residency_add_bytes(needles, "generator", pages->bytes, pages->len);
        }
    }
    for (size_t i = 0; good && i < inside->root_count; i++) {
        good = residency_add_key(needles, "root", inside->roots[i]);
    }
    return good;
}

/* -- what is there -- */

struct look_inside {
    const struct residency_needles *needles;
    const struct inside_pages *pages;
    uint8_t *explained; /* a byte for each of the pages', 1 where a needle lies */
    size_t wrong;
};

static bool may_be_there(enum wire_part part, const char *label) {
    switch (part) {
    case WIRE_PART_ROOTS:
        return strcmp(label, "root") == 0;
    case WIRE_PART_GENERATOR:
        return strcmp(label, "generator") == 0;
    case WIRE_PART_HOT:
        return strcmp(label, "IK") == 0;
    case WIRE_PART_SLOT:
    case WIRE_PART_OWN:
        return strcmp(label, "user") == 0;
    default:
        return false;
    }
}

static void judge(void *context, const struct residency_needle *needle, size_t offset) {
    struct look_inside *look = context;
    const char *label = look->needles->labels[needle->secret];
    memset(look->explained + offset, 1, needle->len);
    if (!may_be_there(look->pages->part, label)) {
        look->wrong++;
        printf(
            "\n    %s %s %u in protected part %d at %zu", label,
            residency_form_name((enum residency_form)needle->form), needle->part, (int)look->pages->part,
            offset);
    }
}

/* The page of the root keys holds them, and a canary, and nothing else. */
static size_t unexplained(const struct look_inside *look, const struct wire_counts *counts) {
    size_t bytes = 0;
    const uint8_t *canary =
        memmem(look->pages->bytes, look->pages->len, counts->canary, sizeof counts->canary);
    if (canary != NULL) {
        memset(look->explained + (canary - look->pages->bytes), 1, sizeof counts->canary);
    }
    for (size_t i = 0; i < look->pages->len; i++) {
        bytes += look->pages->bytes[i] != 0 && look->explained[i] == 0;
    }
    return look->pages->part == WIRE_PART_ROOTS ? bytes : 0;
}

static bool check_pages(
    const struct inside_pages *pages, const struct wire_counts *counts, struct residency_needles *needles) {
    struct look_inside look = {needles, pages, calloc(pages->len, 1), 0};
    bool good = look.explained != NULL &&
                residency_search(needles, pages->bytes, pages->len, pages->len, judge, &look) &&
                look.wrong == 0;
    size_t rest = good ? unexplained(&look, counts) : 0;
    if (rest > 0) {
        printf("\n    %zu bytes beside the root keys in their page", rest);
    }
    free(look.explained);
    return good && rest == 0;
}

static bool check_counts(const struct wire_counts *counts) {
    bool good = counts->slots_filled == counts->slots_with_bytes &&
                counts->scratch_in_use == counts->scratch_with_bytes &&
                counts->large_regions == counts->own_pages && counts->hot_filled == counts->hot_with_bytes;
    if (!good) {
        printf(
            "\n    statistics and pages differ: slots %d, %d; scratch %d, %d; large %d, %d; hot %d, %d",
            (int)counts->slots_filled, (int)counts->slots_with_bytes, (int)counts->scratch_in_use,
            (int)counts->scratch_with_bytes, (int)counts->large_regions, (int)counts->own_pages,
            (int)counts->hot_filled, (int)counts->hot_with_bytes);
    }
    return good;
}

/* see tests/residency/inside.h */
bool inside_check(const struct inside *inside, struct residency_needles *needles) {
    bool good = check_counts(&inside->counts);
    bool settled = inside->counts.rekeys == 0 && inside->roots_there > 0; /* no sweep in the background */
    if (settled && inside->counts.roots != inside->roots_there) {
        printf(
            "\n    %zu root keys, and %d by the statistics", inside->roots_there, (int)inside->counts.roots);
        good = false;
    }
    for (size_t i = 0; i < inside->count; i++) {
        good = check_pages(&inside->pages[i], &inside->counts, needles) && good;
    }
    return good;
}
