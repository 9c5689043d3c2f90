/* SPDX-License-Identifier: Apache-2.0 */
/* Making, rotating, racing for and checking keys, seen through sessions over fake edges. */
#include "appencryption/session/session_parts.h"
#include "base/clock.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"

#include <string.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

static struct ael_bytes text(const char *literal) {
    return ael_bytes_from_text(literal);
}

/* A fixture with an encrypt done, so that both keys are stored and cached. */
static struct ael_session *begin_warm(struct fixture *fix, const struct ael_policy *policy) {
    fixture_begin_with(fix, policy, NULL);
    struct ael_session *session = fixture_session(fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    return session;
}

static void end(struct fixture *fix, struct ael_session *session) {
    ael_session_release(session);
    fixture_end(fix);
}

static int64_t encrypt(struct ael_session *session) {
    int64_t created_s = 0;
    CU_ASSERT_EQUAL(fixture_encrypt(session, &created_s), AEL_OK);
    return created_s;
}

/* Encrypts in a factory of its own over the same edges. */
static enum ael_status encrypt_elsewhere(struct fixture *fix, int64_t *created_s) {
    struct ael_session_factory *factory = fixture_other_factory(fix, NULL);
    struct ael_session *session = NULL;
    CU_ASSERT_EQUAL(ael_session_acquire(factory, "p", &session, NULL), AEL_OK);
    enum ael_status status = fixture_encrypt(session, created_s);
    ael_session_release(session);
    ael_session_factory_free(factory);
    return status;
}

static void test_latest__is_used_by_another_process(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    int64_t created = 0;
    ael_clock_advance_for_test(DAY);
    CU_ASSERT_EQUAL(encrypt_elsewhere(&fix, &created), AEL_OK);
    CU_ASSERT_EQUAL(created, FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 1);
    CU_ASSERT_EQUAL(fix.metastore->last_consistency[FAKE_LOAD_LATEST], AEL_CONSISTENCY_PRIMARY);
    end(&fix, session);
}

static void test_latest__rotates_at_expiry(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    struct ael_record_buf old = fixture_record(session);
    ael_clock_advance_for_test(90 * DAY - 41);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S + 90 * DAY);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_IK), 2);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 2);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &old.record), AEL_OK);
    ael_record_buf_clear(&old);
    end(&fix, session);
}

static void test_latest__replaces_a_key_revoked_in_the_same_minute(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    int64_t created = 0;
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_IK, -1));
    CU_ASSERT_EQUAL(encrypt_elsewhere(&fix, &created), AEL_OK);
    CU_ASSERT_EQUAL(created, FIXTURE_MINUTE_S + 1);
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_IK, -1));
    CU_ASSERT_EQUAL(encrypt_elsewhere(&fix, &created), AEL_OK);
    CU_ASSERT_EQUAL(created, FIXTURE_MINUTE_S + 2);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 1);
    end(&fix, session);
}

static void test_latest__replaces_both_keys_when_the_system_key_is_revoked(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    int64_t created = 0;
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_SK, -1));
    CU_ASSERT_EQUAL(encrypt_elsewhere(&fix, &created), AEL_OK);
    CU_ASSERT_EQUAL(created, FIXTURE_MINUTE_S + 1);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 2);
    struct ael_key_record *key = fake_metastore_find(fix.metastore, FIXTURE_IK, -1);
    CU_ASSERT_EQUAL(key->parent_created_s, FIXTURE_MINUTE_S + 1);
    end(&fix, session);
}

/* G3: a running session stops using a revoked key at its next check. */
static void test_running_session__notices_a_revoked_intermediate_key_within_the_interval(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_IK, -1));
    ael_clock_advance_for_test(HOUR / 5 * 4 - 1);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    ael_clock_advance_for_test(1);
    int64_t created = encrypt(session);
    CU_ASSERT_EQUAL(created, FIXTURE_MINUTE_S + HOUR / 5 * 4);
    CU_ASSERT_EQUAL(encrypt(session), created);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_IK), 2);
    end(&fix, session);
}

