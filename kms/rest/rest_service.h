/*
 * kms/rest/rest_service.h - what a KMS over HTTP is made of, whatever its service: requests
 * (kms/rest/rest.h), tokens for them (kms/rest/token_keeper.h), and decrypts of which equal ones are one
 * (kms/remote/decrypt_flights.h).
 *
 *     set_up:       ael_rest_service_init(&self->service, &k_kind, self, &rest, err)
 *     a request:    ael_rest_ask_with_token(&self->service.rest, &self->service.tokens, ...)
 *     decrypt_key:  ael_rest_service_decrypt(&self->service, call, encrypted, key, err)
 *
 * Layer: kms. Threads: any, but making and clearing.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REST_REST_SERVICE_H
#define AEL_KMS_REST_REST_SERVICE_H

#include "kms/remote/decrypt_flights.h"
#include "kms/rest/rest_token.h"

#include <ael/sys/kms_backend.h>

/* What one service is like; static. */
struct ael_rest_service_kind {
    struct ael_rest_kind rest;
    struct ael_token_source tokens;
    ael_decrypt_fn decrypt;     /* the call that is made for all who want a key now */
    const char *decrypt_joined; /* name of a counter */
};

struct ael_rest_service {
    const struct ael_rest_service_kind *kind;
    void *self; /* the KMS */
    struct ael_rest rest;
    struct ael_token_keeper tokens;
    struct ael_decrypt_flights flights;
};

/**
 * Sets it up.
 *
 * @param service  zeroed; to be cleared after a failure too. @param kind and self outlive it.
 * @return as ael_rest_init, ael_token_keeper_init and ael_decrypt_flights_init.
 */
AEL_MUST_CHECK enum ael_status ael_rest_service_init(
    struct ael_rest_service *service,
    const struct ael_rest_service_kind *kind,
    void *self,
    const struct ael_rest_options *options,
    struct ael_error *err);

/** Ends it; a zeroed one is accepted. */
void ael_rest_service_clear(struct ael_rest_service *service);

/**
 * Decrypts a key through the kind's decrypt, or joins an equal call that is under way.
 *
 * @param call  its deadline is set where it has none. @param key receives the secret; NULL on failure.
 * @return as ael_decrypt_flights_run.
 */
AEL_MUST_CHECK enum ael_status ael_rest_service_decrypt(
    struct ael_rest_service *service,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err);

/** Tells whether what came is as long as a key. @param what as of a request. @return AEL_OK; AEL_E_KMS. */
AEL_MUST_CHECK enum ael_status ael_rest_service_check_key(
    const struct ael_rest_service *service,
    const char *what,
    const struct ael_secret *key,
    struct ael_error *err);

/* How a KMS is made; static. */
struct ael_rest_maker {
    const char *component;
    const struct ael_kms_vtable *vtable; /* its destroy takes what set_up left half-done */
    size_t size;                         /* of the KMS, which is zeroed */
    enum ael_status (*set_up)(void *self, const void *options, struct ael_error *err);
};

/** Makes a KMS. @return as set_up; AEL_E_UNSUPPORTED (as ael_http_exchange_supported); or as ael_kms_new. */
AEL_MUST_CHECK enum ael_status ael_rest_service_make(
    const struct ael_rest_maker *maker, const void *options, struct ael_kms **kms, struct ael_error *err);

#endif /* AEL_KMS_REST_REST_SERVICE_H */
