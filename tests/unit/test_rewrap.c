/*
 * tests/unit/test_rewrap.c - moving system keys: what is moved and what is not, refusals at every step, and who else
 * changes the rows meanwhile.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/kms_chain.h>
#include <ael/rewrap.h>
#include <ael/sys/metastore_backend.h>

#include "tests/support/fake_kms.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

enum { CREATED = 1795255320, OLD = 0x11, NEW = 0x22, OTHER = 0x33, FOREVER = 1000 };

/* ---- a store that can be meddled with: the one in memory behind a table of the test's own ---- */

enum meddling { NOTHING, REVOKE, TOUCH, HIDE, UNKNOWN_DONE, UNKNOWN_NOT_DONE, REFUSE };

struct store {
    struct ael_metastore *inner;
    struct ael_metastore *handle;
    enum meddling meddling; /* at the next `times` replaces */
    unsigned times;
    unsigned replaces;
    bool hidden; /* rows are not found any more */
    enum ael_status load_status;
};

static enum ael_status store_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct store *store = self;
    CU_ASSERT_EQUAL(call->consistency, AEL_CONSISTENCY_PRIMARY);
    if (store->load_status != AEL_OK) {
        return store->load_status;
    }
    return store->hidden ? AEL_E_KEY_NOT_FOUND
                         : ael_metastore_load(store->inner, call, id, created_s, out, err);
}

static enum ael_status store_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    return ael_metastore_load_latest(((struct store *)self)->inner, call, id, out, err);
}

static enum ael_status store_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    return ael_metastore_store(((struct store *)self)->inner, call, id, record, stored, err);
}

static enum ael_status store_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    return ael_metastore_list(((struct store *)self)->inner, call, prefix, visit, context, err);
}

/* Another process changes the row just before it is replaced. */
static void touch(struct store *store, struct ael_bytes id, const struct ael_key_record *expected) {
    struct ael_key_record changed = *expected;
    bool replaced = false;
    changed.revoked = !changed.revoked;
    CU_ASSERT_EQUAL(
        ael_metastore_replace(store->inner, NULL, id, expected, &changed, &replaced, NULL), AEL_OK);
    CU_ASSERT(replaced);
}

static enum ael_status store_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    struct store *store = self;
    enum meddling meddling = store->times > 0 ? store->meddling : NOTHING;
    store->times -= store->times > 0 ? 1 : 0;
    store->replaces++;
    if (meddling == REVOKE || meddling == TOUCH) {
        touch(store, id, expected);
    }
    if (meddling == REFUSE) {
        return AEL_E_BACKEND;
    }
    if (meddling == UNKNOWN_NOT_DONE) {
        return AEL_E_OUTCOME_UNKNOWN;
    }
    if (meddling == HIDE) {
        store->hidden = true;
        return AEL_E_KEY_NOT_FOUND;
    }
    enum ael_status status = ael_metastore_replace(store->inner, call, id, expected, desired, replaced, err);
    return meddling == UNKNOWN_DONE ? AEL_E_OUTCOME_UNKNOWN : status;
}

static const struct ael_metastore_vtable k_store = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "meddled",
    .load = store_load,
    .load_latest = store_latest,
    .store = store_store,
    .list = store_list,
    .replace = store_replace,
};

/* ---- a world: rows under the old key, to be moved to the new one ---- */

struct world {
    struct store store;
    struct ael_kms *old_kms;
    struct ael_kms *new_kms;
    struct ael_rewrap_options options;
    struct ael_rewrap_counts counts;
    struct ael_error err;
};

static struct ael_kms *new_static(uint8_t fill) {
    uint8_t key[32];
    struct ael_kms *kms = NULL;
    memset(key, fill, sizeof key);
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(key, sizeof key, &kms, NULL), AEL_OK);
    return kms;
}