static void test_running_session__notices_a_revoked_system_key_within_the_interval(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_SK, -1));
    ael_clock_advance_for_test(HOUR);
    int64_t created = encrypt(session);
    CU_ASSERT_EQUAL(created, FIXTURE_MINUTE_S + HOUR);
    CU_ASSERT_EQUAL(fake_metastore_find(fix.metastore, FIXTURE_IK, -1)->parent_created_s, created);
    end(&fix, session);
}

static void test_running_session__adopts_what_another_process_made(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    int64_t created = 0;
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_IK, -1));
    CU_ASSERT_EQUAL(encrypt_elsewhere(&fix, &created), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(encrypt(session), created);
    CU_ASSERT_EQUAL(encrypt(session), created);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_IK), 2);
    end(&fix, session);
}

static void test_interval_of_none__notices_a_revocation_at_once(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.revoke_check_interval_s = 0;
    struct ael_session *session = begin_warm(&fix, &policy);
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_SK, -1));
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S + 1);
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_IK, -1));
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S + 2);
    end(&fix, session);
}

static void test_outage__is_bridged_until_max_stale_and_then_closes(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    struct ael_record_buf record = fixture_record(session);
    fake_metastore_fail_all(fix.metastore, AEL_E_UNREACHABLE);
    ael_clock_advance_for_test(2 * HOUR - 1);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_KEY_STALE);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_E_KEY_STALE);
    fake_metastore_fail_all(fix.metastore, AEL_OK);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    fake_metastore_fail_all(fix.metastore, AEL_E_BACKEND);
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_BACKEND);
    ael_record_buf_clear(&record);
    end(&fix, session);
}

/*
 * That the metastore was reached, and told of the revocation, counts more than that the successor is not
 * stored.
 */
static void test_outage__of_stores_alone_does_not_prolong_a_revoked_key(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_IK, -1));
    fix.metastore->always[FAKE_STORE] = AEL_E_UNREACHABLE;
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_UNREACHABLE);
    fix.metastore->always[FAKE_STORE] = AEL_OK;
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S + HOUR);
    end(&fix, session);
}

/* What was read once is not forgotten when the metastore goes away afterwards. */
static void test_outage__does_not_prolong_a_key_that_was_read_as_revoked(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_IK, -1));
    fix.metastore->always[FAKE_STORE] = AEL_E_UNREACHABLE;
    ael_clock_advance_for_test(HOUR / 5 * 4);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_UNREACHABLE);
    fake_metastore_fail_all(fix.metastore, AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_UNREACHABLE);
    ael_clock_advance_for_test(HOUR / 2);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_UNREACHABLE);
    end(&fix, session);
}

/* Puts another encryption of the same key into the system key's row; this KMS takes both. */
static void encrypt_anew(struct fixture *fix) {
    struct ael_key_record *row = fake_metastore_find(fix->metastore, FIXTURE_SK, -1);
    uint8_t blob[64];
    memcpy(blob, row->key.data, row->key.len);
    struct ael_key_record changed = *row;
    changed.key = (struct ael_bytes){blob, row->key.len + 1};
    blob[row->key.len] = 'x';
    fake_metastore_remove(fix->metastore, FIXTURE_SK, row->created_s);
    fake_metastore_put(fix->metastore, text(FIXTURE_SK), &changed);
}

static void test_system_key__is_checked_without_the_kms(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 0);
    encrypt_anew(&fix);
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 1);
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 1);
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_SK, -1));
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S + 4 * HOUR);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 1);
    end(&fix, session);
}

static void test_system_key__whose_revocation_was_taken_back_is_opened_anew(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    struct ael_record_buf record = fixture_record(session);
    CU_ASSERT_TRUE(fake_metastore_revoke(fix.metastore, FIXTURE_SK, -1));
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK); /* the cache learns of it */
    fake_metastore_find(fix.metastore, FIXTURE_SK, -1)->revoked = false;
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 1);
    ael_record_buf_clear(&record);
    end(&fix, session);
}

