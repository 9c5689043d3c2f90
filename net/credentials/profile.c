/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/sources.h"

#include "base/alloc.h"

#include <string.h>

static const char k_component[] = "net/credentials";

enum { MOST_PROFILES = 6 }; /* a chain that is longer is taken for a circle */

static enum ael_status refuse(const char *profile, const char *why, struct ael_error *err) {
    return ael_error_set(err, AEL_E_FORMAT, 0, k_component, "profile %.80s: %s", profile, why);
}

static enum ael_status from_keys(
    const struct ael_profiles *profiles,
    const char *profile,
    struct ael_credentials **out,
    struct ael_error *err) {
    uint8_t copy[AEL_CREDENTIALS_SECRET_MAX + 1] = {0};
    struct ael_bytes secret;
    struct ael_credentials_parts parts = {
        .secret = copy, .expires_s = AEL_CREDENTIALS_NEVER, .source = "profile's access key"};
    if (!ael_profiles_find(profiles, profile, "aws_access_key_id", &parts.access_key_id) ||
        !ael_profiles_find(profiles, profile, "aws_secret_access_key", &secret)) {
        return refuse(profile, "aws_access_key_id and aws_secret_access_key must both be there", err);
    }
    parts.secret_len = secret.len < sizeof copy ? secret.len : sizeof copy; /* one too many is refused */
    memcpy(copy, secret.data, parts.secret_len);
    (void)ael_profiles_find(profiles, profile, "aws_session_token", &parts.token);
    return ael_credentials_new(&parts, out, err);
}

static bool has(const struct ael_profiles *profiles, const char *profile, const char *property) {
    struct ael_bytes value;
    return ael_profiles_find(profiles, profile, property, &value);
}

/* A property as a text; NULL when it is missing. *good becomes false when it does not fit. */
static const char *text_of(
    const struct ael_profiles *profiles,
    const char *profile,
    const char *property,
    char text[static AEL_CREDENTIALS_TEXT_BYTES],
    bool *good) {
    struct ael_bytes value;
    if (!ael_profiles_find(profiles, profile, property, &value)) {
        return NULL;
    }
    *good = *good && ael_text_copy(value, text, AEL_CREDENTIALS_TEXT_BYTES);
    return text;
}

/* ---- roles ---- */

struct role_texts {
    char arn[AEL_CREDENTIALS_TEXT_BYTES];
    char session[AEL_CREDENTIALS_TEXT_BYTES];
    char external[AEL_CREDENTIALS_TEXT_BYTES];
    char duration[AEL_CREDENTIALS_TEXT_BYTES];
    char region[AEL_CREDENTIALS_TEXT_BYTES];
    char other[AEL_CREDENTIALS_TEXT_BYTES]; /* source profile, source or token file */
};

static bool read_role(
    const struct ael_credentials_context *context,
    const char *profile,
    struct role_texts *texts,
    struct ael_sts_role *role) {
    const struct ael_profiles *profiles = context->profiles;
    bool good = true;
    *role = (struct ael_sts_role){
        .arn = text_of(profiles, profile, "role_arn", texts->arn, &good),
        .session_name = text_of(profiles, profile, "role_session_name", texts->session, &good),
        .external_id = text_of(profiles, profile, "external_id", texts->external, &good),
        .duration_s = text_of(profiles, profile, "duration_seconds", texts->duration, &good),
        .region = context->region != NULL ? context->region
                                          : text_of(profiles, profile, "region", texts->region, &good),
    };
    return good;
}

static enum ael_status from_named_source(
    const struct ael_credentials_context *context,
    const char *profile,
    const char *source,
    struct ael_credentials **out,
    struct ael_error *err) {
    if (strcmp(source, "Environment") == 0) {
        return ael_credentials_from_env(out, err);
    }
    if (strcmp(source, "EcsContainer") == 0) {
        return ael_credentials_from_container(context, out, err);
    }
    if (strcmp(source, "Ec2InstanceMetadata") == 0) {
        return ael_credentials_from_imds(context, out, err);
    }
    return refuse(profile, "credential_source is Environment, EcsContainer or Ec2InstanceMetadata", err);
}

static enum ael_status resolve(
    const struct ael_credentials_context *context,
    const char *profile,
    unsigned depth,
    struct ael_credentials **out,
    struct ael_error *err);

