/*
 * net/credentials/chain.h - the order in which credentials are looked for, as every SDK of AWS has it.
 *
 *     environment -> web identity -> profile -> container -> instance metadata
 *
 * The first source that is set up decides: if it fails, the chain fails with it and takes nobody else's
 * identity. A profile that was named (option, AWS_PROFILE) must exist.
 * Layer: net. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_CREDENTIALS_CHAIN_H
#define AEL_NET_CREDENTIALS_CHAIN_H

#include "net/credentials/credentials.h"
#include "net/http/http.h"

struct ael_credentials_chain;

/**
 * Makes a chain.
 *
 * @param http     outlives the chain. @param profile NULL = AWS_PROFILE, else "default". Copied.
 * @param region   of STS; NULL = as environment and profile say. Copied.
 * @return AEL_OK; AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_credentials_chain_new(
    struct ael_http *http, const char *profile, const char *region, struct ael_credentials_chain **chain);

/** NULL is accepted. */
void ael_credentials_chain_free(struct ael_credentials_chain *chain);

/**
 * Looks for credentials, now: files and variables are read each time. An ael_credentials_fetch_fn.
 *
 * @return as net/credentials/sources.h says; AEL_E_UNSUPPORTED when no source is set up.
 */
AEL_MUST_CHECK enum ael_status ael_credentials_chain_fetch(
    void *chain, const struct ael_call *call, struct ael_credentials **out, struct ael_error *err);

#endif /* AEL_NET_CREDENTIALS_CHAIN_H */