static void test_outage__of_the_kms_does_not_prolong_keys(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    encrypt_anew(&fix);
    fix.kms->decrypt_status = AEL_E_UNREACHABLE;
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_UNREACHABLE);
    fix.kms->decrypt_status = AEL_E_KMS;
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_KMS);
    fix.kms->decrypt_status = AEL_OK;
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    end(&fix, session);
}

static void test_failures__of_the_edges_are_told_and_not_remembered(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    fix.kms->encrypt_status = AEL_E_KMS;
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_KMS);
    fix.kms->encrypt_status = AEL_OK;
    fake_metastore_script(fix.metastore, FAKE_LOAD_LATEST, FAKE_BEFORE, AEL_E_BACKEND);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_BACKEND);
    fake_metastore_script(fix.metastore, FAKE_STORE, FAKE_BEFORE, AEL_E_BACKEND);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 0);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    end(&fix, session);
}

/* What a KMS may not say would be taken to tell about the record or the row. */
static void test_kms__is_not_heard_on_records_and_rows(void) {
    static const enum ael_status k_odd[] = {AEL_E_KEY_NOT_FOUND, AEL_E_AUTHENTICATION,  AEL_E_BACKEND_DATA,
                                            AEL_E_FORMAT,        AEL_E_OUTCOME_UNKNOWN, AEL_E_ARGUMENT};
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    struct ael_record_buf record = fixture_record(session);
    struct ael_session_factory *factory = fixture_other_factory(&fix, NULL);
    struct ael_session *other = NULL;
    CU_ASSERT_EQUAL(ael_session_acquire(factory, "p", &other, NULL), AEL_OK);
    ael_clock_advance_for_test(5 * MINUTE);
    for (size_t i = 0; i < sizeof k_odd / sizeof k_odd[0]; i++) {
        fix.kms->decrypt_status = k_odd[i];
        CU_ASSERT_EQUAL(fixture_encrypt(other, NULL), AEL_E_KMS);
        CU_ASSERT_EQUAL(fixture_decrypt(other, &record.record), AEL_E_KMS);
    }
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_IK), 1);
    fix.kms->decrypt_status = AEL_E_LOCK_LIMIT; /* of a secret: may be said */
    CU_ASSERT_EQUAL(fixture_decrypt(other, &record.record), AEL_E_LOCK_LIMIT);
    fake_metastore_remove_all(fix.metastore);
    fix.kms->encrypt_status = AEL_E_BACKEND_DATA;
    CU_ASSERT_EQUAL(encrypt_elsewhere(&fix, NULL), AEL_E_KMS);
    ael_record_buf_clear(&record);
    ael_session_release(other);
    ael_session_factory_free(factory);
    end(&fix, session);
}

/* What a key begins with: enough to reach the sealed bytes and spoil them, as a stray write would. */
struct key_head {
    uint64_t words[4]; /* its holders and its nonces */
    struct ael_sealed_key sealed;
};

static void spoil(struct ael_crypto_key *key) {
    uint8_t bytes[AEL_KEY_BYTES];
    ((struct key_head *)(void *)key)->sealed.sealed[5] ^= 1;
    CU_ASSERT_EQUAL(ael_crypto_key_open(key, bytes), AEL_E_CORRUPTED);
}

/* The cached key that a session encrypts with, or (of_system_key) its parent, is spoilt. */
static void spoil_cached(struct ael_session *session, bool of_system_key) {
    struct ael_session_call call;
    struct ael_key_loan loan;
    CU_ASSERT_EQUAL_FATAL(ael_session_begin_call(session, NULL, &call, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_latest_key(session, &call, &loan, NULL), AEL_OK);
    spoil(of_system_key ? loan.key->parent->key : loan.key->key);
    ael_session_end_loan(&loan, AEL_OK);
}

static void test_corrupted_key__is_told_once_and_loaded_again(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    struct ael_record_buf record = fixture_record(session);
    struct ael_buf json = AEL_BUF_INIT;
    spoil_cached(session, false);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    spoil_cached(session, false);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    spoil_cached(session, false);
    CU_ASSERT_EQUAL(ael_session_encrypt_json(session, text("x"), &json, NULL, NULL), AEL_E_CORRUPTED);
    fake_metastore_fail_all(fix.metastore, AEL_E_UNREACHABLE); /* it may not serve, not even now */
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_UNREACHABLE);
    fake_metastore_fail_all(fix.metastore, AEL_OK);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_IK), 1);
    ael_buf_clear(&json);
    ael_record_buf_clear(&record);
    end(&fix, session);
}

