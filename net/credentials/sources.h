/*
 * net/credentials/sources.h - where credentials come from, one function a source.
 *
 * Each answers AEL_OK; AEL_E_UNSUPPORTED (this source is not set up here: the chain asks the next one);
 * AEL_E_FORMAT (a file, variable or answer that cannot be right); AEL_E_SYSTEM (a file or program that cannot
 * be used); AEL_E_BACKEND (a service refused, or a log-in has ended: HTTP's status in err);
 * AEL_E_UNREACHABLE; AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_NO_MEMORY; or as ael_secret_new. Every sentence
 * names the source and the remedy, and no secret.
 * Layer: net. Threads: any; the environment must not be changed meanwhile.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_CREDENTIALS_SOURCES_H
#define AEL_NET_CREDENTIALS_SOURCES_H

#include "net/credentials/credentials.h"
#include "net/credentials/profiles.h"
#include "net/http/http.h"
#include "net/sigv4/clock.h"

enum {
    AEL_CREDENTIALS_TEXT_BYTES = 2048,
    AEL_CREDENTIALS_ANSWER_MAX = 64 << 10,
    AEL_CREDENTIALS_METADATA_MS = 1000
};

struct ael_credentials_context {
    struct ael_http *http;
    const struct ael_call *call;
    const struct ael_profiles *profiles;
    struct ael_sigv4_clock *clock;
    const char *region; /* NULL = what environment and profile say */
};

/** Returns the variable's text, or NULL when it is missing or empty. */
const char *ael_credentials_env(const char *name);

/** AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. */
AEL_MUST_CHECK enum ael_status ael_credentials_from_env(struct ael_credentials **out, struct ael_error *err);

/** AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, exchanged at STS. */
AEL_MUST_CHECK enum ael_status ael_credentials_from_web_identity(
    const struct ael_credentials_context *context, struct ael_credentials **out, struct ael_error *err);

/** A profile: keys, role_arn over source_profile, credential_source or a token file, SSO,
 * credential_process. */
AEL_MUST_CHECK enum ael_status ael_credentials_from_profile(
    const struct ael_credentials_context *context,
    const char *profile,
    struct ael_credentials **out,
    struct ael_error *err);

/** The SSO portal, by the token that `aws sso login` left in ~/.aws/sso/cache. */
AEL_MUST_CHECK enum ael_status ael_credentials_from_sso(
    const struct ael_credentials_context *context,
    const char *profile,
    struct ael_credentials **out,
    struct ael_error *err);

/** A program that prints credentials; run by /bin/sh, ended with the call. */
AEL_MUST_CHECK enum ael_status ael_credentials_from_process(
    const struct ael_credentials_context *context,
    const char *command,
    struct ael_credentials **out,
    struct ael_error *err);

/** The container service: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (ECS, EKS pod identity). */
AEL_MUST_CHECK enum ael_status ael_credentials_from_container(
    const struct ael_credentials_context *context, struct ael_credentials **out, struct ael_error *err);

/** The instance metadata service, version 2. */
AEL_MUST_CHECK enum ael_status ael_credentials_from_imds(
    const struct ael_credentials_context *context, struct ael_credentials **out, struct ael_error *err);

/** A role to take on; texts that are NULL are left out. */
struct ael_sts_role {
    const char *arn;
    const char *session_name; /* NULL = "ael-<time>" */
    const char *external_id;
    const char *duration_s;
    const char *region; /* NULL = the context's */
};

/** STS AssumeRole, signed with base. */
AEL_MUST_CHECK enum ael_status ael_sts_assume_role(
    const struct ael_credentials_context *context,
    const struct ael_sts_role *role,
    const struct ael_credentials *base,
    struct ael_credentials **out,
    struct ael_error *err);

/** STS AssumeRoleWithWebIdentity, with the token in a file. */
AEL_MUST_CHECK enum ael_status ael_sts_web_identity(
    const struct ael_credentials_context *context,
    const struct ael_sts_role *role,
    const char *token_file,
    struct ael_credentials **out,
    struct ael_error *err);

/** A refusal of a service's in a sentence, with the error's name when it gave one. */
enum ael_status ael_credentials_refused(
    const struct ael_http_response *response, const char *source, const char *remedy, struct ael_error *err);

#endif /* AEL_NET_CREDENTIALS_SOURCES_H */