/* What signs for the role: another profile (or this one's own keys), or a source by name. */
static enum ael_status base_of_role(
    const struct ael_credentials_context *context,
    const char *profile,
    unsigned depth,
    char other[static AEL_CREDENTIALS_TEXT_BYTES],
    struct ael_credentials **base,
    struct ael_error *err) {
    bool good = true;
    const char *source_profile = text_of(context->profiles, profile, "source_profile", other, &good);
    if (source_profile != NULL) {
        if (!good || !ael_profiles_has(context->profiles, source_profile)) {
            return refuse(profile, "its source_profile is in neither file; correct the name", err);
        }
        return strcmp(source_profile, profile) == 0 ? from_keys(context->profiles, profile, base, err)
                                                    : resolve(context, source_profile, depth + 1, base, err);
    }
    const char *source = text_of(context->profiles, profile, "credential_source", other, &good);
    if (source == NULL || !good) {
        return refuse(
            profile, "role_arn needs source_profile, credential_source or web_identity_token_file", err);
    }
    return from_named_source(context, profile, source, base, err);
}

static enum ael_status take_role_on(
    const struct ael_credentials_context *context,
    const char *profile,
    unsigned depth,
    struct role_texts *texts,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_sts_role role;
    struct ael_credentials *base = NULL;
    bool good = read_role(context, profile, texts, &role);
    const char *token_file =
        text_of(context->profiles, profile, "web_identity_token_file", texts->other, &good);
    if (!good) {
        return refuse(profile, "a value is longer than 2047 bytes; correct it", err);
    }
    if (has(context->profiles, profile, "mfa_serial")) {
        return refuse(
            profile, "mfa_serial asks for a person; use a role without it, or credential_process", err);
    }
    if (token_file != NULL) {
        return ael_sts_web_identity(context, &role, token_file, out, err);
    }
    enum ael_status status = base_of_role(context, profile, depth, texts->other, &base, err);
    if (status == AEL_E_UNSUPPORTED) {
        status = refuse(profile, "what role_arn is to be taken on with has no credentials here", err);
    }
    if (status == AEL_OK) {
        status = ael_sts_assume_role(context, &role, base, out, err);
    }
    ael_credentials_release(base);
    return status;
}

static enum ael_status from_role(
    const struct ael_credentials_context *context,
    const char *profile,
    unsigned depth,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct role_texts *texts =
        ael_alloc(sizeof *texts); /* too much for a small stack, profile upon profile */
    if (texts == NULL) {
        return ael_error_set(
            err, AEL_E_NO_MEMORY, 0, k_component, "profile %.80s: no memory for a role", profile);
    }
    enum ael_status status = take_role_on(context, profile, depth, texts, out, err);
    ael_free(texts);
    return status;
}

static enum ael_status resolve(
    const struct ael_credentials_context *context,
    const char *profile,
    unsigned depth,
    struct ael_credentials **out,
    struct ael_error *err) {
    const struct ael_profiles *profiles = context->profiles;
    char command[AEL_CREDENTIALS_TEXT_BYTES];
    bool good = true;
    if (depth >= MOST_PROFILES) {
        return refuse(profile, "source_profile names profiles in a circle, or too many in a row", err);
    }
    if (has(profiles, profile, "role_arn")) {
        return from_role(context, profile, depth, out, err);
    }
    if (has(profiles, profile, "aws_access_key_id") || has(profiles, profile, "aws_secret_access_key")) {
        return from_keys(profiles, profile, out, err);
    }
    if (has(profiles, profile, "sso_session") || has(profiles, profile, "sso_start_url")) {
        return ael_credentials_from_sso(context, profile, out, err);
    }
    if (text_of(profiles, profile, "credential_process", command, &good) != NULL) {
        return good ? ael_credentials_from_process(context, command, out, err)
                    : refuse(profile, "credential_process is longer than 2047 bytes", err);
    }
    return ael_error_set(
        err, AEL_E_UNSUPPORTED, 0, k_component, "profile %.80s: it names no credentials", profile);
}

/* see net/credentials/sources.h */
enum ael_status ael_credentials_from_profile(
    const struct ael_credentials_context *context,
    const char *profile,
    struct ael_credentials **out,
    struct ael_error *err) {
    *out = NULL;
    return resolve(context, profile, 0, out, err);
}
