/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/dynamodb/address.h"

#include "base/check.h"
#include "net/credentials/profiles.h"
#include "net/credentials/sources.h"
#include "net/url.h"

#include <stdio.h>
#include <string.h>

static enum ael_status bad(struct ael_error *err, const char *sentence) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_DYNAMODB_COMPONENT, "%s", sentence);
}

static enum ael_status
set_table(struct ael_dynamodb_client *client, const char *table, struct ael_error *err) {
    const char *name = table == NULL ? "EncryptionKey" : table;
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    if (len < 3 || len > 255 || name[len] != '\0') {
        return bad(err, "a table's name is 3 to 255 letters, digits, dots, hyphens or underscores");
    }
    memcpy(client->table, name, len + 1);
    return AEL_OK;
}

static bool set_region(char *out, struct ael_bytes name) {
    if (name.len == 0 || name.len >= AEL_DYNAMODB_REGION_BYTES) {
        return false;
    }
    memcpy(out, name.data, name.len);
    out[name.len] = '\0';
    return ael_aws_is_region(out);
}

static enum ael_status region_of_profile(const char *profile, char *out, struct ael_error *err) {
    struct ael_profiles profiles;
    struct ael_bytes found = {NULL, 0};
    const char *name = profile != NULL ? profile : ael_credentials_env("AWS_PROFILE");
    enum ael_status status = ael_profiles_load(&profiles, err);
    if (status == AEL_OK &&
        (!ael_profiles_find(&profiles, name != NULL ? name : "default", "region", &found) ||
         !set_region(out, found))) {
        status = bad(err, "no region: set the option, AWS_REGION, or region in the profile");
    }
    ael_profiles_clear(&profiles);
    return status;
}

static enum ael_status find_region(
    struct ael_dynamodb_client *client,
    const struct ael_metastore_dynamodb_options *options,
    struct ael_error *err) {
    const char *name = options->region != NULL ? options->region : ael_credentials_env("AWS_REGION");
    name = name != NULL ? name : ael_credentials_env("AWS_DEFAULT_REGION");
    if (name == NULL) {
        return region_of_profile(options->profile, client->region, err);
    }
    return set_region(client->region, ael_bytes_from_text(name))
               ? AEL_OK
               : bad(err, "a region is letters, digits and hyphens, such as us-west-2");
}

/* Host and port, and a path at most: what else a URL may have would be signed by nobody, or hold a
 * password. */
static bool is_endpoint(const char *url) {
    const char *host = strncmp(url, "https://", 8) == 0  ? url + 8
                       : strncmp(url, "http://", 7) == 0 ? url + 7
                                                         : NULL;
    return host != NULL && host[0] != '\0' && host[0] != '/' && strpbrk(host, "@?#") == NULL;
}

static enum ael_status
set_url(struct ael_dynamodb_client *client, const char *endpoint, struct ael_error *err) {
    char url[AEL_AWS_URL_BYTES] = "";
    size_t len = endpoint == NULL ? 0 : strlen(endpoint);
    if (endpoint == NULL ? !ael_aws_service_url("dynamodb", client->region, url) : len >= sizeof url) {
        return bad(err, "the endpoint's URL is too long");
    }
    if (endpoint != NULL) {
        memcpy(url, endpoint, len + 1);
    }
    if (!is_endpoint(url)) {
        return bad(err, "an endpoint is http:// or https:// with host, port and path, and no more");
    }
    bool slash = url[strlen(url) - 1] == '/';
    (void)snprintf(client->url, sizeof client->url, "%s%s", url, slash ? "" : "/");
    return AEL_OK;
}

/* see metastore/dynamodb/address.h */
enum ael_status ael_dynamodb_address_set(
    struct ael_dynamodb_client *client,
    const struct ael_metastore_dynamodb_options *options,
    struct ael_error *err) {
    AEL_TRY(set_table(client, options->table, err));
    AEL_TRY(find_region(client, options, err));
    const char *signing = options->signing_region != NULL ? options->signing_region : client->region;
    if (!set_region(client->signing_region, ael_bytes_from_text(signing))) {
        return bad(err, "a signing region is letters, digits and hyphens, such as us-west-2");
    }
    return set_url(client, options->endpoint, err);
}

/* see metastore/dynamodb/address.h */
bool ael_dynamodb_address_is_weak(const struct ael_dynamodb_client *client) {
    return !ael_url_keeps_secrets(client->url);
}
