/*
 * kms/secrets_manager/kms_secrets_manager.c - the KMS whose master key is a secret of AWS Secrets Manager:
 * asked for once, then as the static KMS. SPDX-License-Identifier: Apache-2.0
 */
#include <ael/kms_secrets_manager.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/hooks.h"
#include "base/json.h"
#include "kms/aws/state.h"
#include "kms/key_wrap.h"
#include "kms/kms_backend.h"
#include "kms/secrets_manager/key.h"

#include <ael/sys/kms_backend.h>
#include <ael/sys/log.h>

#include <stdlib.h>
#include <string.h>

static const char k_component[] = "kms/secrets-manager";

enum { VERSION_MAX = 256, ALL_PERCENT = 100 };

struct kms_secrets {
    struct ael_kms_aws_shared shared;
    struct ael_kms_aws_endpoint endpoint;
    struct ael_decrypt_flights flights; /* of the secret: those who need it at one time ask once */
    struct ael_mutex lock;              /* guards master */
    struct ael_secret *master;          /* NULL until it was asked for */
    bool has_lock;
};

static const struct ael_kms_aws_meaning k_meanings[] = {
    {"ResourceNotFoundException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "no such secret, or no such version of it, in this region and account; check name, region and version, "
     "and for a "
     "secret of another account give its ARN"},
    {"AccessDeniedException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "not allowed; the credentials need secretsmanager:GetSecretValue in IAM, for a secret of another "
     "account in its "
     "policy too, and kms:Decrypt where it is under a key of your own"},
    {"AccessDenied", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "not allowed; the credentials need secretsmanager:GetSecretValue"},
    {"DecryptionFailure", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "Secrets Manager may not decrypt the secret; check the KMS key that it is under"},
    {"InvalidRequestException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the secret cannot be read in its state; is it to be deleted? Restore it"},
    {"InvalidParameterException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the request is not accepted; check the secret's name and version, which must belong together"},
    {"ValidationException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the request is not accepted; check the secret's name and version"},
    {"InternalServiceError", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY, "Secrets Manager failed inside"},
};

static const struct ael_kms_aws_service k_service = {
    .component = k_component,
    .name = "secretsmanager",
    .endpoint_variable = "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    .retried = "ael.kms.secretsmanager.retry",
    .breaker =
        {"ael.kms.secretsmanager.breaker_opened", "ael.kms.secretsmanager.breaker_half_opened",
         "ael.kms.secretsmanager.breaker_closed"},
    .meanings = k_meanings,
    .meaning_count = sizeof k_meanings / sizeof k_meanings[0],
};

static enum ael_status failed(struct ael_error *err, enum ael_status status) {
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
}

/* ---- the master key ---- */

static enum ael_status decode(
    struct kms_secrets *kms,
    const struct ael_kms_aws_op *op,
    struct ael_secret **master,
    struct ael_error *err) {
    enum ael_status status = ael_kms_secrets_key_decode(op->key, op->is_binary, &op->call, master);
    if (status == AEL_E_FORMAT) {
        return ael_error_set(
            err, AEL_E_KMS, 0, k_component, "%s: the secret %s; store the master key that the rows are under",
            kms->endpoint.region,
            op->is_binary ? "is not 32 bytes long"
                          : "is not 64 hexadecimal digits (nor with 0x in front, or white space)");
    }
    return failed(err, status);
}

/* Asks Secrets Manager, now. */
static enum ael_status
ask(struct kms_secrets *kms, const struct ael_call *call, struct ael_secret **master, struct ael_error *err) {
    struct ael_kms_aws_op op;
    *master = NULL;
    ael_kms_aws_op_begin(&op, &kms->shared, &kms->endpoint, AEL_KMS_AWS_FETCH, call);
    ael_kms_aws_run(&op, 1);
    enum ael_status status = op.status;
    if (status == AEL_OK) {
        ael_metric_event("ael.kms.secretsmanager.fetched");
        status = decode(kms, &op, master, err);
    } else if (err != NULL) {
        *err = op.err;
    }
    ael_kms_aws_op_clear(&op);
    return status;
}

