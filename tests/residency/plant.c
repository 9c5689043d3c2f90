/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/residency/plant.h"

#include "base/wipe.h"
#include "tests/support/base64.h"
#include "tools/residency/key_forms.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { COPY_BYTES = 64, HEAP_BYTES = 744, DEEP_BYTES = 8192, SIGNAL_STACK_BYTES = 65536 };

static uint8_t g_static[COPY_BYTES];
static _Thread_local uint8_t t_copy[COPY_BYTES];
static void *volatile g_keep; /* what is planted on the heap stays there */

struct planting {
    enum plant_form form;
    plant_source_fn source;
    void *context;
    bool good;
};

/* -- forms -- */

static void write_hex(const uint8_t *key, uint8_t *out) {
    for (size_t i = 0; i < RESIDENCY_KEY_BYTES; i++) {
        out[2 * i] = (uint8_t) "0123456789abcdef"[key[i] >> 4];
        out[2 * i + 1] = (uint8_t) "0123456789abcdef"[key[i] & 15];
    }
}

static void write_base64(const uint8_t *key, uint8_t *out) {
    uint8_t bytes[RESIDENCY_KEY_BYTES + 1] = {'x'};
    memcpy(bytes + 1, key, RESIDENCY_KEY_BYTES);
    char *text = test_base64_encode(bytes, sizeof bytes);
    if (text != NULL) {
        memcpy(out, text, 44);
        explicit_bzero(text, 44);
    }
    free(text);
    explicit_bzero(bytes, sizeof bytes);
}

static void write_schedule(enum plant_form form, const uint8_t *key, uint8_t *out) {
    uint8_t schedule[RESIDENCY_SCHEDULE_BYTES];
    uint8_t inverse[RESIDENCY_SCHEDULE_BYTES];
    residency_expand(key, schedule);
    residency_invert(schedule, inverse);
    for (size_t i = 0; i < 32; i++) {
        out[i] = form == PLANT_SWAPPED_SCHEDULE   ? schedule[160 + (i ^ 3)]
                 : form == PLANT_INVERSE_SCHEDULE ? inverse[64 + i]
                                                  : schedule[160 + i];
    }
    explicit_bzero(schedule, sizeof schedule);
    explicit_bzero(inverse, sizeof inverse);
}

/* As one little-endian number, as carry-less multiplication has it. */
static void write_hash_key(enum plant_form form, const uint8_t *key, uint8_t *out) {
    uint8_t schedule[RESIDENCY_SCHEDULE_BYTES];
    uint8_t power[16];
    residency_expand(key, schedule);
    residency_hash_key(schedule, power);
    if (form == PLANT_HASH_SQUARE) {
        residency_multiply(power, power, power);
        residency_over_x(power);
    }
    for (size_t i = 0; i < sizeof power; i++) {
        out[i] = power[15 - i];
    }
    explicit_bzero(schedule, sizeof schedule);
    explicit_bzero(power, sizeof power);
}

static void write_form(enum plant_form form, const uint8_t *key, uint8_t *out) {
    switch (form) {
    case PLANT_HEX:
        write_hex(key, out);
        return;
    case PLANT_BASE64:
        write_base64(key, out);
        return;
    case PLANT_HASH_KEY:
    case PLANT_HASH_SQUARE:
        write_hash_key(form, key, out);
        return;
    case PLANT_HALF:
        memcpy(out, key + 16, 16);
        return;
    default:
        write_schedule(form, key, out);
        return;
    }
}

/* see tests/residency/plant.h */
bool plant_form(enum plant_form form, plant_source_fn source, void *context, uint8_t out[64]) {
    uint8_t key[RESIDENCY_KEY_BYTES];
    if (form == PLANT_RAW) {
        return source(context, out);
    }
    bool good = source(context, key);
    write_form(form, key, out);
    explicit_bzero(key, sizeof key);
    ael_wipe_stack();
    return good;
}

/* -- places -- */

static bool plant_at(struct planting *planting, void *place) {
    return place != NULL && plant_form(planting->form, planting->source, planting->context, place);
}