static void put(struct world *world, const char *id, int64_t created_s, struct ael_bytes key, bool revoked) {
    struct ael_key_record record = {.revoked = revoked, .created_s = created_s, .key = key};
    bool stored = false;
    CU_ASSERT_EQUAL_FATAL(
        ael_metastore_store(world->store.inner, NULL, ael_bytes_from_text(id), &record, &stored, NULL),
        AEL_OK);
    CU_ASSERT_FATAL(stored);
}

static void
put_key(struct world *world, struct ael_kms *kms, const char *id, int64_t created_s, bool revoked) {
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_secret *key = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &key), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_kms_encrypt_key(kms, NULL, key, &encrypted, NULL), AEL_OK);
    put(world, id, created_s, ael_buf_view(&encrypted), revoked);
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
}

static void begin(struct world *world) {
    *world = (struct world){.old_kms = new_static(OLD), .new_kms = new_static(NEW)};
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&world->store.inner), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_metastore_new(&k_store, &world->store, &world->store.handle), AEL_OK);
    world->options = (struct ael_rewrap_options)AEL_REWRAP_OPTIONS_INIT;
    world->options.metastore = world->store.handle;
    world->options.from = world->old_kms;
    world->options.to = world->new_kms;
}

static void end(struct world *world) {
    ael_metastore_release(world->store.handle);
    ael_metastore_release(world->store.inner);
    ael_kms_release(world->old_kms);
    ael_kms_release(world->new_kms);
}

static enum ael_status move(struct world *world) {
    return ael_rewrap_system_keys(&world->options, NULL, &world->counts, &world->err);
}

static void
expect_counts(const struct world *world, uint64_t moved, uint64_t already, uint64_t gone, uint64_t failed) {
    CU_ASSERT_EQUAL(world->counts.moved, moved);
    CU_ASSERT_EQUAL(world->counts.already, already);
    CU_ASSERT_EQUAL(world->counts.gone, gone);
    CU_ASSERT_EQUAL(world->counts.failed, failed);
    CU_ASSERT_EQUAL(world->counts.seen, moved + already + gone + failed);
}

/* What a KMS says of a row. */
static enum ael_status read_row(struct world *world, struct ael_kms *kms, const char *id, bool *revoked) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_secret *key = NULL;
    CU_ASSERT_EQUAL_FATAL(
        ael_metastore_load(world->store.inner, NULL, ael_bytes_from_text(id), CREATED, &out, NULL), AEL_OK);
    enum ael_status status = ael_kms_decrypt_key(kms, NULL, out.record.key, &key, NULL);
    if (revoked != NULL) {
        *revoked = out.record.revoked;
    }
    CU_ASSERT_EQUAL(out.record.created_s, CREATED);
    ael_secret_release(key);
    ael_key_record_buf_clear(&out);
    return status;
}

static bool is_under(struct world *world, const char *id, struct ael_kms *kms, struct ael_kms *not_kms) {
    return read_row(world, kms, id, NULL) == AEL_OK && read_row(world, not_kms, id, NULL) == AEL_E_KMS;
}

static bool is_moved(struct world *world, const char *id) {
    return is_under(world, id, world->new_kms, world->old_kms);
}

static bool is_left(struct world *world, const char *id) {
    return is_under(world, id, world->old_kms, world->new_kms);
}

/* One row, that must be left as it is. */
static void expect_failure(struct world *world, enum ael_status wanted) {
    enum ael_status status = move(world);
    CU_ASSERT_EQUAL(status, wanted);
    CU_ASSERT_EQUAL(world->err.status, wanted);
    CU_ASSERT_PTR_NOT_NULL(world->err.component);
    CU_ASSERT(world->err.detail[0] != '\0');
    expect_counts(world, 0, 0, 0, 1);
    CU_ASSERT(is_left(world, "_SK_s_p"));
}

static void begin_with_one(struct world *world) {
    begin(world);
    put_key(world, world->old_kms, "_SK_s_p", CREATED, false);
}

/* ---- moving ---- */

