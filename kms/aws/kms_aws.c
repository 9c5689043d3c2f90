/*
 * kms/aws/kms_aws.c - the KMS over AWS KMS: options, table, health.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/aws/envelope.h"
#include "kms/aws/state.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#include <ael/sys/kms_backend.h>
#include <ael/sys/log.h>

#include <string.h>

static const char k_component[] = "kms/aws";

/* see kms/aws/service.h */
const struct ael_kms_aws_service ael_kms_aws_service = {
    .component = k_component,
    .name = "kms",
    .endpoint_variable = "AWS_ENDPOINT_URL_KMS",
    .retried = "ael.kms.aws.retry",
    .breaker =
        {"ael.kms.aws.breaker_opened", "ael.kms.aws.breaker_half_opened", "ael.kms.aws.breaker_closed"},
};

/* see kms/aws/state.h */
struct ael_call ael_kms_aws_limit(const struct ael_call *call, unsigned share_percent) {
    struct ael_call limited = *call;
    int64_t now_ns = ael_clock_boot_ns();
    int64_t left_ns =
        call->deadline_ns != 0 ? call->deadline_ns - now_ns : (int64_t)ael_call_remaining_ms(NULL) * 1000000;
    limited.deadline_ns = now_ns + (left_ns <= 0 ? left_ns : left_ns / 100 * share_percent);
    return limited;
}

static bool step_all(struct ael_kms_aws_op *ops, size_t count) {
    bool over = true;
    for (size_t i = 0; i < count; i++) {
        over = ael_kms_aws_op_step(&ops[i]) && over;
    }
    return over;
}

/* see kms/aws/state.h */
void ael_kms_aws_run(struct ael_kms_aws_op *ops, size_t count) {
    while (!step_all(ops, count)) {
        ael_kms_aws_op_wait(ops, count, INT64_MAX);
    }
}

/* ---- health ---- */

/* One region after the other would take long: a data key in each, and that decrypted. */
static size_t ask_all(
    struct ael_kms_aws *self,
    const struct ael_call *call,
    struct ael_kms_aws_op *made,
    struct ael_kms_aws_op *opened) {
    size_t well = 0;
    for (size_t i = 0; i < self->count; i++) {
        ael_kms_aws_op_begin(&made[i], &self->shared, &self->endpoints[i], AEL_KMS_AWS_GENERATE, call);
    }
    ael_kms_aws_run(made, self->count);
    for (size_t i = 0; i < self->count; i++) {
        ael_kms_aws_op_begin(&opened[i], &self->shared, &self->endpoints[i], AEL_KMS_AWS_DECRYPT, call);
        opened[i].blob_in = ael_buf_view(&made[i].blob_out);
        opened[i].over = made[i].status != AEL_OK;
        opened[i].status = made[i].status;
        opened[i].err = made[i].err;
    }
    ael_kms_aws_run(opened, self->count);
    for (size_t i = 0; i < self->count; i++) {
        well += opened[i].status == AEL_OK ? 1 : 0;
    }
    return well;
}

static enum ael_status aws_health(void *self, const struct ael_call *call, struct ael_error *err) {
    struct ael_kms_aws *kms = self;
    struct ael_kms_aws_op made[AEL_KMS_AWS_MAX_REGIONS] = {{0}};
    struct ael_kms_aws_op opened[AEL_KMS_AWS_MAX_REGIONS] = {{0}};
    struct ael_call limited = ael_kms_aws_limit(call, 100);
    enum ael_status status = AEL_OK;
    if (ask_all(kms, &limited, made, opened) == 0) {
        status = opened[0].status;
        if (err != NULL) {
            *err = opened[0].err;
        }
    }
    for (size_t i = 0; i < kms->count; i++) {
        if (status == AEL_OK && opened[i].status != AEL_OK) {
            ael_sys_log(AEL_LOG_WARN, k_component, "a region is not well: %s", opened[i].err.detail);
        }
        ael_kms_aws_op_clear(&made[i]);
        ael_kms_aws_op_clear(&opened[i]);
    }
    return status;
}

/* ---- making and ending ---- */