/* Behind what free writes into a chunk, which is of a size that nobody else asks for. */
static bool plant_on_heap(struct planting *planting, bool freed) {
    uint8_t *chunk = calloc(1, HEAP_BYTES);
    bool good = chunk != NULL && plant_at(planting, chunk + 48);
    if (freed) {
        free(chunk);
        chunk = NULL;
    }
    g_keep = chunk;
    return good;
}

/* The copy lies deep in the frame, out of the way of what the thread does when it ends. */
static __attribute__((noinline)) void plant_deep(struct planting *planting) {
    volatile uint8_t frame[DEEP_BYTES];
    memset((void *)(uintptr_t)frame, 0, sizeof frame);
    planting->good = plant_at(planting, (void *)(uintptr_t)frame);
    frame[sizeof frame - 1] = 1;
}

static void *be_ended_thread(void *context) {
    plant_deep(context);
    return NULL;
}

static pthread_barrier_t g_planted;

static __attribute__((noinline)) void *be_waiting_thread(void *context) {
    struct planting *planting = context;
    volatile uint8_t copy[COPY_BYTES + 1] = {0};
    planting->good = plant_at(planting, (void *)(uintptr_t)copy);
    pthread_barrier_wait(&g_planted);
    do {
        pause();
    } while (copy[COPY_BYTES] == 0); /* for good */
    return NULL;
}

static bool plant_on_thread(struct planting *planting, bool ends) {
    pthread_t thread;
    pthread_barrier_init(&g_planted, NULL, 2);
    if (pthread_create(&thread, NULL, ends ? be_ended_thread : be_waiting_thread, planting) != 0) {
        return false;
    }
    if (ends) {
        pthread_join(thread, NULL);
    } else {
        pthread_barrier_wait(&g_planted);
        pthread_detach(thread);
    }
    return planting->good;
}

static struct planting *g_planting;

static void plant_in_handler(int number) {
    (void)number;
    plant_deep(g_planting);
}

static bool plant_on_signal_stack(struct planting *planting) {
    static uint8_t stack[SIGNAL_STACK_BYTES];
    const stack_t ours = {.ss_sp = stack, .ss_size = sizeof stack};
    const struct sigaction action = {.sa_handler = plant_in_handler, .sa_flags = SA_ONSTACK};
    g_planting = planting;
    return sigaltstack(&ours, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0 && raise(SIGUSR2) == 0 &&
           planting->good;
}

static bool plant_in_stdio(struct planting *planting) {
    static char buffer[4096];
    char text[COPY_BYTES + 1] = "";
    FILE *file = fopen("/dev/null", "we");
    bool good = file != NULL && setvbuf(file, buffer, _IOFBF, sizeof buffer) == 0 &&
                plant_at(planting, text) && fprintf(file, "key: %s\n", text) > 5;
    explicit_bzero(text, sizeof text);
    g_keep = file;
    return good;
}

static bool plant_mapped(struct planting *planting, int sharing, int protection) {
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && plant_at(planting, page + 1000) && mprotect(page, 4096, protection) == 0;
}

/* see tests/residency/plant.h */
bool plant_copy(enum plant_place place, enum plant_form form, plant_source_fn source, void *context) {
    struct planting planting = {form, source, context, false};
    switch (place) {
    case PLANT_HEAP:
    case PLANT_FREED:
        return plant_on_heap(&planting, place == PLANT_FREED);
    case PLANT_STATIC:
        return plant_at(&planting, g_static);
    case PLANT_TLS:
        return plant_at(&planting, t_copy);
    case PLANT_THREAD_STACK:
    case PLANT_ENDED_THREAD:
        return plant_on_thread(&planting, place == PLANT_ENDED_THREAD);
    case PLANT_SIGNAL_STACK:
        return plant_on_signal_stack(&planting);
    case PLANT_STDIO:
        return plant_in_stdio(&planting);
    case PLANT_SQLITE:
        return plant_at(&planting, sqlite3_malloc(COPY_BYTES));
    case PLANT_MAPPED:
        return plant_mapped(&planting, MAP_PRIVATE, PROT_READ);
    case PLANT_SHARED:
        return plant_mapped(&planting, MAP_SHARED, PROT_READ);
    case PLANT_CLOSED:
        return plant_mapped(&planting, MAP_PRIVATE, PROT_NONE);
    case PLANT_STACK:
        break;
    }
    return false;
}