static void test_corrupted_system_key__is_told_once_and_loaded_again(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    struct ael_session *other = fixture_session(&fix, "q");
    struct ael_record_buf record = fixture_record(session);
    spoil_cached(session, true);
    CU_ASSERT_EQUAL(fixture_encrypt(other, NULL), AEL_E_CORRUPTED); /* makes a key under it */
    CU_ASSERT_EQUAL(fixture_encrypt(other, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 1);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    spoil_cached(session, true);
    ael_clock_advance_for_test(HOUR);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_CORRUPTED); /* opens its key with it */
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 1);
    ael_record_buf_clear(&record);
    ael_session_release(other);
    end(&fix, session);
}

static void put_system_key(struct fixture *fix, int64_t created_s, bool revoked) {
    static const uint8_t blob[32] = {7};
    struct ael_key_record record = {.created_s = created_s, .key = {blob, sizeof blob}, .revoked = revoked};
    fake_metastore_put(fix->metastore, text(FIXTURE_SK), &record);
}

static void test_clock__a_key_dated_ahead_is_used_while_it_is_valid(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    put_system_key(&fix, FIXTURE_NOW_S + 30 * DAY, false);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(
        fake_metastore_find(fix.metastore, FIXTURE_IK, -1)->parent_created_s, FIXTURE_NOW_S + 30 * DAY);
    end(&fix, session);
}

static void test_clock__a_new_key_is_never_hidden_behind_one_dated_ahead(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    put_system_key(&fix, FIXTURE_NOW_S + DAY - 1, true);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fake_metastore_find(fix.metastore, FIXTURE_SK, -1)->created_s, FIXTURE_NOW_S + DAY);
    end(&fix, session);
}

static void test_clock__more_than_a_day_ahead_writes_nothing(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    put_system_key(&fix, FIXTURE_NOW_S + DAY, true);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_CLOCK);
    CU_ASSERT_EQUAL(fix.metastore->calls[FAKE_STORE], 0);
    CU_ASSERT_EQUAL(fix.kms->encrypts, 0);
    end(&fix, session);
}

/* Lets another writer win: just before a store of ours, a row of the same id and date appears. */
struct rival {
    const char *id;
    bool revoked;
    int wins_left;
    int64_t parent_created_s;
    struct fixture *fix;
    struct ael_buf valid_key; /* what a rival of ours would have stored */
};

static void rival_wins(
    struct fake_metastore *fake, void *context, enum fake_op op, struct ael_bytes id,
    const struct ael_key_record *record) {
    struct rival *rival = context;
    if (op != FAKE_STORE || rival->wins_left == 0 || id.len != strlen(rival->id)
        || memcmp(id.data, rival->id, id.len) != 0) {
        return;
    }
    rival->wins_left--;
    struct ael_key_record won = *record;
    won.revoked = rival->revoked;
    if (rival->valid_key.len > 0) {
        won.key = ael_buf_view(&rival->valid_key);
    }
    fake_metastore_put(fake, id, &won);
}

static void test_race__a_valid_winner_is_used(void) {
    struct fixture fix;
    struct rival rival = {.id = FIXTURE_SK, .wins_left = 1, .valid_key = AEL_BUF_INIT};
    uint8_t blob[32];
    memset(blob, 9, sizeof blob);
    CU_ASSERT_EQUAL(ael_buf_append(&rival.valid_key, (struct ael_bytes){blob, sizeof blob}), AEL_OK);
    fixture_begin(&fix);
    fix.metastore->hook = rival_wins;
    fix.metastore->hook_context = &rival;
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 1);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 1);
    struct ael_record_buf record = fixture_record(session);
    struct ael_session_factory *factory = fixture_other_factory(&fix, NULL);
    struct ael_session *other = NULL;
    CU_ASSERT_EQUAL(ael_session_acquire(factory, "p", &other, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_decrypt(other, &record.record), AEL_OK);
    ael_record_buf_clear(&record);
    ael_session_release(other);
    ael_session_factory_free(factory);
    ael_buf_clear(&rival.valid_key);
    end(&fix, session);
}