/* What was kept, for the caller to release, or NULL. */
static struct ael_secret *kept(struct kms_secrets *kms) {
    ael_mutex_lock(&kms->lock);
    struct ael_secret *master = kms->master == NULL ? NULL : ael_secret_acquire(kms->master);
    ael_mutex_unlock(&kms->lock);
    return master;
}

/* Keeps it instead of `old` (NULL = nothing), unless another is kept by now. */
static void keep(struct kms_secrets *kms, struct ael_secret *old, struct ael_secret *master) {
    struct ael_secret *gone = NULL;
    ael_mutex_lock(&kms->lock);
    if (kms->master == old) {
        gone = old;
        kms->master = master == NULL ? NULL : ael_secret_acquire(master);
    }
    ael_mutex_unlock(&kms->lock);
    ael_secret_release(gone);
}

/* An ael_decrypt_fn: asks, unless somebody has got it meanwhile. */
static enum ael_status fetch(
    void *self,
    const struct ael_call *call,
    struct ael_bytes what,
    struct ael_secret **master,
    struct ael_error *err) {
    struct kms_secrets *kms = self;
    (void)what;
    *master = kept(kms);
    if (*master != NULL) {
        return AEL_OK;
    }
    AEL_TRY(ask(kms, call, master, err));
    keep(kms, NULL, *master);
    return AEL_OK;
}

static enum ael_status get_master(
    struct kms_secrets *kms, const struct ael_call *call, struct ael_secret **master, struct ael_error *err) {
    struct ael_call limited = ael_kms_aws_limit(call, ALL_PERCENT);
    enum ael_status status = ael_call_check(&limited);
    *master = NULL;
    if (status != AEL_OK) {
        return failed(err, status);
    }
    *master = kept(kms);
    if (*master != NULL) {
        return AEL_OK;
    }
    return ael_decrypt_flights_run(
        &kms->flights, &limited, ael_bytes_from_text(kms->endpoint.key), fetch, kms, master, err);
}

/* The key in memory is no more, and can be asked for anew: forgotten at a fork, found damaged, or of before a
 * shut-down. */
static bool is_gone(enum ael_status status, struct ael_secret *master, const struct ael_call *call) {
    bool may_be = status == AEL_E_FORKED || status == AEL_E_CORRUPTED || status == AEL_E_CLOSED;
    /* Or it was the caller's own key: this one opens. */
    return may_be && ael_kms_compare_keys(master, master, call) != AEL_OK;
}

/* ---- the table ---- */

/* One call on a key: what is to be done with the master key. */
struct job {
    struct ael_secret *key;     /* to encrypt; NULL = decrypt */
    struct ael_bytes encrypted; /* to decrypt */
    uint8_t sealed[AEL_WRAPPED_KEY_BYTES];
    struct ael_secret *opened;
};

static enum ael_status work(struct job *job, const struct ael_call *call, struct ael_secret *master) {
    return job->key != NULL ? ael_key_wrap(master, call, job->key, job->sealed)
                            : ael_key_unwrap(master, call, job->encrypted, &job->opened);
}

/* With the master key that was kept; where that is gone, with one that is asked for anew. */
static enum ael_status work_with_master(
    struct kms_secrets *kms, const struct ael_call *call, struct job *job, struct ael_error *err) {
    struct ael_secret *master = NULL;
    AEL_TRY(get_master(kms, call, &master, err));
    enum ael_status status = work(job, call, master);
    if (is_gone(status, master, call)) {
        keep(kms, master, NULL);
        ael_secret_release(master);
        AEL_TRY(get_master(kms, call, &master, err));
        status = work(job, call, master);
    }
    ael_secret_release(master);
    return failed(err, status);
}

static enum ael_status secrets_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct job job = {.key = key};
    AEL_TRY(work_with_master(self, call, &job, err));
    return failed(err, ael_buf_append(out, (struct ael_bytes){job.sealed, sizeof job.sealed}));
}