static void test_rewrap__moves_each_key_once(void) {
    struct world world;
    bool revoked = false;
    begin(&world);
    put_key(&world, world.old_kms, "_SK_a_p", CREATED, false);
    put_key(&world, world.old_kms, "_SK_b_p", CREATED, true);
    put_key(&world, world.old_kms, "_SK_b_p", CREATED + 60, false);
    put_key(&world, world.new_kms, "_SK_c_p", CREATED, false);
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 3, 1, 0, 0);
    CU_ASSERT_EQUAL(world.store.replaces, 3);
    CU_ASSERT(is_moved(&world, "_SK_a_p"));
    CU_ASSERT(is_moved(&world, "_SK_b_p"));
    CU_ASSERT_EQUAL(read_row(&world, world.new_kms, "_SK_b_p", &revoked), AEL_OK);
    CU_ASSERT(revoked);
    CU_ASSERT_EQUAL(read_row(&world, world.new_kms, "_SK_a_p", &revoked), AEL_OK);
    CU_ASSERT(!revoked);

    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 0, 4, 0, 0);
    CU_ASSERT_EQUAL(world.store.replaces, 3);
    end(&world);
}

static struct ael_secret *key_of(struct world *world, struct ael_kms *kms) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_secret *key = NULL;
    CU_ASSERT_EQUAL_FATAL(
        ael_metastore_load(world->store.inner, NULL, ael_bytes_from_text("_SK_s_p"), CREATED, &out, NULL),
        AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_kms_decrypt_key(kms, NULL, out.record.key, &key, NULL), AEL_OK);
    ael_key_record_buf_clear(&out);
    return key;
}

static bool same_key(struct ael_secret *a, struct ael_secret *b) {
    struct ael_secret_access in_a;
    struct ael_secret_access in_b;
    CU_ASSERT_EQUAL_FATAL(ael_secret_access_begin(a, &in_a), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_secret_access_begin(b, &in_b), AEL_OK);
    bool same = memcmp(in_a.bytes.data, in_b.bytes.data, 32) == 0;
    CU_ASSERT_EQUAL(ael_secret_access_end(&in_b), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_access_end(&in_a), AEL_OK);
    return same;
}

static void test_rewrap__keeps_the_key_itself(void) {
    struct world world;
    begin_with_one(&world);
    struct ael_secret *before = key_of(&world, world.old_kms);
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    struct ael_secret *after = key_of(&world, world.new_kms);
    CU_ASSERT(same_key(before, after));
    ael_secret_release(before);
    ael_secret_release(after);
    end(&world);
}

static void test_rewrap__writes_nothing_in_a_dry_run(void) {
    struct world world;
    begin_with_one(&world);
    world.options.dry_run = true;
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 1, 0, 0, 0);
    CU_ASSERT_EQUAL(world.store.replaces, 0);
    CU_ASSERT(is_left(&world, "_SK_s_p"));
    end(&world);
}

static void test_rewrap__moves_only_the_service_that_is_named(void) {
    struct world world;
    begin(&world);
    put_key(&world, world.old_kms, "_SK_s_p", CREATED, false);
    put_key(&world, world.old_kms, "_SK_s_p_us-west-2", CREATED, false);
    put_key(&world, world.old_kms, "_SK_s_pp", CREATED, false);
    put_key(&world, world.old_kms, "_SK_t_p", CREATED, false);
    put_key(&world, world.old_kms, "_SK_s_p_q", CREATED, false); /* of product p_q, or service s_p */
    world.options.service = "s";
    world.options.product = "p";
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 2, 0, 0, 0);
    CU_ASSERT(is_left(&world, "_SK_s_p_q"));
    CU_ASSERT(is_moved(&world, "_SK_s_p") && is_moved(&world, "_SK_s_p_us-west-2"));
    CU_ASSERT(is_left(&world, "_SK_s_pp") && is_left(&world, "_SK_t_p"));
    end(&world);
}