static void test_race__an_invalid_winner_is_followed_by_another_round(void) {
    struct fixture fix;
    struct rival rival = {.id = FIXTURE_IK, .wins_left = 2, .revoked = true, .valid_key = AEL_BUF_INIT};
    fixture_begin(&fix);
    fix.metastore->hook = rival_wins;
    fix.metastore->hook_context = &rival;
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S + 2);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_IK), 3);
    end(&fix, session);
}

static void test_race__a_winner_that_its_parent_does_not_open_is_followed_by_another_round(void) {
    struct fixture fix;
    struct rival rival = {.id = FIXTURE_IK, .wins_left = 1, .valid_key = AEL_BUF_INIT};
    CU_ASSERT_EQUAL(ael_buf_append(&rival.valid_key, text("garbage")), AEL_OK);
    fixture_begin(&fix);
    fix.metastore->hook = rival_wins;
    fix.metastore->hook_context = &rival;
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S + 1);
    ael_buf_clear(&rival.valid_key);
    end(&fix, session);
}

static void test_race__five_lost_rounds_are_contention(void) {
    struct fixture fix;
    struct rival rival = {.id = FIXTURE_IK, .wins_left = 100, .revoked = true, .valid_key = AEL_BUF_INIT};
    fixture_begin(&fix);
    fix.metastore->hook = rival_wins;
    fix.metastore->hook_context = &rival;
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_KEY_CONTENTION);
    CU_ASSERT_EQUAL(rival.wins_left, 95);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_KEY_CONTENTION);
    rival.wins_left = 0;
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    end(&fix, session);
}

static void test_store__unknown_outcome_that_was_ours(void) {
    const enum ael_status statuses[] = {AEL_E_OUTCOME_UNKNOWN, AEL_E_TIMEOUT, AEL_E_UNREACHABLE};
    for (size_t i = 0; i < 3; i++) {
        struct fixture fix;
        fixture_begin(&fix);
        struct ael_session *session = fixture_session(&fix, "p");
        fake_metastore_script(fix.metastore, FAKE_STORE, FAKE_AFTER, statuses[i]);
        fake_metastore_script(fix.metastore, FAKE_STORE, FAKE_AFTER, statuses[i]);
        struct ael_record_buf record = fixture_record(session);
        CU_ASSERT_EQUAL(fix.metastore->calls[FAKE_STORE], 2);
        CU_ASSERT_EQUAL(fix.metastore->calls[FAKE_LOAD], 2);
        CU_ASSERT_EQUAL(fix.metastore->last_consistency[FAKE_LOAD], AEL_CONSISTENCY_PRIMARY);
        CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 1);
        CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_IK), 1);
        CU_ASSERT_EQUAL(encrypt_elsewhere(&fix, NULL), AEL_OK);
        CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
        ael_record_buf_clear(&record);
        end(&fix, session);
    }
}

static void test_store__unknown_outcome_that_was_absent_is_tried_again(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    fake_metastore_script(fix.metastore, FAKE_STORE, FAKE_BEFORE, AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fix.metastore->calls[FAKE_STORE], 3);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 1);
    end(&fix, session);
}

static void test_store__unknown_outcome_without_an_end_is_a_failure(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    for (int i = 0; i < AEL_STORE_ATTEMPTS; i++) {
        fake_metastore_script(fix.metastore, FAKE_STORE, FAKE_BEFORE, AEL_E_OUTCOME_UNKNOWN);
    }
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_OUTCOME_UNKNOWN);
    CU_ASSERT_EQUAL(fix.metastore->calls[FAKE_STORE], AEL_STORE_ATTEMPTS);
    end(&fix, session);
}

