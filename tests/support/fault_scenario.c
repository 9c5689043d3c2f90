/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fault_scenario.h"

#include <poll.h>
#include <string.h>

static const char k_payload[] = "what was encrypted must come back";

static struct ael_bytes payload(void) {
    return (struct ael_bytes){(const uint8_t *)k_payload, sizeof k_payload};
}

static bool is_payload(const struct ael_buf *plain) {
    return plain->len == sizeof k_payload && memcmp(plain->data, k_payload, sizeof k_payload) == 0;
}

static void violate(struct fault_run *run, const char *what) {
    run->violation = run->violation == NULL ? what : run->violation;
}

/* Notes a step; true when it went well. Outputs must be right after AEL_OK and empty after a failure. */
static bool note(struct fault_run *run, const char *step, enum ael_status status, bool right, bool empty) {
    if (status == AEL_OK && !right) {
        violate(run, "AEL_OK with a wrong output");
    } else if (status != AEL_OK && !empty) {
        violate(run, "output after a failure");
    }
    if (status != AEL_OK && run->status == AEL_OK) {
        run->status = status;
        run->step = step;
    }
    return status == AEL_OK;
}

/* see tests/support/fault_scenario.h */
enum ael_status fault_scenario_kms(void *context, struct ael_kms **kms, struct ael_error *err) {
    (void)context;
    uint8_t key[32];
    static const uint8_t zero[32] = {0};
    memset(key, 0x5a, sizeof key);
    enum ael_status status = ael_kms_static_from_bytes(key, sizeof key, kms, err);
    return memcmp(key, zero, sizeof key) == 0 ? status
                                              : AEL_E_CORRUPTED; /* not wiped: shows as an odd status */
}

/* see tests/support/fault_scenario.h */
enum ael_status
fault_scenario_memory(void *context, struct ael_metastore **metastore, struct ael_error *err) {
    (void)context;
    (void)err;
    return ael_metastore_memory_new(metastore);
}

static enum ael_status
make_factory(struct ael_metastore *metastore, struct ael_kms *kms, struct ael_session_factory **factory) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    options.service = "service";
    options.product = "product";
    options.metastore = metastore;
    options.kms = kms;
    return ael_session_factory_new(&options, factory, NULL);
}

static void walk_struct(struct ael_session *session, struct fault_run *run) {
    struct ael_buf plain = AEL_BUF_INIT;
    enum ael_status status = ael_session_encrypt(session, payload(), &run->record, NULL, NULL);
    bool empty =
        run->record.storage.len == 0 && run->record.record.data.len == 0 && run->record.record.key.len == 0;
    if (note(run, "encrypt", status, run->record.record.data.len == sizeof k_payload + 28, empty)) {
        status = ael_session_decrypt(session, &run->record.record, &plain, NULL, NULL);
        note(run, "decrypt", status, is_payload(&plain), plain.len == 0);
    }
    ael_buf_clear(&plain);
}

static void walk_json(struct ael_session *session, struct fault_run *run) {
    struct ael_buf plain = AEL_BUF_INIT;
    enum ael_status status = ael_session_encrypt_json(session, payload(), &run->json, NULL, NULL);
    if (note(run, "encrypt_json", status, run->json.len > 0, run->json.len == 0)) {
        status = ael_session_decrypt_json(session, ael_buf_view(&run->json), &plain, NULL, NULL);
        note(run, "decrypt_json", status, is_payload(&plain), plain.len == 0);
    }
    ael_buf_clear(&plain);
}

static enum ael_status keep_record(void *context, const struct ael_record *record, void **key) {
    *key = context;
    return ael_record_buf_set(context, record);
}

static enum ael_status give_record(void *context, const void *key, struct ael_record_buf *out) {
    (void)context;
    const struct ael_record_buf *kept = key;
    return ael_record_buf_set(out, &kept->record);
}