static void test_rewrap__leaves_intermediate_keys_alone(void) {
    struct world world;
    bool stored = false;
    begin(&world);
    const struct ael_key_record child = {
        .created_s = CREATED,
        .key = ael_bytes_from_text("under its parent"),
        .has_parent = true,
        .parent_id = ael_bytes_from_text("_SK_s_p"),
        .parent_created_s = CREATED,
    };
    static const char *const k_ids[] = {"_IK_t_s_p", "_SK_with_a_parent"};
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(
            ael_metastore_store(
                world.store.inner, NULL, ael_bytes_from_text(k_ids[i]), &child, &stored, NULL),
            AEL_OK);
    }
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 0, 0, 0, 0);
    end(&world);
}

/* ---- refusals ---- */

static void test_rewrap__leaves_a_row_when_the_old_kms_is_cut_off(void) {
    struct world world;
    struct fake_kms *fake = fake_kms_new();
    begin_with_one(&world);
    fake->decrypt_status = AEL_E_UNREACHABLE;
    world.options.from = fake->handle;
    expect_failure(&world, AEL_E_UNREACHABLE);
    fake->decrypt_status = AEL_E_KMS; /* and wrong when both say so */
    expect_failure(&world, AEL_E_KMS);
    fake_kms_free(fake);
    end(&world);
}

static void test_rewrap__leaves_a_row_when_the_new_kms_refuses(void) {
    struct world world;
    struct fake_kms *fake = fake_kms_new();
    begin_with_one(&world);
    world.options.to = fake->handle;
    fake->decrypt_status = AEL_E_KMS;
    fake->encrypt_status = AEL_E_KMS;
    expect_failure(&world, AEL_E_KMS);
    fake->encrypt_status = AEL_E_UNREACHABLE;
    expect_failure(&world, AEL_E_UNREACHABLE);
    fake->encrypt_status = AEL_OK; /* it encrypts, but does not read what it wrote */
    expect_failure(&world, AEL_E_KMS);
    CU_ASSERT_EQUAL(world.store.replaces, 0);
    fake_kms_free(fake);
    end(&world);
}

/* A KMS that encrypts for another one: what it makes has the right form, and another key comes back. */
struct crossed {
    struct ael_kms *inner;
    enum ael_kms_form before, after; /* of what it did not make, and of what it made */
    bool another;
    uint8_t made[256];
    size_t made_len;
};

static enum ael_status crossed_encrypt(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct crossed *crossed = self;
    enum ael_status status = ael_kms_encrypt_key(crossed->inner, call, key, out, err);
    CU_ASSERT_FATAL(status == AEL_OK && out->len <= sizeof crossed->made);
    memcpy(crossed->made, out->data, out->len);
    crossed->made_len = out->len;
    return status;
}

static enum ael_status crossed_decrypt(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct crossed *crossed = self;
    enum ael_status status = ael_kms_decrypt_key(crossed->inner, call, encrypted, key, err);
    if (status == AEL_OK && crossed->another) {
        ael_secret_release(*key);
        *key = NULL;
        status = ael_secret_new_random(32, key);
    }
    return status;
}

static enum ael_kms_form crossed_form(void *self, struct ael_bytes encrypted) {
    const struct crossed *crossed = self;
    bool made =
        encrypted.len == crossed->made_len && memcmp(encrypted.data, crossed->made, encrypted.len) == 0;
    return made ? crossed->after : crossed->before;
}

static const struct ael_kms_vtable k_crossed = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "crossed",
    .encrypt_key = crossed_encrypt,
    .decrypt_key = crossed_decrypt,
    .form = crossed_form,
};

static void test_rewrap__leaves_a_row_when_another_key_comes_back(void) {
    struct world world;
    begin_with_one(&world);
    struct crossed crossed = {world.new_kms, AEL_KMS_FORM_OWN, AEL_KMS_FORM_OWN, true, {0}, 0};
    CU_ASSERT_EQUAL_FATAL(ael_kms_new(&k_crossed, &crossed, &world.options.to), AEL_OK);
    expect_failure(&world, AEL_E_KMS);
    CU_ASSERT_EQUAL(world.store.replaces, 0);
    ael_kms_release(world.options.to);
    end(&world);
}

