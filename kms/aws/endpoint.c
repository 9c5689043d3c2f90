/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/aws/endpoint.h"

#include "base/alloc.h"
#include "base/check.h"
#include "net/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENOUGH_SUCCESSES = 4 };

static bool is_word(const char *text) {
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '"' || text[i] == '\\') {
            return false;
        }
    }
    return len > 0 && len <= AEL_KMS_AWS_ARN_MAX;
}

/* The fourth part of arn:aws:kms:us-west-2:111122223333:key/...; length 0 when it is no ARN. */
static struct ael_bytes region_of_arn(const char *key) {
    const char *at = key;
    if (strncmp(key, "arn:", 4) != 0) {
        return (struct ael_bytes){NULL, 0};
    }
    for (int colons = 0; colons < 3; colons++) {
        at = strchr(at, ':');
        if (at == NULL) {
            return (struct ael_bytes){NULL, 0};
        }
        at++;
    }
    return (struct ael_bytes){(const uint8_t *)at, strcspn(at, ":")};
}

static enum ael_status set_region(
    struct ael_kms_aws_endpoint *endpoint, const struct ael_kms_aws_region *region, struct ael_error *err) {
    struct ael_bytes of_arn = region_of_arn(region->key);
    if (region->region != NULL) {
        (void)snprintf(endpoint->region, sizeof endpoint->region, "%s", region->region);
    } else {
        (void)snprintf(
            endpoint->region, sizeof endpoint->region, "%.*s", (int)(of_arn.len < 64 ? of_arn.len : 64),
            of_arn.len == 0 ? "" : (const char *)of_arn.data);
    }
    if (!ael_aws_is_region(endpoint->region)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, endpoint->service->component,
            "no region: give one such as us-west-2, or a key's ARN, which names it");
    }
    if (of_arn.len != 0 &&
        (of_arn.len != strlen(endpoint->region) || memcmp(of_arn.data, endpoint->region, of_arn.len) != 0)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, endpoint->service->component,
            "the key given for region %s is of region %.*s", endpoint->region,
            (int)(of_arn.len < 64 ? of_arn.len : 64), (const char *)of_arn.data);
    }
    return AEL_OK;
}

static bool write_fips_url(const char *service, const char *region, char url[static AEL_AWS_URL_BYTES]) {
    const char *suffix = strncmp(region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
    int len = snprintf(url, AEL_AWS_URL_BYTES, "https://%s-fips.%s.%s", service, region, suffix);
    return len > 0 && len < AEL_AWS_URL_BYTES;
}

static bool is_set(const char *variable) {
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

static enum ael_status
set_url(struct ael_kms_aws_endpoint *endpoint, const char *given, bool fips, struct ael_error *err) {
    bool good = false;
    bool named = is_set(endpoint->service->endpoint_variable);
    bool from_env = named || is_set("AWS_ENDPOINT_URL");
    given = given == NULL && named ? getenv(endpoint->service->endpoint_variable) : given;
    if (given != NULL) {
        int len = snprintf(endpoint->url, sizeof endpoint->url, "%s", given);
        good = len > 0 && len < (int)sizeof endpoint->url;
    } else if (fips && !from_env) {
        good = write_fips_url(endpoint->service->name, endpoint->region, endpoint->url);
    } else {
        good = ael_aws_service_url(endpoint->service->name, endpoint->region, endpoint->url);
    }
    good = good && (strncmp(endpoint->url, "https://", 8) == 0 || strncmp(endpoint->url, "http://", 7) == 0);
    if (!good) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, endpoint->service->component,
            "the endpoint of region %s is no URL: https://host[:port]", endpoint->region);
    }
    if (!ael_url_keeps_secrets(endpoint->url)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, endpoint->service->component,
            "the endpoint of region %s: keys do not go over http:// beyond this machine; give "
            "https://host[:port]",
            endpoint->region);
    }
    return AEL_OK;
}