static void walk_callbacks(struct ael_session *session, struct fault_run *run) {
    struct ael_record_buf kept = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    void *key = NULL;
    enum ael_status status = ael_session_store(session, payload(), keep_record, &kept, &key, NULL, NULL);
    if (note(run, "store", status, key == &kept, true)) {
        status = ael_session_load(session, key, give_record, NULL, &plain, NULL, NULL);
        note(run, "load", status, is_payload(&plain), plain.len == 0);
    }
    ael_record_buf_clear(&kept);
    ael_buf_clear(&plain);
}

enum { BATCH = 3, ROUNDS = 3, PATIENCE_MS = 60000 };

/* Every item has a status, and an output or none by it. */
static void check_items(const struct ael_encrypt_item *items, struct fault_run *run) {
    for (size_t i = 0; i < BATCH; i++) {
        if ((items[i].status == AEL_OK) != (items[i].out->record.data.len == sizeof k_payload + 28)) {
            violate(run, "an item of a batch whose output is not as its status");
        }
    }
}

static void walk_batch(struct ael_session *session, struct fault_run *run) {
    struct ael_record_buf records[BATCH];
    struct ael_buf plains[BATCH];
    struct ael_encrypt_item seal[BATCH];
    struct ael_decrypt_item open[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        records[i] = (struct ael_record_buf)AEL_RECORD_BUF_INIT;
        plains[i] = (struct ael_buf)AEL_BUF_INIT;
        seal[i] = (struct ael_encrypt_item){session, payload(), &records[i], AEL_E_BUSY};
        open[i] = (struct ael_decrypt_item){session, &records[i].record, &plains[i], AEL_E_BUSY};
    }
    if (note(run, "batch_encrypt", ael_batch_encrypt(seal, BATCH, NULL, NULL), true, true)) {
        enum ael_status status = ael_batch_decrypt(open, BATCH, NULL, NULL);
        note(run, "batch_decrypt", status, is_payload(&plains[0]) && is_payload(&plains[BATCH - 1]), true);
    }
    check_items(seal, run);
    for (size_t i = 0; i < BATCH; i++) {
        ael_record_buf_clear(&records[i]);
        ael_buf_clear(&plains[i]);
    }
}

static void walk_batch_json(struct ael_session *session, struct fault_run *run) {
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_encrypt_json_item seal = {session, payload(), &json, AEL_E_BUSY};
    enum ael_status status = ael_batch_encrypt_json(&seal, 1, NULL, NULL);
    if (note(run, "batch_encrypt_json", status, json.len > 0, json.len == 0)) {
        struct ael_decrypt_json_item open = {session, ael_buf_view(&json), &plain, AEL_E_BUSY};
        status = ael_batch_decrypt_json(&open, 1, NULL, NULL);
        note(run, "batch_decrypt_json", status, is_payload(&plain), plain.len == 0);
    }
    ael_buf_clear(&json);
    ael_buf_clear(&plain);
}

static void walk_warm(struct ael_session_factory *factory, struct fault_run *run) {
    struct ael_warm_item item = {ael_bytes_from_text("warmed"), AEL_E_BUSY};
    enum ael_status status = ael_session_factory_warm(factory, &item, 1, NULL, NULL);
    note(run, "warm", status, item.status == AEL_OK, item.status == status);
}

/* What came of a wait, told through its queue in any case. */
static enum ael_status await(struct ael_wait_queue *queue, struct fault_run *run) {
    struct pollfd fd = {.fd = ael_wait_queue_fd(queue), .events = POLLIN};
    enum ael_status status = AEL_E_BUSY;
    if (poll(&fd, 1, PATIENCE_MS) != 1 || !ael_wait_queue_next(queue, NULL, NULL, &status)) {
        violate(run, "a wait that nobody tells of");
    }
    return status;
}