/* As with the regions of AWS: the new one reads what the old one wrote, but writes more. */
static void test_rewrap__moves_what_is_readable_but_not_whole(void) {
    struct world world;
    struct fake_kms *fake = fake_kms_new();
    begin(&world);
    put_key(&world, world.new_kms, "_SK_s_p", CREATED, false);
    struct crossed crossed = {world.new_kms, AEL_KMS_FORM_PARTIAL, AEL_KMS_FORM_PARTIAL, false, {0}, 0};
    fake->decrypt_status = AEL_E_UNREACHABLE; /* and the old one is not even needed */
    world.options.from = fake->handle;
    CU_ASSERT_EQUAL_FATAL(ael_kms_new(&k_crossed, &crossed, &world.options.to), AEL_OK);
    CU_ASSERT_EQUAL(move(&world), AEL_E_UNREACHABLE); /* a region was left out */
    expect_counts(&world, 0, 0, 0, 1);
    CU_ASSERT_EQUAL(world.store.replaces, 0);
    crossed.after = AEL_KMS_FORM_OWN;
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 1, 0, 0, 0);
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 0, 1, 0, 0);
    CU_ASSERT_EQUAL(world.store.replaces, 1);
    ael_kms_release(world.options.to);
    fake_kms_free(fake);
    end(&world);
}

static void test_rewrap__goes_on_past_a_key_that_nobody_reads(void) {
    struct world world;
    static const uint8_t k_garbage[60] = {1, 2, 3};
    begin(&world);
    put_key(&world, world.old_kms, "_SK_a_p", CREATED, false);
    put(&world, "_SK_b_p", CREATED, (struct ael_bytes){k_garbage, sizeof k_garbage}, false);
    put(&world, "_SK_c_p", CREATED, ael_bytes_from_text("no key at all"), false);
    put_key(&world, world.old_kms, "_SK_d_p", CREATED, false);
    CU_ASSERT_EQUAL(move(&world), AEL_E_KMS);
    CU_ASSERT_EQUAL(world.err.status, AEL_E_KMS);
    expect_counts(&world, 2, 0, 0, 2);
    CU_ASSERT(is_moved(&world, "_SK_a_p") && is_moved(&world, "_SK_d_p"));
    end(&world);
}

static void test_rewrap__leaves_a_row_when_the_store_fails(void) {
    struct world world;
    begin_with_one(&world);
    world.store.load_status = AEL_E_UNREACHABLE;
    expect_failure(&world, AEL_E_UNREACHABLE);
    world.store.load_status = AEL_OK;
    world.store.meddling = REFUSE;
    world.store.times = 1;
    expect_failure(&world, AEL_E_BACKEND);
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    CU_ASSERT(is_moved(&world, "_SK_s_p"));
    end(&world);
}

static void test_rewrap__tells_a_store_that_cannot(void) {
    struct world world;
    struct ael_metastore_vtable table = k_store;
    begin_with_one(&world);
    table.list = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_new(&table, &world.store, &world.options.metastore), AEL_OK);
    CU_ASSERT_EQUAL(move(&world), AEL_E_UNSUPPORTED);
    expect_counts(&world, 0, 0, 0, 0);
    ael_metastore_release(world.options.metastore);
    table = k_store;
    table.replace = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_new(&table, &world.store, &world.options.metastore), AEL_OK);
    CU_ASSERT_EQUAL(move(&world), AEL_E_UNSUPPORTED);
    world.options.dry_run = true;
    CU_ASSERT_EQUAL(move(&world), AEL_E_UNSUPPORTED);
    expect_counts(&world, 0, 0, 0, 0);
    CU_ASSERT(strstr(world.err.detail, "replace") != NULL);
    ael_metastore_release(world.options.metastore);
    end(&world);
}