static enum ael_status secrets_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct job job = {.encrypted = encrypted};
    *key = NULL;
    if (encrypted.len != AEL_WRAPPED_KEY_BYTES) {
        return ael_error_set(
            err, AEL_E_KMS, 0, k_component,
            "an encrypted key of %zu bytes is not one under a master key of Secrets Manager, which has 60; "
            "was another "
            "KMS in use?",
            encrypted.len);
    }
    enum ael_status status = work_with_master(self, call, &job, err);
    if (status == AEL_E_AUTHENTICATION) {
        return ael_error_set(
            err, AEL_E_KMS, 0, k_component,
            "the key was encrypted under another value than the secret has, or was damaged; was the secret "
            "rotated? Give "
            "the value it was made with (version_stage, version_id)");
    }
    *key = job.opened;
    return status;
}

static enum ael_kms_form secrets_form(void *self, struct ael_bytes encrypted) {
    (void)self;
    return encrypted.len == AEL_WRAPPED_KEY_BYTES ? AEL_KMS_FORM_OWN : AEL_KMS_FORM_FOREIGN;
}

/* Asks in any case: what is kept says nothing about a process that starts now. */
static enum ael_status secrets_health(void *self, const struct ael_call *call, struct ael_error *err) {
    struct kms_secrets *kms = self;
    struct ael_call limited = ael_kms_aws_limit(call, ALL_PERCENT);
    struct ael_secret *now = NULL;
    enum ael_status status = ael_call_check(&limited);
    if (status != AEL_OK) {
        return failed(err, status);
    }
    AEL_TRY(ask(kms, &limited, &now, err));
    keep(kms, NULL, now);
    struct ael_secret *used = kept(kms);
    if (used != NULL && ael_kms_compare_keys(used, now, &limited) == AEL_E_KMS) {
        ael_sys_log(
            AEL_LOG_WARN, k_component,
            "%s: the secret has another value than the one in use: was it rotated? A process that starts now "
            "cannot read "
            "what this one writes; put the old value back, or move the rows (docs/backends.md)",
            kms->endpoint.region);
    }
    ael_secret_release(used);
    ael_secret_release(now);
    return AEL_OK;
}

static void secrets_destroy(void *self) {
    struct kms_secrets *kms = self;
    ael_secret_release(kms->master);
    ael_kms_aws_endpoint_clear(&kms->endpoint);
    ael_decrypt_flights_clear(&kms->flights);
    ael_kms_aws_shared_clear(&kms->shared);
    if (kms->has_lock) {
        ael_mutex_clear(&kms->lock);
    }
    ael_free(kms);
}

static const struct ael_kms_vtable k_vtable = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "secretsmanager",
    .encrypt_key = secrets_encrypt_key,
    .decrypt_key = secrets_decrypt_key,
    .destroy = secrets_destroy,
    .health = secrets_health,
    .form = secrets_form,
};

/* ---- making ---- */

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

static bool is_word(const char *text, size_t most) {
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '"' || text[i] == '\\') {
            return false;
        }
    }
    return len > 0 && len <= most;
}

static enum ael_status
check_options(const struct ael_kms_secrets_manager_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof *options) {
        return refuse(
            err, "options are missing or of another size; use AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT");
    }
    if (options->secret_id == NULL || !is_word(options->secret_id, AEL_KMS_AWS_ARN_MAX)) {
        return refuse(err, "no secret: give its name or its ARN (secret_id)");
    }
    if ((options->version_id != NULL && !is_word(options->version_id, VERSION_MAX)) ||
        (options->version_stage != NULL && !is_word(options->version_stage, VERSION_MAX))) {
        return refuse(
            err, "version_id and version_stage are words, such as AWSPREVIOUS; NULL = the present value");
    }
    if (options->try_timeout_ms == 0 || options->max_tries == 0 || options->max_tries > 10) {
        return refuse(err, "try_timeout_ms is at least 1, max_tries 1 to 10");
    }
    return AEL_OK;
}

