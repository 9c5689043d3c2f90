/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/rest/rest_service.h"

#include "base/alloc.h"
#include "base/check.h"
#include "securememory/sealed_key.h"

static enum ael_status tell(const char *component, enum ael_status status, struct ael_error *err) {
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, component, "%s", ael_status_text(status));
}

/* see kms/rest/rest_service.h */
enum ael_status ael_rest_service_init(
    struct ael_rest_service *service,
    const struct ael_rest_service_kind *kind,
    void *self,
    const struct ael_rest_options *options,
    struct ael_error *err) {
    service->kind = kind;
    service->self = self;
    AEL_TRY(ael_rest_init(&service->rest, &kind->rest, options, err));
    enum ael_status status = ael_token_keeper_init(&service->tokens, &kind->tokens, self);
    if (status == AEL_OK) {
        status = ael_decrypt_flights_init(&service->flights, kind->decrypt_joined);
    }
    return tell(kind->rest.component, status, err);
}

/* see kms/rest/rest_service.h */
void ael_rest_service_clear(struct ael_rest_service *service) {
    ael_decrypt_flights_clear(&service->flights);
    ael_token_keeper_clear(&service->tokens);
    ael_rest_clear(&service->rest);
}

/* see kms/rest/rest_service.h */
enum ael_status ael_rest_service_decrypt(
    struct ael_rest_service *service,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_call limited = ael_rest_limit(call);
    *key = NULL;
    AEL_TRY(tell(service->kind->rest.component, ael_call_check(&limited), err));
    return ael_decrypt_flights_run(
        &service->flights, &limited, encrypted, service->kind->decrypt, service->self, key, err);
}

/* see kms/rest/rest_service.h */
enum ael_status ael_rest_service_check_key(
    const struct ael_rest_service *service,
    const char *what,
    const struct ael_secret *key,
    struct ael_error *err) {
    if (ael_secret_len(key) == AEL_KEY_BYTES) {
        return AEL_OK;
    }
    return ael_error_set(
        err, AEL_E_KMS, 0, service->kind->rest.component,
        "%.80s: what came is not 32 bytes long; is it a key of another system?", what);
}

/* see kms/rest/rest_service.h */
enum ael_status ael_rest_service_make(
    const struct ael_rest_maker *maker, const void *options, struct ael_kms **kms, struct ael_error *err) {
    AEL_TRY(ael_http_exchange_supported(err));
    void *self = ael_alloc(maker->size);
    if (self == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, maker->component, "no memory for a KMS");
    }
    enum ael_status status = maker->set_up(self, options, err);
    if (status == AEL_OK) {
        status = tell(maker->component, ael_kms_new(maker->vtable, self, kms), err);
    }
    if (status != AEL_OK) {
        maker->vtable->destroy(self);
    }
    return status;
}