static void test_rewrap__refuses_options_that_make_no_sense(void) {
    struct world world;
    static char endless[2000];
    struct ael_call small = AEL_CALL_INIT;
    begin_with_one(&world);
    const struct ael_rewrap_options good = world.options;
    CU_ASSERT_EQUAL(ael_rewrap_system_keys(NULL, NULL, NULL, NULL), AEL_E_ARGUMENT);
    world.options.size--;
    CU_ASSERT_EQUAL(move(&world), AEL_E_ARGUMENT);
    world.options = good;
    world.options.metastore = NULL;
    CU_ASSERT_EQUAL(move(&world), AEL_E_ARGUMENT);
    world.options = good;
    world.options.from = NULL;
    CU_ASSERT_EQUAL(move(&world), AEL_E_ARGUMENT);
    world.options = good;
    world.options.to = world.options.from;
    CU_ASSERT_EQUAL(move(&world), AEL_E_ARGUMENT);
    world.options = good;
    CU_ASSERT_EQUAL_FATAL(ael_kms_chain_new(world.new_kms, world.old_kms, &world.options.to, NULL), AEL_OK);
    CU_ASSERT_EQUAL(move(&world), AEL_E_ARGUMENT);
    ael_kms_release(world.options.to);
    world.options = good;
    world.options.service = "s";
    CU_ASSERT_EQUAL(move(&world), AEL_E_ARGUMENT);
    memset(endless, 'p', sizeof endless - 1);
    world.options.product = endless;
    CU_ASSERT_EQUAL(move(&world), AEL_E_ARGUMENT);
    small.size = 8;
    CU_ASSERT_EQUAL(ael_rewrap_system_keys(&good, &small, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT(is_left(&world, "_SK_s_p"));
    end(&world);
}

/* ---- others change the rows ---- */

static void test_rewrap__never_loses_a_revocation(void) {
    struct world world;
    bool revoked = false;
    begin_with_one(&world);
    world.store.meddling = REVOKE;
    world.store.times = 1;
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 1, 0, 0, 0);
    CU_ASSERT_EQUAL(world.store.replaces, 2);
    CU_ASSERT(is_moved(&world, "_SK_s_p"));
    CU_ASSERT_EQUAL(read_row(&world, world.new_kms, "_SK_s_p", &revoked), AEL_OK);
    CU_ASSERT(revoked);
    end(&world);
}

static void test_rewrap__gives_up_on_a_row_that_keeps_changing(void) {
    struct world world;
    begin_with_one(&world);
    world.store.meddling = TOUCH;
    world.store.times = FOREVER;
    expect_failure(&world, AEL_E_KEY_CONTENTION);
    end(&world);
}

static void test_rewrap__passes_over_a_row_that_is_gone(void) {
    struct world world;
    begin_with_one(&world);
    world.store.hidden = true; /* before it was loaded */
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 0, 0, 1, 0);
    world.store.hidden = false;
    world.store.meddling = HIDE; /* before it was replaced */
    world.store.times = 1;
    CU_ASSERT_EQUAL(move(&world), AEL_OK);
    expect_counts(&world, 0, 0, 1, 0);
    end(&world);
}

static void test_rewrap__reads_back_what_nobody_knows(void) {
    static const enum meddling k_kinds[] = {UNKNOWN_DONE, UNKNOWN_NOT_DONE};
    for (size_t i = 0; i < 2; i++) {
        struct world world;
        begin_with_one(&world);
        world.store.meddling = k_kinds[i];
        world.store.times = 1;
        CU_ASSERT_EQUAL(move(&world), AEL_OK);
        expect_counts(&world, 1, 0, 0, 0);
        CU_ASSERT(is_moved(&world, "_SK_s_p"));
        end(&world);
    }
}

/* ---- ending early ---- */

struct watch {
    unsigned rows, stop_at;
    unsigned outcomes[4];
    struct ael_cancel *cancel;
};

static bool watch_row(void *context, const struct ael_rewrap_row *row) {
    struct watch *watch = context;
    CU_ASSERT(row->key_id.len > 4 && memcmp(row->key_id.data, "_SK_", 4) == 0);
    CU_ASSERT_EQUAL(row->error != NULL, row->outcome == AEL_REWRAP_FAILED);
    watch->outcomes[row->outcome]++;
    if (watch->cancel != NULL) {
        ael_cancel_trigger(watch->cancel);
    }
    return ++watch->rows != watch->stop_at;
}