static void test_store__unknown_outcome_that_was_anothers_is_a_lost_race(void) {
    struct fixture fix;
    struct rival rival = {.id = FIXTURE_SK, .wins_left = 1, .valid_key = AEL_BUF_INIT};
    uint8_t blob[32];
    memset(blob, 3, sizeof blob);
    CU_ASSERT_EQUAL(ael_buf_append(&rival.valid_key, (struct ael_bytes){blob, sizeof blob}), AEL_OK);
    fixture_begin(&fix);
    fix.metastore->hook = rival_wins;
    fix.metastore->hook_context = &rival;
    fake_metastore_script(fix.metastore, FAKE_STORE, FAKE_AFTER, AEL_E_OUTCOME_UNKNOWN);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 1);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 1);
    ael_buf_clear(&rival.valid_key);
    end(&fix, session);
}

static void test_store__unknown_outcome_that_cannot_be_read_back_is_a_failure(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    fake_metastore_script(fix.metastore, FAKE_STORE, FAKE_AFTER, AEL_E_TIMEOUT);
    fake_metastore_script(fix.metastore, FAKE_LOAD, FAKE_BEFORE, AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK); /* finds what it had stored */
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_SK), 1);
    end(&fix, session);
}

/* Puts an intermediate key's row of any kind. */
static void put_intermediate(struct fixture *fix, int64_t created_s, bool has_parent, const char *parent) {
    struct ael_key_record record = {.created_s = created_s, .has_parent = has_parent};
    static const uint8_t garbage[AEL_SEALED_KEY_BYTES] = {1};
    record.key = (struct ael_bytes){garbage, sizeof garbage};
    record.parent_id = text(parent);
    record.parent_created_s = FIXTURE_MINUTE_S;
    fake_metastore_put(fix->metastore, text(FIXTURE_IK), &record);
}

static void test_latest__passes_over_rows_that_cannot_be_used(void) {
    const struct {
        bool has_parent;
        const char *parent;
    } rows[] = {{false, ""}, {true, "_SK_gone_gone"}, {true, FIXTURE_SK}};
    for (size_t i = 0; i < 3; i++) {
        struct fixture fix;
        struct ael_session *session = begin_warm(&fix, NULL);
        int64_t created = 0;
        put_intermediate(&fix, FIXTURE_MINUTE_S + 5, rows[i].has_parent, rows[i].parent);
        CU_ASSERT_EQUAL(encrypt_elsewhere(&fix, &created), AEL_OK);
        CU_ASSERT_EQUAL(created, FIXTURE_MINUTE_S + 6);
        end(&fix, session);
    }
}

/* Decrypts a record that names (FIXTURE_IK, created_s). */
static enum ael_status decrypt_naming(struct ael_session *session, int64_t created_s) {
    struct ael_record_buf record = fixture_record(session);
    record.record.parent_created_s = created_s;
    enum ael_status status = fixture_decrypt(session, &record.record);
    ael_record_buf_clear(&record);
    return status;
}