static void try_until_done(
    struct ael_session *session, struct ael_wait *wait, struct ael_wait_queue *queue, struct fault_run *run) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    enum ael_status status = AEL_E_WOULD_BLOCK;
    enum ael_status told = AEL_OK;
    for (int round = 0; round < ROUNDS && status == AEL_E_WOULD_BLOCK && told == AEL_OK; round++) {
        status = ael_session_try_encrypt(session, payload(), &record, NULL, wait, NULL);
        told = status == AEL_E_WOULD_BLOCK ? await(queue, run) : AEL_OK;
    }
    status = told != AEL_OK ? told : status;
    note(run, "try_encrypt", status, record.record.data.len == sizeof k_payload + 28, record.storage.len == 0);
    ael_record_buf_clear(&record);
}

static void walk_try(struct ael_session_factory *factory, struct fault_run *run) {
    struct ael_session *session = NULL;
    struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
    struct ael_wait *wait = NULL;
    enum ael_status status = ael_wait_queue_new(&options.queue);
    if (note(run, "wait_queue_new", status, options.queue != NULL, options.queue == NULL)) {
        status = ael_wait_new(&options, &wait);
        if (note(run, "wait_new", status, wait != NULL, wait == NULL)) {
            status = ael_session_acquire(factory, "tried", &session, NULL);
            if (note(run, "session_acquire", status, session != NULL, session == NULL)) {
                try_until_done(session, wait, options.queue, run);
            }
        }
    }
    ael_wait_free(wait);
    ael_wait_queue_free(options.queue);
    ael_session_release(session);
}

static void walk_session(struct ael_session_factory *factory, struct fault_run *run) {
    struct ael_session *session = NULL;
    enum ael_status status = ael_session_acquire(factory, "partition", &session, NULL);
    if (note(run, "session_acquire", status, session != NULL, session == NULL)) {
        walk_struct(session, run);
        walk_json(session, run);
        walk_callbacks(session, run);
        walk_batch(session, run);
        walk_batch_json(session, run);
    }
    ael_session_release(session);
    walk_warm(factory, run);
    walk_try(factory, run);
}

static void walk_factory(struct ael_kms *kms, struct fault_run *run) {
    struct ael_session_factory *factory = NULL;
    enum ael_status status = make_factory(run->metastore, kms, &factory);
    if (note(run, "session_factory_new", status, factory != NULL, factory == NULL)) {
        walk_session(factory, run);
    }
    ael_session_factory_free(factory);
}

/* -- secrets -- */

enum { SMALL_LEN = 32, LARGE_LEN = 5000 };

static bool is_all(struct ael_bytes bytes, uint8_t value) {
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] != value) {
            return false;
        }
    }
    return true;
}

static void walk_access(struct ael_secret *secret, bool random, struct fault_run *run) {
    struct ael_secret_access access;
    enum ael_status status = ael_secret_access_begin(secret, &access);
    bool right = access.bytes.len == ael_secret_len(secret) && (random || is_all(access.bytes, 's'));
    if (note(run, "secret_access_begin", status, right, access.bytes.data == NULL)) {
        status = ael_secret_access_end(&access);
        note(run, "secret_access_end", status, access.bytes.data == NULL, access.bytes.data == NULL);
    }
}

static void walk_reader(struct ael_secret *secret, struct fault_run *run) {
    struct ael_secret_reader *reader = NULL;
    uint8_t out[SMALL_LEN] = {0};
    size_t n = 0;
    enum ael_status status = ael_secret_reader_new(secret, &reader);
    if (note(run, "secret_reader_new", status, reader != NULL, reader == NULL)) {
        status = ael_secret_reader_read(reader, out, sizeof out, &n);
        status = status == AEL_EOF ? AEL_OK : status;
        note(
            run, "secret_reader_read", status, n == sizeof out,
            n == 0 && is_all((struct ael_bytes){out, sizeof out}, 0));
    }
    ael_secret_reader_free(reader);
    memset(out, 0, sizeof out);
}

