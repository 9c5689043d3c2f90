/*
 * kms/aws/op.h - one operation of AWS KMS or Secrets Manager in one region, with its retries; several can
 * be under way on one thread.
 *
 *     ael_kms_aws_op_begin(&op, &shared, endpoint, AEL_KMS_AWS_DECRYPT, &call);
 *     op.blob_in = ...;
 *     while (!ael_kms_aws_op_step(&op)) {
 *         ael_kms_aws_op_wait(&op, 1, until_ns);
 *     }
 *     ... op.status, op.key ...
 *     ael_kms_aws_op_clear(&op);
 * Layer: kms. Threads: one at a time per operation.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AWS_OP_H
#define AEL_KMS_AWS_OP_H

#include "kms/aws/endpoint.h"
#include "kms/aws/shared.h"

enum ael_kms_aws_action { AEL_KMS_AWS_GENERATE, AEL_KMS_AWS_ENCRYPT, AEL_KMS_AWS_DECRYPT, AEL_KMS_AWS_FETCH };

struct ael_kms_aws_op {
    struct ael_kms_aws_shared *shared;
    struct ael_kms_aws_endpoint *endpoint;
    enum ael_kms_aws_action action;
    struct ael_call call;
    struct ael_bytes blob_in;  /* DECRYPT: borrowed */
    struct ael_secret *key_in; /* ENCRYPT: borrowed */
    /* the outcome, when it is over */
    bool over;
    enum ael_status status;
    struct ael_error err;
    struct ael_secret *key;  /* GENERATE, DECRYPT: the data key; FETCH: the secret's text as it came */
    bool is_binary;          /* FETCH: that is base64 */
    struct ael_buf blob_out; /* GENERATE, ENCRYPT */
    /* private */
    struct ael_http_exchange *exchange;
    struct ael_credentials *credentials;
    struct ael_credentials *refused; /* by this endpoint: others are asked for */
    struct ael_buf body;
    struct ael_http_secrets secrets;
    unsigned tries;
    uint32_t passed; /* its number at the breaker, which let it through; 0 = it did not */
    bool failed;     /* a try that asked did, though it may be tried again */
    bool asked;      /* this try: it has, or had, a connection to ask with */
    int64_t asked_ns;
    bool clock_mended; /* once is enough */
    int64_t ahead_s;   /* of the clock that the last request was signed with */
    bool asked_anew;   /* for credentials; likewise */
    int64_t begun_ns;  /* without the time that the first credentials took */
    bool begun;
    int64_t try_until_ns;
    int64_t not_before_ns;
};

/** Sets it up; nothing is sent. call is copied; its deadline must be set. */
void ael_kms_aws_op_begin(
    struct ael_kms_aws_op *op,
    struct ael_kms_aws_shared *shared,
    struct ael_kms_aws_endpoint *endpoint,
    enum ael_kms_aws_action action,
    const struct ael_call *call);

/** Goes on as far as it can; true when it is over. Waits for nothing but credentials. */
bool ael_kms_aws_op_step(struct ael_kms_aws_op *op);

/** Waits until one of those that are not over can go on, or until_ns. */
void ael_kms_aws_op_wait(struct ael_kms_aws_op *ops, size_t count, int64_t until_ns);

/** Gives it up if it is not over, and releases what it holds; a zeroed one is accepted. */
void ael_kms_aws_op_clear(struct ael_kms_aws_op *op);

#endif /* AEL_KMS_AWS_OP_H */