static void test_dated__refuses_rows_without_parent_or_with_a_wrong_one(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    put_intermediate(&fix, 1000, false, "");
    put_intermediate(&fix, 2000, true, FIXTURE_SK);
    put_intermediate(&fix, 3000, true, "_SK_gone_gone");
    CU_ASSERT_EQUAL(decrypt_naming(session, 1000), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(decrypt_naming(session, 2000), AEL_E_BACKEND_DATA);
    CU_ASSERT_EQUAL(decrypt_naming(session, 3000), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(decrypt_naming(session, 4000), AEL_E_KEY_NOT_FOUND);
    CU_ASSERT_EQUAL(decrypt_naming(session, -1), AEL_E_KEY_NOT_FOUND);
    end(&fix, session);
}

static void test_dated__asks_the_primary_before_a_key_is_absent(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    struct ael_record_buf record = fixture_record(session);
    struct ael_session_factory *factory = fixture_other_factory(&fix, NULL);
    struct ael_session *other = NULL;
    CU_ASSERT_EQUAL(ael_session_acquire(factory, "p", &other, NULL), AEL_OK);
    fake_metastore_script(fix.metastore, FAKE_LOAD, FAKE_BEFORE, AEL_E_KEY_NOT_FOUND); /* a replica's word */
    CU_ASSERT_EQUAL(fixture_decrypt(other, &record.record), AEL_OK);
    CU_ASSERT_EQUAL(fix.metastore->calls[FAKE_LOAD], 3);
    ael_record_buf_clear(&record);
    ael_session_release(other);
    ael_session_factory_free(factory);
    end(&fix, session);
}

/* A system key makes others good: a replica that does not know yet of its revocation is not asked. */
static void test_system_key__is_read_from_the_primary(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    struct ael_record_buf record = fixture_record(session);
    CU_ASSERT_EQUAL(encrypt_elsewhere(&fix, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fix.metastore->last_consistency[FAKE_LOAD], AEL_CONSISTENCY_PRIMARY);
    struct ael_session_factory *factory = fixture_other_factory(&fix, NULL);
    struct ael_session *other = NULL;
    CU_ASSERT_EQUAL(ael_session_acquire(factory, "p", &other, NULL), AEL_OK);
    fix.metastore->last_consistency[FAKE_LOAD] = AEL_CONSISTENCY_ANY;
    CU_ASSERT_EQUAL(fixture_decrypt(other, &record.record), AEL_OK);
    CU_ASSERT_EQUAL(fix.metastore->last_consistency[FAKE_LOAD], AEL_CONSISTENCY_PRIMARY);
    ael_record_buf_clear(&record);
    ael_session_release(other);
    ael_session_factory_free(factory);
    end(&fix, session);
}

/* Marks the cached intermediate key as worn out by wraps. */
static void wear_out(struct ael_session *session) {
    struct ael_session_call call;
    struct ael_key_loan loan;
    CU_ASSERT_EQUAL_FATAL(ael_session_begin_call(session, NULL, &call, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_session_latest_key(session, &call, &loan, NULL), AEL_OK);
    ael_crypto_key_set_wraps_for_test(loan.key->key, UINT64_C(1) << 30);
    ael_session_end_loan(&loan, AEL_OK);
}

static void test_worn_key__is_rotated_early(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    wear_out(session);
    fake_metastore_fail_all(fix.metastore, AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S); /* it can wait */
    fake_metastore_fail_all(fix.metastore, AEL_OK);
    ael_clock_advance_for_test(HOUR / 20);
    int64_t created = encrypt(session);
    CU_ASSERT_EQUAL(created, FIXTURE_MINUTE_S + HOUR / 20);
    CU_ASSERT_EQUAL(encrypt(session), created);
    end(&fix, session);
}

static void test_expiry_of_none__makes_a_key_each_precision(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.expire_key_after_s = 0;
    struct ael_session *session = begin_warm(&fix, &policy);
    struct ael_record_buf record = fixture_record(session);
    CU_ASSERT_EQUAL(record.record.parent_created_s, FIXTURE_MINUTE_S);
    ael_clock_advance_for_test(FIXTURE_MINUTE_S + MINUTE - 1 - FIXTURE_NOW_S);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S + MINUTE);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S + MINUTE);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, FIXTURE_IK), 2);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    ael_record_buf_clear(&record);
    end(&fix, session);
}

static void test_system_key__is_shared_by_partitions(void) {
    struct fixture fix;
    struct ael_session *session = begin_warm(&fix, NULL);
    struct ael_session *other = fixture_session(&fix, "q");
    CU_ASSERT_EQUAL(fixture_encrypt(other, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fix.kms->encrypts, 1);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 0);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).system_keys_cached, 1);
    CU_ASSERT_EQUAL(fixture_stats(fix.factory).intermediate_keys_cached, 2);
    ael_session_release(other);
    end(&fix, session);
}

