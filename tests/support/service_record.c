/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/service_record.h"

#include <string.h>

/* see tests/support/service_record.h */
enum ael_status service_record_encrypt(
    struct ael_session_factory *factory,
    struct service_record *record,
    const struct ael_call *call,
    struct ael_error *err) {
    struct ael_session *session = NULL;
    struct ael_buf json;
    ael_buf_init_fixed(&json, record->json, sizeof record->json);
    enum ael_status status = ael_session_acquire(factory, record->partition, &session, err);
    if (status == AEL_OK) {
        status = ael_session_encrypt_json(session, ael_bytes_from_text(record->text), &json, call, err);
    }
    record->len = status == AEL_OK ? json.len : 0;
    ael_session_release(session);
    return status;
}

/* see tests/support/service_record.h */
enum ael_status
service_record_decrypt(struct ael_session_factory *factory, const struct service_record *record) {
    struct ael_session *session = NULL;
    struct ael_buf plain = AEL_BUF_INIT;
    const struct ael_bytes json = {record->json, record->len};
    enum ael_status status = ael_session_acquire(factory, record->partition, &session, NULL);
    if (status == AEL_OK) {
        status = ael_session_decrypt_json(session, json, &plain, NULL, NULL);
    }
    if (status == AEL_OK &&
        (plain.len != strlen(record->text) || memcmp(plain.data, record->text, plain.len) != 0)) {
        status = AEL_E_STATE;
    }
    ael_buf_clear(&plain);
    ael_session_release(session);
    return status;
}