static void put_some(struct world *world) {
    begin(world);
    put_key(world, world->old_kms, "_SK_a_p", CREATED, false);
    put_key(world, world->new_kms, "_SK_b_p", CREATED, false);
    put(world, "_SK_c_p", CREATED, ael_bytes_from_text("garbage"), false);
}

static void test_rewrap__tells_of_each_row_and_lets_the_host_end_it(void) {
    struct world world;
    struct watch watch = {.stop_at = 1};
    put_some(&world);
    world.options.progress = watch_row;
    world.options.context = &watch;
    CU_ASSERT_EQUAL(move(&world), AEL_E_CALLBACK);
    expect_counts(&world, 1, 0, 0, 0);
    watch = (struct watch){0};
    CU_ASSERT_EQUAL(move(&world), AEL_E_KMS);
    CU_ASSERT_EQUAL(watch.rows, 3);
    CU_ASSERT_EQUAL(watch.outcomes[AEL_REWRAP_ALREADY], 2);
    CU_ASSERT_EQUAL(watch.outcomes[AEL_REWRAP_FAILED], 1);
    end(&world);
}

static void test_rewrap__ends_when_the_call_is_over(void) {
    struct world world;
    struct watch watch = {0};
    struct ael_call call = AEL_CALL_INIT;
    put_some(&world);
    CU_ASSERT_EQUAL_FATAL(ael_cancel_new(&watch.cancel), AEL_OK);
    call.cancel = watch.cancel;
    world.options.progress = watch_row;
    world.options.context = &watch;
    CU_ASSERT_EQUAL(
        ael_rewrap_system_keys(&world.options, &call, &world.counts, &world.err), AEL_E_CANCELLED);
    expect_counts(&world, 1, 0, 0, 0);
    call = (struct ael_call)AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL(ael_rewrap_system_keys(&world.options, &call, &world.counts, &world.err), AEL_E_TIMEOUT);
    expect_counts(&world, 0, 0, 0, 0);
    ael_cancel_free(watch.cancel);
    end(&world);
}

static const struct test_case k_cases[] = {
    {"each key is moved once", test_rewrap__moves_each_key_once},
    {"the key itself stays", test_rewrap__keeps_the_key_itself},
    {"a dry run writes nothing", test_rewrap__writes_nothing_in_a_dry_run},
    {"a filter leaves others alone", test_rewrap__moves_only_the_service_that_is_named},
    {"intermediate keys are left alone", test_rewrap__leaves_intermediate_keys_alone},
    {"an old KMS that is cut off", test_rewrap__leaves_a_row_when_the_old_kms_is_cut_off},
    {"a new KMS that refuses", test_rewrap__leaves_a_row_when_the_new_kms_refuses},
    {"a new KMS that gives another key back", test_rewrap__leaves_a_row_when_another_key_comes_back},
    {"what is readable but not whole is moved", test_rewrap__moves_what_is_readable_but_not_whole},
    {"a key that nobody reads", test_rewrap__goes_on_past_a_key_that_nobody_reads},
    {"a store that fails", test_rewrap__leaves_a_row_when_the_store_fails},
    {"a store without list or replace", test_rewrap__tells_a_store_that_cannot},
    {"options that make no sense", test_rewrap__refuses_options_that_make_no_sense},
    {"a revocation meanwhile is kept", test_rewrap__never_loses_a_revocation},
    {"a row that keeps changing", test_rewrap__gives_up_on_a_row_that_keeps_changing},
    {"a row that is gone", test_rewrap__passes_over_a_row_that_is_gone},
    {"an outcome that nobody knows", test_rewrap__reads_back_what_nobody_knows},
    {"the host is told, and may end it", test_rewrap__tells_of_each_row_and_lets_the_host_end_it},
    {"a call that is over ends it", test_rewrap__ends_when_the_call_is_over},
};

TEST_SUITE_MAIN("rewrap", k_cases)