static void test_caches_off__load_each_time(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.cache_system_keys = false;
    policy.cache_intermediate_keys = false;
    struct ael_session *session = begin_warm(&fix, &policy);
    int before = fake_metastore_calls(fix.metastore);
    CU_ASSERT_EQUAL(encrypt(session), FIXTURE_MINUTE_S);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), before + 2);
    CU_ASSERT_EQUAL(fix.kms->decrypts, 1);
    end(&fix, session);
}

static const struct test_case k_cases[] = {
    {"another process uses the latest key", test_latest__is_used_by_another_process},
    {"keys rotate at expiry", test_latest__rotates_at_expiry},
    {"a key revoked in its own minute is replaced", test_latest__replaces_a_key_revoked_in_the_same_minute},
    {"a revoked system key takes its children along",
     test_latest__replaces_both_keys_when_the_system_key_is_revoked},
    {"a running session notices a revoked intermediate key",
     test_running_session__notices_a_revoked_intermediate_key_within_the_interval},
    {"a running session notices a revoked system key",
     test_running_session__notices_a_revoked_system_key_within_the_interval},
    {"a running session adopts another process's key", test_running_session__adopts_what_another_process_made},
    {"interval 0 notices at once", test_interval_of_none__notices_a_revocation_at_once},
    {"an outage is bridged until max_stale", test_outage__is_bridged_until_max_stale_and_then_closes},
    {"a KMS outage prolongs nothing", test_outage__of_the_kms_does_not_prolong_keys},
    {"a store outage prolongs no revoked key", test_outage__of_stores_alone_does_not_prolong_a_revoked_key},
    {"an outage prolongs no key read as revoked",
     test_outage__does_not_prolong_a_key_that_was_read_as_revoked},
    {"a check asks no KMS", test_system_key__is_checked_without_the_kms},
    {"a revocation taken back", test_system_key__whose_revocation_was_taken_back_is_opened_anew},
    {"a KMS tells nothing about rows", test_kms__is_not_heard_on_records_and_rows},
    {"a corrupted key is loaded again", test_corrupted_key__is_told_once_and_loaded_again},
    {"a corrupted system key is loaded again", test_corrupted_system_key__is_told_once_and_loaded_again},
    {"a system key is the primary's", test_system_key__is_read_from_the_primary},
    {"edge failures are told", test_failures__of_the_edges_are_told_and_not_remembered},
    {"a valid key dated ahead is used", test_clock__a_key_dated_ahead_is_used_while_it_is_valid},
    {"a new key comes after one dated ahead", test_clock__a_new_key_is_never_hidden_behind_one_dated_ahead},
    {"a day ahead: nothing is written", test_clock__more_than_a_day_ahead_writes_nothing},
    {"a lost race: a valid winner is used", test_race__a_valid_winner_is_used},
    {"a lost race: an invalid winner", test_race__an_invalid_winner_is_followed_by_another_round},
    {"a lost race: a garbage winner",
     test_race__a_winner_that_its_parent_does_not_open_is_followed_by_another_round},
    {"five lost races", test_race__five_lost_rounds_are_contention},
    {"unknown outcome: ours", test_store__unknown_outcome_that_was_ours},
    {"unknown outcome: absent", test_store__unknown_outcome_that_was_absent_is_tried_again},
    {"unknown outcome: without end", test_store__unknown_outcome_without_an_end_is_a_failure},
    {"unknown outcome: another's", test_store__unknown_outcome_that_was_anothers_is_a_lost_race},
    {"unknown outcome: unreadable", test_store__unknown_outcome_that_cannot_be_read_back_is_a_failure},
    {"latest rows that cannot be used", test_latest__passes_over_rows_that_cannot_be_used},
    {"dated rows that cannot be used", test_dated__refuses_rows_without_parent_or_with_a_wrong_one},
    {"absence is the primary's word", test_dated__asks_the_primary_before_a_key_is_absent},
    {"a worn key is rotated early", test_worn_key__is_rotated_early},
    {"no life: a key each precision", test_expiry_of_none__makes_a_key_each_precision},
    {"partitions share the system key", test_system_key__is_shared_by_partitions},
    {"caches off", test_caches_off__load_each_time},
};

TEST_SUITE_MAIN("key_loader", k_cases)