static void aws_destroy(void *self) {
    struct ael_kms_aws *kms = self;
    for (size_t i = 0; i < kms->count; i++) {
        ael_kms_aws_endpoint_clear(&kms->endpoints[i]);
    }
    ael_decrypt_flights_clear(&kms->flights);
    ael_kms_aws_shared_clear(&kms->shared);
    ael_free(kms);
}

/* An alias or a bare id does not tell which key it stands for. */
static bool may_be_key(const struct ael_kms_aws_endpoint *endpoint, struct ael_bytes arn) {
    bool told = strncmp(endpoint->key, "arn:", 4) == 0 && strstr(endpoint->key, ":key/") != NULL;
    return !told || (strlen(endpoint->key) == arn.len && memcmp(endpoint->key, arn.data, arn.len) == 0);
}

/* The regions and keys of the envelope are those that would be written now, some of them, or none. */
static enum ael_kms_form aws_form(void *self, struct ael_bytes encrypted) {
    const struct ael_kms_aws *kms = self;
    struct ael_kms_aws_envelope envelope;
    if (ael_kms_aws_envelope_parse(encrypted, &envelope, NULL) != AEL_OK) {
        return AEL_KMS_FORM_FOREIGN;
    }
    size_t known = 0;
    size_t same = 0;
    for (size_t i = 0; i < kms->count; i++) {
        const struct ael_kms_aws_kek *kek = ael_kms_aws_envelope_find(&envelope, kms->endpoints[i].region);
        known += kek != NULL;
        same += kek != NULL && may_be_key(&kms->endpoints[i], kek->arn);
    }
    bool own = same == kms->count && envelope.kek_count == kms->count;
    ael_kms_aws_envelope_clear(&envelope);
    return known == 0 ? AEL_KMS_FORM_FOREIGN : own ? AEL_KMS_FORM_OWN : AEL_KMS_FORM_PARTIAL;
}

static const struct ael_kms_vtable k_aws_vtable = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "aws",
    .encrypt_key = ael_kms_aws_encrypt_key,
    .decrypt_key = ael_kms_aws_decrypt_key,
    .destroy = aws_destroy,
    .health = aws_health,
    .form = aws_form,
};

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

static enum ael_status check_options(const struct ael_kms_aws_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof *options) {
        return refuse(err, "options are missing or of another size; use AEL_KMS_AWS_OPTIONS_INIT");
    }
    if (options->regions == NULL || options->region_count == 0 ||
        options->region_count > AEL_KMS_AWS_MAX_REGIONS) {
        return refuse(err, "give 1 to 16 regions");
    }
    if (options->region_count > 1 && options->preferred_region == NULL) {
        return refuse(err, "with more than one region say which one is preferred (preferred_region)");
    }
    if (options->context_count > AEL_KMS_AWS_MAX_CONTEXT ||
        (options->context == NULL && options->context_count > 0)) {
        return refuse(err, "an encryption context has at most 8 pairs");
    }
    if (options->max_connections == 0 || options->max_connections > AEL_HTTP_MAX_CONNECTIONS ||
        options->try_timeout_ms == 0 || options->max_tries == 0 || options->max_tries > 10) {
        return refuse(err, "max_connections is 1 to 256, try_timeout_ms at least 1, max_tries 1 to 10");
    }
    return AEL_OK;
}

static bool is_text(const char *text) {
    return text != NULL && text[0] != '\0' && ael_utf8_is_valid(ael_bytes_from_text(text));
}

static size_t context_len(const struct ael_kms_aws_options *options) {
    size_t len = sizeof ",\"EncryptionContext\":{}";
    for (size_t i = 0; i < options->context_count; i++) {
        len += ael_json_string_len(ael_bytes_from_text(options->context[i].name)) + 2;
        len += ael_json_string_len(ael_bytes_from_text(options->context[i].value));
    }
    return len;
}

static uint8_t *put_text(uint8_t *at, const char *text) {
    return ael_json_put(at, ael_bytes_from_text(text));
}

