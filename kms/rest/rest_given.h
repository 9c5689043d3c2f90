/*
 * kms/rest/rest_given.h - what is given to a KMS over HTTP, in its options or by the environment.
 * Layer: kms. Threads: any, while nobody changes the environment.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REST_REST_GIVEN_H
#define AEL_KMS_REST_REST_GIVEN_H

#include <ael/secret.h>
#include <ael/sys/error.h>

/**
 * What is given, else what the environment says; NULL when that is nothing, or "".
 *
 * @param variable  NULL = the environment says nothing.
 */
const char *ael_rest_given_or_env(const char *given, const char *variable);

/** Copies a text, for ael_free; NULL stays NULL. @return AEL_OK; AEL_E_NO_MEMORY. */
AEL_MUST_CHECK enum ael_status
ael_rest_copy(const char *component, const char *text, char **copied, struct ael_error *err);

/* A text that is secret. */
struct ael_rest_text {
    const char *component;
    const char *what; /* for the sentence: "the token" */
    size_t max;       /* characters; at most AEL_HTTP_TEXT_BYTES */
};

/**
 * Makes a secret of a text, and wipes that; not one whose length is refused.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (empty, or too long); or as ael_secret_new.
 */
AEL_MUST_CHECK enum ael_status ael_rest_take_secret(
    const struct ael_rest_text *text, char *given, struct ael_secret **secret, struct ael_error *err);

/** The same of a text of the environment, which stays as it is. */
AEL_MUST_CHECK enum ael_status ael_rest_copy_secret(
    const struct ael_rest_text *text, const char *value, struct ael_secret **secret, struct ael_error *err);

#endif /* AEL_KMS_REST_REST_GIVEN_H */
