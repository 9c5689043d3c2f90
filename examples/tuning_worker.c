/* SPDX-License-Identifier: Apache-2.0 */
#include "tuning_worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { KEPT_BYTES_MAX = 32 << 20 }; /* what one worker keeps of large records, unless one alone is larger */

/* see tuning_worker.h */
int64_t tuning_now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* see tuning_worker.h */
void tuning_partition_name(uint64_t partition, char name[static PARTITION_NAME_BYTES]) {
    (void)snprintf(name, PARTITION_NAME_BYTES, "partition-%010" PRIu64, partition);
}

/* xorshift64*: spreads work, protects nothing. */
static uint64_t draw(struct tuning_worker *worker, uint64_t below) {
    uint64_t x = worker->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    worker->random = x;
    return (x * UINT64_C(0x2545f4914f6cdd1d) >> 32) % below;
}

/* A payload is the worker's pattern with a stamp of its own as its first bytes, so that no two are alike. */
static size_t stamp_bytes(const struct tuning_worker *worker) {
    return worker->payload.len < sizeof(uint64_t) ? worker->payload.len : sizeof(uint64_t);
}

static void stamp_payload(struct tuning_worker *worker, uint64_t stamp) {
    if (worker->payload.len > 0) {
        memcpy(worker->payload.data, &stamp, stamp_bytes(worker));
    }
}

static bool payload_matches(struct tuning_worker *worker, uint64_t stamp) {
    stamp_payload(worker, stamp);
    return worker->plain.len == worker->payload.len &&
           (worker->plain.len == 0 ||
            memcmp(worker->plain.data, worker->payload.data, worker->plain.len) == 0);
}

static enum ael_status
acquire(struct tuning_worker *worker, uint64_t partition, struct ael_session **session) {
    char name[PARTITION_NAME_BYTES];
    tuning_partition_name(partition, name);
    return ael_session_acquire(worker->run->factory, name, session, &worker->err);
}

/* The measured part of an encrypt. */
static enum ael_status encrypt(struct tuning_worker *worker, struct kept_record *kept) {
    struct ael_session *session = NULL;
    struct ael_bytes plain = ael_buf_view(&worker->payload);
    enum ael_status status = acquire(worker, kept->partition, &session);
    if (status != AEL_OK) {
        return status;
    }
    if (worker->run->options->json_records) {
        status = ael_session_encrypt_json(session, plain, &kept->json, NULL, &worker->err);
    } else {
        status = ael_session_encrypt(session, plain, &kept->record, NULL, &worker->err);
    }
    ael_session_release(session);
    return status;
}

/* The measured part of a decrypt. */
static enum ael_status decrypt(struct tuning_worker *worker, const struct kept_record *kept) {
    struct ael_session *session = NULL;
    enum ael_status status = acquire(worker, kept->partition, &session);
    if (status != AEL_OK) {
        return status;
    }
    if (worker->run->options->json_records) {
        status =
            ael_session_decrypt_json(session, ael_buf_view(&kept->json), &worker->plain, NULL, &worker->err);
    } else {
        status = ael_session_decrypt(session, &kept->record.record, &worker->plain, NULL, &worker->err);
    }
    ael_session_release(session);
    return status;
}

/* Encrypts a new payload for a random partition, in place of the oldest record kept. */
static enum ael_status encrypt_next(struct tuning_worker *worker, int64_t *ended_ns) {
    struct kept_record *kept = &worker->kept[worker->next];
    kept->partition = draw(worker, worker->run->options->partitions);
    kept->stamp = ++worker->stamps;
    stamp_payload(worker, kept->stamp);

    int64_t started_ns = tuning_now_ns();
    enum ael_status status = encrypt(worker, kept);
    *ended_ns = tuning_now_ns();
    if (status != AEL_OK) {
        return status;
    }
    histogram_add(&worker->encrypts, (uint64_t)(*ended_ns - started_ns));
    worker->next = (worker->next + 1) % worker->kept_room;
    worker->kept_count += worker->kept_count < worker->kept_room;
    return AEL_OK;
}

/* Decrypts one of the records kept and compares. */
static enum ael_status decrypt_some(struct tuning_worker *worker, int64_t *ended_ns) {
    const struct kept_record *kept = &worker->kept[draw(worker, worker->kept_count)];

    int64_t started_ns = tuning_now_ns();
    enum ael_status status = decrypt(worker, kept);
    *ended_ns = tuning_now_ns();
    if (status != AEL_OK) {
        return status;
    }
    histogram_add(&worker->decrypts, (uint64_t)(*ended_ns - started_ns));
    worker->mismatches += !payload_matches(worker, kept->stamp);
    return AEL_OK;
}

static enum ael_status step(struct tuning_worker *worker, int64_t *ended_ns) {
    bool encrypts = worker->kept_count == 0 || draw(worker, 100) < worker->run->options->mix;
    return encrypts ? encrypt_next(worker, ended_ns) : decrypt_some(worker, ended_ns);
}

/* True while there is more to do: by count, or by time. */
static bool goes_on(const struct tuning_worker *worker, uint64_t done, int64_t now_ns) {
    if (atomic_load_explicit(&worker->run->stop, memory_order_relaxed)) {
        return false;
    }
    if (worker->share > 0) {
        return done < worker->share;
    }
    return now_ns - worker->started_ns < (int64_t)worker->run->options->duration_s * 1000000000;
}