static void walk_secret(size_t len, bool random, struct fault_run *run) {
    uint8_t source[LARGE_LEN];
    struct ael_secret *secret = NULL;
    memset(source, 's', sizeof source);
    enum ael_status status =
        random ? ael_secret_new_random(len, &secret) : ael_secret_new(source, len, &secret);
    if (!random && !is_all((struct ael_bytes){source, len}, 0)) {
        violate(run, "a source that is not wiped");
    }
    if (note(run, "secret_new", status, secret != NULL, secret == NULL)) {
        walk_access(secret, random, run);
        walk_access(secret, random, run);
        if (len == SMALL_LEN) {
            walk_reader(secret, run);
        }
        status = ael_secret_close(secret);
        note(run, "secret_close", status, ael_secret_is_closed(secret), ael_secret_is_closed(secret));
    }
    ael_secret_release(secret);
}

static bool walk_memory(const struct fault_edges *edges, struct fault_run *run) {
    if (edges->memory == NULL) {
        return true;
    }
    if (!note(run, "memory_configure", ael_memory_configure(edges->memory, NULL), true, true)) {
        return false;
    }
    walk_secret(SMALL_LEN, false, run);
    walk_secret(SMALL_LEN, true, run);
    walk_secret(LARGE_LEN, false, run);
    walk_secret(LARGE_LEN - SMALL_LEN, true, run);
    return true;
}

/* see tests/support/fault_scenario.h */
void fault_scenario_walk(const struct fault_edges *edges, struct fault_run *run) {
    *run = (struct fault_run){AEL_OK, "", NULL, NULL, AEL_RECORD_BUF_INIT, AEL_BUF_INIT};
    struct ael_kms *kms = NULL;
    if (!walk_memory(edges, run)) {
        return;
    }
    enum ael_status status = edges->open_metastore(edges->context, &run->metastore, NULL);
    if (note(run, "open_metastore", status, run->metastore != NULL, run->metastore == NULL)) {
        status = edges->open_kms(edges->context, &kms, NULL);
        if (note(run, "open_kms", status, kms != NULL, kms == NULL)) {
            walk_factory(kms, run);
        }
    }
    ael_kms_release(kms);
    if (run->status == AEL_E_CORRUPTED) {
        violate(run, "corruption that nobody made");
    }
}

static bool opens(struct ael_session *session, struct fault_run *run) {
    struct ael_buf plain = AEL_BUF_INIT;
    bool good = true;
    if (run->record.record.data.len != 0) {
        good = ael_session_decrypt(session, &run->record.record, &plain, NULL, NULL) == AEL_OK &&
               is_payload(&plain);
    }
    if (good && run->json.len != 0) {
        good = ael_session_decrypt_json(session, ael_buf_view(&run->json), &plain, NULL, NULL) == AEL_OK &&
               is_payload(&plain);
    }
    ael_buf_clear(&plain);
    return good;
}

static bool opens_elsewhere(struct fault_run *run) {
    struct ael_kms *kms = NULL;
    struct ael_session_factory *factory = NULL;
    struct ael_session *session = NULL;
    bool good = fault_scenario_kms(NULL, &kms, NULL) == AEL_OK &&
                make_factory(run->metastore, kms, &factory) == AEL_OK &&
                ael_session_acquire(factory, "partition", &session, NULL) == AEL_OK && opens(session, run);
    ael_session_release(session);
    ael_session_factory_free(factory);
    ael_kms_release(kms);
    return good;
}

/* see tests/support/fault_scenario.h */
bool fault_scenario_check(struct fault_run *run) {
    if (run->metastore != NULL && !opens_elsewhere(run)) {
        violate(run, "a record that nobody else can decrypt");
    }
    ael_record_buf_clear(&run->record);
    ael_buf_clear(&run->json);
    ael_metastore_release(run->metastore);
    run->metastore = NULL;
    return run->violation == NULL;
}
