/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_kms_aws.h"

#include <ael/kms_aws.h>
#include <ael/kms_secrets_manager.h>
#include <ael/sys/error.h>

#include <stdio.h>
#include <string.h>

#ifdef CLI_KMS_AWS

enum { KEYS_BYTES = 4096, REGION_BYTES = 64, ARN_REGION = 3 /* arn:aws:kms:REGION:... */ };

/* Cuts text at the first stop; returns what is behind it, or NULL when there is none. */
static char *cut_at(char *text, char stop) {
    char *at = strchr(text, stop);
    if (at == NULL) {
        return NULL;
    }
    *at = '\0';
    return at + 1;
}

static struct ael_kms_aws_region read_key(char *text) {
    struct ael_kms_aws_region region = {NULL, text, cut_at(text, '@')};
    char *key = cut_at(text, '=');
    if (key != NULL) {
        region.region = text;
        region.key = key;
    }
    return region;
}

/* The region's name, which an ARN holds too. */
static void name_region(const struct ael_kms_aws_region *region, char name[static REGION_BYTES]) {
    const char *from = region->region != NULL ? region->region : region->key;
    for (int i = 0; region->region == NULL && from != NULL && i < ARN_REGION; i++) {
        from = strchr(from, ':');
        from = from == NULL ? NULL : from + 1;
    }
    (void)snprintf(
        name, REGION_BYTES, "%.*s", from == NULL ? 0 : (int)strcspn(from, ":"), from == NULL ? "" : from);
}

/* see cli_kms_aws.h */
enum ael_status cli_open_kms_aws(const char *keys, struct ael_kms **kms, struct ael_error *err) {
    struct ael_kms_aws_region regions[AEL_KMS_AWS_MAX_REGIONS];
    struct ael_kms_aws_options options = AEL_KMS_AWS_OPTIONS_INIT;
    char preferred[REGION_BYTES];
    char text[KEYS_BYTES];
    if (snprintf(text, sizeof text, "%s", keys) >= (int)sizeof text) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, "cli", "the keys of AWS KMS are too long");
    }
    for (char *next = text; next != NULL && options.region_count < AEL_KMS_AWS_MAX_REGIONS;) {
        char *behind = cut_at(next, ',');
        regions[options.region_count++] = read_key(next);
        next = behind;
    }
    name_region(&regions[0], preferred);
    options.regions = regions;
    options.preferred_region = preferred[0] == '\0' ? NULL : preferred;
    return ael_kms_aws_new(&options, kms, err);
}

/* see cli_kms_aws.h */
enum ael_status
cli_open_kms_secrets_manager(const char *secret, struct ael_kms **kms, struct ael_error *err) {
    struct ael_kms_secrets_manager_options options = AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT;
    char text[KEYS_BYTES];
    if (snprintf(text, sizeof text, "%s", secret) >= (int)sizeof text) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, "cli", "the name of the secret is too long");
    }
    options.endpoint = cut_at(text, '@');
    options.version_stage = cut_at(text, '#');
    options.secret_id = cut_at(text, '=');
    options.region = options.secret_id != NULL ? text : NULL;
    options.secret_id = options.secret_id != NULL ? options.secret_id : text;
    return ael_kms_secrets_manager_new(&options, kms, err);
}

#else

/* see cli_kms_aws.h */
enum ael_status cli_open_kms_aws(const char *keys, struct ael_kms **kms, struct ael_error *err) {
    (void)keys, (void)kms;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without AWS KMS");
}

/* see cli_kms_aws.h */
enum ael_status
cli_open_kms_secrets_manager(const char *secret, struct ael_kms **kms, struct ael_error *err) {
    (void)secret, (void)kms;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without AWS KMS");
}

#endif