static void work(struct tuning_worker *worker) {
    int64_t now_ns = worker->started_ns;
    for (uint64_t done = 0; goes_on(worker, done, now_ns);) {
        worker->status = step(worker, &now_ns);
        if (worker->status != AEL_OK || worker->mismatches > 0) {
            atomic_store_explicit(&worker->run->stop, true, memory_order_relaxed);
            break;
        }
        done++;
        atomic_store_explicit(&worker->done, done, memory_order_relaxed);
    }
    worker->ended_ns = tuning_now_ns();
}

/* see tuning_worker.h */
void *tuning_worker_main(void *worker_) {
    struct tuning_worker *worker = worker_;
    struct tuning_run *run = worker->run;

    (void)pthread_mutex_lock(&run->lock);
    while (!run->go) {
        (void)pthread_cond_wait(&run->begin, &run->lock);
    }
    (void)pthread_mutex_unlock(&run->lock);
    worker->started_ns = tuning_now_ns();
    work(worker);
    (void)pthread_mutex_lock(&run->lock);
    run->finished++;
    (void)pthread_cond_signal(&run->changed);
    (void)pthread_mutex_unlock(&run->lock);
    return NULL;
}

/* A payload of printable text, another one for each worker. */
static enum ael_status make_payload(struct tuning_worker *worker) {
    static const char k_digits[] = "0123456789abcdefghijklmnopqrstuv";
    size_t len = (size_t)worker->run->options->payload;
    enum ael_status status = ael_buf_reserve(&worker->payload, len);
    while (status == AEL_OK && worker->payload.len < len) {
        uint8_t chunk[1024];
        size_t left = len - worker->payload.len;
        size_t n = left < sizeof chunk ? left : sizeof chunk;
        for (size_t i = 0; i < n; i++) {
            chunk[i] = (uint8_t)k_digits[draw(worker, sizeof k_digits - 1)];
        }
        status = ael_buf_append(&worker->payload, (struct ael_bytes){chunk, n});
    }
    return status;
}

/* Makes a buffer over memory of its own that is never asked for again during the run. */
static enum ael_status make_fixed(struct ael_buf *memory, struct ael_buf *fixed, size_t len) {
    enum ael_status status = ael_buf_reserve(memory, len);
    if (status == AEL_OK) {
        ael_buf_init_fixed(fixed, memory->data, memory->cap);
    }
    return status;
}

/* Sets memory aside for decrypted payloads and for the records kept. */
static enum ael_status make_room(struct tuning_worker *worker, size_t bound, bool json) {
    size_t room = KEPT_BYTES_MAX / bound;
    worker->kept_room = room < 1 ? 1 : room > KEPT_RECORDS_MAX ? KEPT_RECORDS_MAX : room;
    enum ael_status status = make_fixed(&worker->plain_memory, &worker->plain, worker->payload.len);
    for (size_t i = 0; status == AEL_OK && i < worker->kept_room; i++) {
        struct kept_record *kept = &worker->kept[i];
        status = make_fixed(&kept->memory, json ? &kept->json : &kept->record.storage, bound);
    }
    return status;
}

/* A worker that never encrypts needs records before it starts; they are no part of what is measured. */
static enum ael_status fill_room(struct tuning_worker *worker) {
    int64_t ended_ns = 0;
    while (worker->kept_count < worker->kept_room) {
        enum ael_status status = encrypt_next(worker, &ended_ns);
        if (status != AEL_OK) {
            return status;
        }
        worker->set_up_operations++;
    }
    memset(&worker->encrypts, 0, sizeof worker->encrypts);
    return AEL_OK;
}

static size_t record_bound(const struct ael_session *session, const struct tuning_options *options) {
    size_t payload = (size_t)options->payload;
    return options->json_records ? ael_session_json_bound(session, payload)
                                 : ael_session_record_bound(session, payload);
}

/* see tuning_worker.h */
enum ael_status tuning_worker_init(
    struct tuning_worker *worker, struct tuning_run *run, unsigned index, struct ael_error *err) {
    struct ael_session *session = NULL;

    worker->run = run;
    worker->random = UINT64_C(0x9e3779b97f4a7c15) * (index + 1);
    worker->stamps = (uint64_t)index << 48;
    worker->payload.max = worker->plain_memory.max = AEL_BUF_MAX_DEFAULT;
    for (size_t i = 0; i < KEPT_RECORDS_MAX; i++) {
        worker->kept[i].memory.max = AEL_BUF_MAX_DEFAULT;
    }
    enum ael_status status = make_payload(worker);
    if (status == AEL_OK) {
        status = acquire(worker, 0, &session);
    }
    if (status == AEL_OK) {
        status = make_room(worker, record_bound(session, run->options), run->options->json_records);
    }
    ael_session_release(session);
    if (status == AEL_OK && run->options->mix == 0) {
        status = fill_room(worker);
    }
    *err = worker->err;
    return status;
}

/* see tuning_worker.h */
void tuning_worker_clear(struct tuning_worker *worker) {
    ael_buf_clear(&worker->payload);
    ael_buf_clear(&worker->plain);
    ael_buf_clear(&worker->plain_memory);
    for (size_t i = 0; i < KEPT_RECORDS_MAX; i++) {
        ael_buf_clear(&worker->kept[i].memory);
    }
}
