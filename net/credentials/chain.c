/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/chain.h"

#include "base/alloc.h"
#include "base/check.h"
#include "net/credentials/sources.h"

#include <string.h>

static const char k_component[] = "net/credentials";

struct ael_credentials_chain {
    struct ael_http *http;
    char *profile;
    char *region;
    struct ael_sigv4_clock clock;
};

static bool copy_text(const char *text, char **copy) {
    if (text == NULL) {
        return true;
    }
    size_t size = strlen(text) + 1;
    *copy = ael_alloc(size);
    if (*copy != NULL) {
        memcpy(*copy, text, size);
    }
    return *copy != NULL;
}

/* see net/credentials/chain.h */
enum ael_status ael_credentials_chain_new(
    struct ael_http *http, const char *profile, const char *region, struct ael_credentials_chain **chain) {
    struct ael_credentials_chain *made = ael_alloc(sizeof *made);
    *chain = NULL;
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    made->http = http;
    if (!copy_text(profile, &made->profile) || !copy_text(region, &made->region)) {
        ael_credentials_chain_free(made);
        return AEL_E_NO_MEMORY;
    }
    *chain = made;
    return AEL_OK;
}

/* see net/credentials/chain.h */
void ael_credentials_chain_free(struct ael_credentials_chain *chain) {
    if (chain != NULL) {
        ael_free(chain->profile);
        ael_free(chain->region);
        ael_free(chain);
    }
}

/* The profile by name or, when nobody named one, the one called default, which need not exist. */
static enum ael_status ask_profile(
    struct ael_credentials_chain *chain,
    struct ael_credentials_context *context,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_profiles profiles;
    const char *named = chain->profile != NULL ? chain->profile : ael_credentials_env("AWS_PROFILE");
    const char *profile = named != NULL ? named : "default";
    enum ael_status status = ael_profiles_load(&profiles, err);
    context->profiles = &profiles;
    if (status == AEL_OK && named != NULL && !ael_profiles_has(&profiles, named)) {
        status = ael_error_set(
            err, AEL_E_FORMAT, 0, k_component,
            "profile %.80s is in neither the config nor the credentials file; correct AWS_PROFILE or the "
            "file",
            named);
    } else if (status == AEL_OK) {
        status = ael_credentials_from_profile(context, profile, out, err);
    }
    context->profiles = NULL;
    ael_profiles_clear(&profiles);
    return status;
}

static enum ael_status ask_service(
    const struct ael_credentials_context *context, struct ael_credentials **out, struct ael_error *err) {
    enum ael_status status = ael_credentials_from_container(context, out, err);
    return status == AEL_E_UNSUPPORTED ? ael_credentials_from_imds(context, out, err) : status;
}

/* see net/credentials/chain.h */
enum ael_status ael_credentials_chain_fetch(
    void *chain, const struct ael_call *call, struct ael_credentials **out, struct ael_error *err) {
    struct ael_credentials_chain *self = chain;
    struct ael_credentials_context context = {
        .http = self->http, .call = call, .clock = &self->clock, .region = self->region};
    enum ael_status status = ael_credentials_from_env(out, err);
    if (status == AEL_E_UNSUPPORTED) {
        status = ael_credentials_from_web_identity(&context, out, err);
    }
    if (status == AEL_E_UNSUPPORTED) {
        status = ask_profile(self, &context, out, err);
    }
    if (status == AEL_E_UNSUPPORTED) {
        status = ask_service(&context, out, err);
    }
    if (status == AEL_E_UNSUPPORTED) {
        return ael_error_set(
            err, status, 0, k_component,
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this "
            "machine, task "
            "or pod a role");
    }
    return status;
}