/* ,"VersionId":"..." and the like; both are words. */
static enum ael_status put_member(struct ael_buf *out, const char *name, const char *value) {
    if (value == NULL) {
        return AEL_OK;
    }
    AEL_TRY(ael_buf_append(out, ael_bytes_from_text(name)));
    AEL_TRY(ael_buf_append(out, ael_bytes_from_text(value)));
    return ael_buf_append(out, ael_bytes_from_text("\""));
}

static enum ael_status
set_version(struct kms_secrets *self, const struct ael_kms_secrets_manager_options *options) {
    struct ael_buf text = AEL_BUF_INIT;
    enum ael_status status = put_member(&text, ",\"VersionId\":\"", options->version_id);
    if (status == AEL_OK) {
        status = put_member(&text, ",\"VersionStage\":\"", options->version_stage);
    }
    if (status == AEL_OK) {
        self->shared.context = ael_alloc(text.len + 1); /* zeroed */
        status = self->shared.context == NULL ? AEL_E_NO_MEMORY : AEL_OK;
    }
    if (status == AEL_OK && text.len > 0) {
        memcpy(self->shared.context, text.data, text.len);
    }
    ael_buf_clear(&text);
    return status;
}

static const char *from_env(const char *variable) {
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* An ARN names its region; for a name it must be told. */
static const char *region_of(const struct ael_kms_secrets_manager_options *options) {
    if (options->region != NULL || strncmp(options->secret_id, "arn:", 4) == 0) {
        return options->region;
    }
    const char *region = from_env("AWS_REGION");
    region = region != NULL ? region : from_env("AWS_DEFAULT_REGION");
    return region;
}

static enum ael_status set_locks(struct kms_secrets *self) {
    AEL_TRY(ael_mutex_init(&self->lock));
    self->has_lock = true;
    return ael_decrypt_flights_init(&self->flights, "ael.kms.secretsmanager.fetch_joined");
}

static enum ael_status set_up(
    struct kms_secrets *self, const struct ael_kms_secrets_manager_options *options, struct ael_error *err) {
    struct ael_kms_aws_options aws = AEL_KMS_AWS_OPTIONS_INIT;
    struct ael_kms_aws_region place = {region_of(options), options->secret_id, options->endpoint};
    aws.profile = options->profile;
    aws.ca_file = options->ca_file;
    aws.fips = options->fips;
    aws.max_connections = 2; /* it is asked once, and for its health */
    aws.connect_timeout_ms = options->connect_timeout_ms;
    aws.try_timeout_ms = options->try_timeout_ms;
    aws.max_tries = options->max_tries;
    ael_kms_aws_shared_init(&self->shared, k_component, &aws);
    enum ael_status status = set_locks(self);
    if (status == AEL_OK) {
        status = set_version(self, options);
    }
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "no memory or mutex for a KMS");
    }
    AEL_TRY(ael_kms_aws_endpoint_init(&self->endpoint, &k_service, &place, &aws, err));
    return ael_kms_aws_shared_set_credentials(&self->shared, &aws, self->endpoint.region, err);
}

static void warn(void) {
    ael_sys_log(
        AEL_LOG_WARN, k_component,
        "a master key in Secrets Manager is for moving off it: this process holds it, and whoever may read "
        "the secret "
        "has every key; move the rows to AWS KMS (ael/kms_aws.h, ael/rewrap.h)");
}

/* see ael/kms_secrets_manager.h */
enum ael_status ael_kms_secrets_manager_new(
    const struct ael_kms_secrets_manager_options *options, struct ael_kms **kms, struct ael_error *err) {
    if (kms == NULL) {
        return refuse(err, "nowhere to put the handle");
    }
    *kms = NULL;
    AEL_TRY(check_options(options, err));
    AEL_TRY(ael_http_exchange_supported(err));
    struct kms_secrets *self = ael_alloc(sizeof *self);
    if (self == NULL) {
        return failed(err, AEL_E_NO_MEMORY);
    }
    enum ael_status status = set_up(self, options, err);
    if (status == AEL_OK) {
        status = failed(err, ael_kms_new(&k_vtable, self, kms));
    }
    if (status != AEL_OK) {
        secrets_destroy(self);
        return status;
    }
    warn();
    return AEL_OK;
}