static enum ael_status
copy_key(struct ael_kms_aws_endpoint *endpoint, const char *key, struct ael_error *err) {
    size_t size = strlen(key) + 1;
    endpoint->key = ael_alloc(size);
    if (endpoint->key == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, endpoint->service->component, "no memory for a region");
    }
    memcpy(endpoint->key, key, size);
    return AEL_OK;
}

static enum ael_status make_http(
    struct ael_kms_aws_endpoint *endpoint, const struct ael_kms_aws_options *options, struct ael_error *err) {
    struct ael_http_options http = AEL_HTTP_OPTIONS_INIT;
    http.ca_file = options->ca_file;
    http.max_connections = options->max_connections;
    http.connect_timeout_ms = options->connect_timeout_ms;
    return ael_http_new(&http, &endpoint->http, err);
}

static enum ael_status init_locks(struct ael_kms_aws_endpoint *endpoint) {
    AEL_TRY(ael_mutex_init(&endpoint->lock));
    enum ael_status status = ael_breaker_init(&endpoint->breaker, &endpoint->service->breaker);
    if (status != AEL_OK) {
        ael_mutex_clear(&endpoint->lock);
    }
    return status;
}

/* see kms/aws/endpoint.h */
enum ael_status ael_kms_aws_endpoint_init(
    struct ael_kms_aws_endpoint *endpoint,
    const struct ael_kms_aws_service *service,
    const struct ael_kms_aws_region *region,
    const struct ael_kms_aws_options *options,
    struct ael_error *err) {
    endpoint->service = service;
    if (region->key == NULL || !is_word(region->key)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, endpoint->service->component,
            "a region has no key: give the ARN of a key or an alias");
    }
    AEL_TRY(set_region(endpoint, region, err));
    AEL_TRY(set_url(endpoint, region->endpoint, options->fips, err));
    enum ael_status status = init_locks(endpoint);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, endpoint->service->component, "no mutex is to be had");
    }
    status = copy_key(endpoint, region->key, err);
    if (status == AEL_OK) {
        status = make_http(endpoint, options, err);
    }
    if (status != AEL_OK) {
        ael_free(endpoint->key);
        endpoint->key = NULL;
        ael_breaker_clear(&endpoint->breaker);
        ael_mutex_clear(&endpoint->lock);
    }
    return status;
}

/* see kms/aws/endpoint.h */
void ael_kms_aws_endpoint_clear(struct ael_kms_aws_endpoint *endpoint) {
    if (endpoint->http == NULL) {
        return;
    }
    ael_http_free(endpoint->http);
    ael_free(endpoint->key);
    ael_breaker_clear(&endpoint->breaker);
    ael_mutex_clear(&endpoint->lock);
    endpoint->http = NULL;
}

/* see kms/aws/endpoint.h */
void ael_kms_aws_endpoint_note(struct ael_kms_aws_endpoint *endpoint, int64_t took_ns) {
    ael_mutex_lock(&endpoint->lock);
    endpoint->latencies_ns[endpoint->successes % AEL_KMS_AWS_LATENCIES] = took_ns;
    endpoint->successes++;
    ael_mutex_unlock(&endpoint->lock);
}

static int compare(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* see kms/aws/endpoint.h */
int64_t ael_kms_aws_endpoint_p95_ns(struct ael_kms_aws_endpoint *endpoint) {
    int64_t sorted[AEL_KMS_AWS_LATENCIES];
    ael_mutex_lock(&endpoint->lock);
    size_t count =
        endpoint->successes < AEL_KMS_AWS_LATENCIES ? (size_t)endpoint->successes : AEL_KMS_AWS_LATENCIES;
    memcpy(sorted, endpoint->latencies_ns, sizeof sorted);
    ael_mutex_unlock(&endpoint->lock);
    if (count < ENOUGH_SUCCESSES) {
        return 0;
    }
    qsort(sorted, count, sizeof sorted[0], compare);
    return sorted[(count * 95 + 99) / 100 - 1];
}
