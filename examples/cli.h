/*
 * examples/cli.h - what the example programs share: exit codes, reading options, opening edges by name, whole
 * reads and writes of file descriptors.
 *
 * Edges are named <kind>:<rest>: metastores `memory`, `sqlite:FILE`, postgres:// and mysql:// URLs, dynamodb://TABLE
 * (endpoint, region and credentials as the environment says), `etcd:URL,...`, KMS `static:FILE`, `aws:KEY,...` and
 * `secretsmanager:SECRET` (cli_kms_aws.h), `vault:KEY` (cli_kms_vault.h), `gcp:KEY` (cli_kms_gcp.h),
 * `azure:VAULT/KEY` (cli_kms_azure.h), `pkcs11:...` (cli_kms_pkcs11.h).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_CLI_H
#define AEL_EXAMPLES_CLI_H

#include <ael/ael.h>

enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_CHECK = 1, /* a check of the program's own failed */
    CLI_EXIT_USAGE = 2, /* the command line */
    CLI_EXIT_IO = 3,    /* standard input or output, or a file of the program's */
    CLI_EXIT_STATUS = 10, /* + the class: 11 caller, 12 data, 13 key, 14 KMS or metastore, 15 system */
};

/** Sets the name that starts each message; text must stay valid. */
void cli_set_program(const char *name);

/**
 * Prints "program: message" on standard error; returns CLI_EXIT_USAGE, so that a check can end in one line.
 */
__attribute__((format(printf, 1, 2))) int cli_usage_error(const char *format, ...);

/** Prints what failed and why on standard error; returns the status' exit code. err may be NULL. */
int cli_fail(const char *what, enum ael_status status, const struct ael_error *err);

/**
 * Reads a whole number min .. max (decimal digits only). @return false when text is none, after a message.
 */
bool cli_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value);

/**
 * Opens a metastore by name. @return AEL_OK; AEL_E_ARGUMENT (no such kind); or the failure. The caller
 * releases it.
 */
enum ael_status cli_open_metastore(const char *name, struct ael_metastore **metastore, struct ael_error *err);

/** Opens a KMS by name; as cli_open_metastore. */
enum ael_status cli_open_kms(const char *name, struct ael_kms **kms, struct ael_error *err);

/**
 * Reads a descriptor to its end, past short reads and signals, without stdio's buffer; in is appended to.
 * @return CLI_EXIT_OK; or, after a message, CLI_EXIT_IO or the exit code of AEL_E_TOO_LARGE (beyond in->max)
 *         or AEL_E_NO_MEMORY.
 */
int cli_read_all(int fd, struct ael_buf *in);

/** Writes all bytes, past short writes and signals. @return CLI_EXIT_OK; CLI_EXIT_IO after a message. */
int cli_write_all(int fd, struct ael_bytes bytes);

#endif /* AEL_EXAMPLES_CLI_H */
