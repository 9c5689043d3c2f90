/*
 * kms/aws/encrypt.c - a data key of the first region that gives one; the key under it; the data key under
 * the master key of every other region that answers.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/aws/state.h"

#include "base/check.h"
#include "base/hooks.h"
#include "kms/aws/envelope.h"
#include "kms/key_wrap.h"

#include <ael/sys/log.h>

static const char k_component[] = "kms/aws";

/* What is left for the others after one region has hung: half, each time. The last one gets all. */
enum { SHARE_PERCENT = 50, ALL_PERCENT = 100, OTHERS_PERCENT = 75 };

/* Asks one region after the other. ops[i] is the one that gave a key. */
static enum ael_status generate(
    struct ael_kms_aws *self,
    const struct ael_call *call,
    struct ael_kms_aws_op *ops,
    size_t *made_by,
    struct ael_error *err) {
    struct ael_error first = {.status = AEL_OK};
    for (size_t i = 0; i < self->count; i++) {
        struct ael_call limited = ael_kms_aws_limit(call, i + 1 < self->count ? SHARE_PERCENT : ALL_PERCENT);
        ael_kms_aws_op_begin(&ops[i], &self->shared, &self->endpoints[i], AEL_KMS_AWS_GENERATE, &limited);
        ael_kms_aws_run(&ops[i], 1);
        if (ops[i].status == AEL_OK) {
            *made_by = i;
            return AEL_OK;
        }
        if (first.status == AEL_OK) {
            first = ops[i].err;
        }
        ael_kms_aws_op_clear(&ops[i]);
        enum ael_status over = ael_call_check(call);
        if (over != AEL_OK && over != first.status) {
            return ael_error_set(
                err, over, 0, k_component, "no region gave a data key before the call was over");
        }
    }
    if (err != NULL) {
        *err = first; /* the preferred region's failure is the one to mend */
    }
    return first.status;
}

/* Once there is an encrypted key. */
static void tell_left_out(const struct ael_kms_aws_op *ops, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (ops[i].status != AEL_OK) {
            ael_metric_event("ael.kms.aws.region_left_out");
            ael_sys_log(
                AEL_LOG_WARN, k_component,
                "a key was encrypted without region %s, which cannot decrypt it: %s", ops[i].endpoint->region,
                ops[i].err.detail);
        }
    }
}

/* The data key under the master keys of the other regions, side by side. Who fails is left out. */
static void encrypt_in_others(
    struct ael_kms_aws *self, const struct ael_call *call, struct ael_kms_aws_op *ops, size_t made_by) {
    struct ael_call limited = ael_kms_aws_limit(call, OTHERS_PERCENT);
    for (size_t i = 0; i < self->count; i++) {
        if (i != made_by) {
            ael_kms_aws_op_begin(&ops[i], &self->shared, &self->endpoints[i], AEL_KMS_AWS_ENCRYPT, &limited);
            ops[i].key_in = ops[made_by].key;
        }
    }
    ael_kms_aws_run(ops, self->count);
}

static enum ael_status write_envelope(
    const struct ael_kms_aws *self,
    const struct ael_kms_aws_op *ops,
    struct ael_bytes wrapped,
    struct ael_buf *out) {
    struct ael_kms_aws_envelope envelope = {.encrypted_key = wrapped};
    for (size_t i = 0; i < self->count; i++) {
        if (ops[i].status == AEL_OK) {
            envelope.keks[envelope.kek_count++] = (struct ael_kms_aws_kek){
                .region = ael_bytes_from_text(self->endpoints[i].region),
                .arn = ael_bytes_from_text(self->endpoints[i].key),
                .encrypted = ael_buf_view(&ops[i].blob_out),
            };
        }
    }
    return ael_kms_aws_envelope_write(&envelope, out);
}

static enum ael_status encrypt_with(
    struct ael_kms_aws *self,
    const struct ael_call *call,
    struct ael_kms_aws_op *ops,
    size_t made_by,
    struct ael_secret *key,
    struct ael_buf *out) {
    uint8_t wrapped[AEL_WRAPPED_KEY_BYTES] = {0};
    enum ael_status status = ael_key_wrap(ops[made_by].key, call, key, wrapped);
    if (status != AEL_OK) {
        return status;
    }
    encrypt_in_others(self, call, ops, made_by);
    status = ael_call_check(call);
    if (status == AEL_E_CANCELLED) {
        return status;
    }
    AEL_TRY(write_envelope(self, ops, (struct ael_bytes){wrapped, sizeof wrapped}, out));
    tell_left_out(ops, self->count);
    return AEL_OK;
}

/* see kms/aws/state.h */
enum ael_status ael_kms_aws_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct ael_kms_aws *kms = self;
    struct ael_kms_aws_op ops[AEL_KMS_AWS_MAX_REGIONS] = {{0}};
    struct ael_call limited = ael_kms_aws_limit(call, ALL_PERCENT);
    size_t made_by = 0;
    enum ael_status status = generate(kms, &limited, ops, &made_by, err);
    if (status == AEL_OK) {
        status = encrypt_with(kms, &limited, ops, made_by, key, out);
        if (status != AEL_OK) {
            (void)ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
        }
    }
    for (size_t i = 0; i < kms->count; i++) {
        ael_kms_aws_op_clear(&ops[i]);
    }
    return status;
}