static enum ael_status
set_context(struct ael_kms_aws *self, const struct ael_kms_aws_options *options, struct ael_error *err) {
    for (size_t i = 0; i < options->context_count; i++) {
        if (!is_text(options->context[i].name) || !is_text(options->context[i].value)) {
            return refuse(err, "names and values of the encryption context are UTF-8 texts, and not empty");
        }
    }
    self->shared.context = ael_alloc(context_len(options));
    if (self->shared.context == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a KMS");
    }
    if (options->context_count == 0) {
        return AEL_OK;
    }
    uint8_t *at = put_text((uint8_t *)self->shared.context, ",\"EncryptionContext\":{");
    for (size_t i = 0; i < options->context_count; i++) {
        at = put_text(at, i == 0 ? "" : ",");
        at = ael_json_put_string(at, ael_bytes_from_text(options->context[i].name));
        at = put_text(at, ":");
        at = ael_json_put_string(at, ael_bytes_from_text(options->context[i].value));
    }
    *put_text(at, "}") = '\0';
    return AEL_OK;
}

static enum ael_status add_endpoint(
    struct ael_kms_aws *self,
    const struct ael_kms_aws_region *region,
    const struct ael_kms_aws_options *options,
    struct ael_error *err) {
    struct ael_kms_aws_endpoint *endpoint = &self->endpoints[self->count];
    AEL_TRY(ael_kms_aws_endpoint_init(endpoint, &ael_kms_aws_service, region, options, err));
    self->count++;
    for (size_t i = 0; i + 1 < self->count; i++) {
        if (strcmp(self->endpoints[i].region, endpoint->region) == 0) {
            return ael_error_set(
                err, AEL_E_ARGUMENT, 0, k_component, "region %s is given twice", endpoint->region);
        }
    }
    return AEL_OK;
}

static const char *name_of(const struct ael_kms_aws_region *region) {
    return region->region != NULL ? region->region : region->key != NULL ? region->key : "";
}

/* Whether this is the preferred region: by its name, or as the fourth part of its key's ARN. */
static bool is_preferred(const struct ael_kms_aws_region *region, const char *preferred) {
    if (preferred == NULL || region->region != NULL) {
        return preferred == NULL || strcmp(region->region, preferred) == 0;
    }
    const char *found = strstr(name_of(region), preferred);
    return found != NULL && found > name_of(region) && found[-1] == ':' && found[strlen(preferred)] == ':';
}

static enum ael_status
add_endpoints(struct ael_kms_aws *self, const struct ael_kms_aws_options *options, struct ael_error *err) {
    size_t preferred = options->region_count;
    for (size_t i = options->region_count; i > 0; i--) {
        preferred = is_preferred(&options->regions[i - 1], options->preferred_region) ? i - 1 : preferred;
    }
    if (preferred == options->region_count) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "the preferred region %.40s is not among the regions",
            options->preferred_region);
    }
    AEL_TRY(add_endpoint(self, &options->regions[preferred], options, err));
    for (size_t i = 0; i < options->region_count; i++) {
        if (i != preferred) {
            AEL_TRY(add_endpoint(self, &options->regions[i], options, err));
        }
    }
    return AEL_OK;
}

static enum ael_status
set_up(struct ael_kms_aws *self, const struct ael_kms_aws_options *options, struct ael_error *err) {
    ael_kms_aws_shared_init(&self->shared, k_component, options);
    self->hedging = !options->no_hedging;
    self->hedge_delay_ns = (int64_t)options->hedge_delay_ms * 1000000;
    enum ael_status status = ael_decrypt_flights_init(&self->flights, "ael.kms.aws.decrypt_joined");
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "no memory or mutex for a KMS");
    }
    AEL_TRY(set_context(self, options, err));
    AEL_TRY(add_endpoints(self, options, err));
    return ael_kms_aws_shared_set_credentials(&self->shared, options, self->endpoints[0].region, err);
}

/* see ael/kms_aws.h */
enum ael_status
ael_kms_aws_new(const struct ael_kms_aws_options *options, struct ael_kms **kms, struct ael_error *err) {
    if (kms == NULL) {
        return refuse(err, "nowhere to put the handle");
    }
    *kms = NULL;
    AEL_TRY(check_options(options, err));
    AEL_TRY(ael_http_exchange_supported(err));
    struct ael_kms_aws *self = ael_alloc(sizeof *self);
    if (self == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a KMS");
    }
    enum ael_status status = set_up(self, options, err);
    if (status == AEL_OK) {
        status = ael_kms_new(&k_aws_vtable, self, kms);
        if (status != AEL_OK) {
            (void)ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
        }
    }
    if (status != AEL_OK) {
        aws_destroy(self);
    }
    return status;
}
