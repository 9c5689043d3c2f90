/*
 * tests/residency/plant.h - copies of a key that must be found: each scenario has one where it is about.
 *
 * The planted key comes from the watcher and is nobody else's, so it is told apart from the library's own.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_RESIDENCY_PLANT_H
#define TESTS_RESIDENCY_PLANT_H

#include <stdbool.h>
#include <stdint.h>

enum plant_place {
    PLANT_HEAP,
    PLANT_FREED,
    PLANT_STATIC,
    PLANT_TLS,
    PLANT_STACK, /* of the thread that stands still */
    PLANT_THREAD_STACK,
    PLANT_ENDED_THREAD, /* the stack of a thread that is no more, which libc keeps */
    PLANT_SIGNAL_STACK,
    PLANT_STDIO,
    PLANT_MAPPED,
    PLANT_SHARED,
    PLANT_SQLITE,
    PLANT_CLOSED, /* an ordinary mapping without access */
};

enum plant_form {
    PLANT_RAW,
    PLANT_HALF,
    PLANT_SCHEDULE,
    PLANT_SWAPPED_SCHEDULE,
    PLANT_INVERSE_SCHEDULE,
    PLANT_HASH_KEY,
    PLANT_HASH_SQUARE,
    PLANT_HEX,
    PLANT_BASE64,
};

/* Writes the 32 bytes to where it is told; false when there are none. */
typedef bool (*plant_source_fn)(void *context, uint8_t *key);

/* Plants a copy in any place but the stack of who stands still. */
bool plant_copy(enum plant_place place, enum plant_form form, plant_source_fn source, void *context);

/* Writes a form of the key over 64 zero bytes. */
bool plant_form(enum plant_form form, plant_source_fn source, void *context, uint8_t out[64]);

#endif /* TESTS_RESIDENCY_PLANT_H */
