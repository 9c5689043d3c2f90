/*
 * metastore/dynamodb/address.h - where the table is: its name, region, the region that signs, the
 * URL.
 * Layer: metastore (libael-dynamodb). Threads: any; the environment must not be changed meanwhile.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_DYNAMODB_ADDRESS_H
#define AEL_METASTORE_DYNAMODB_ADDRESS_H

#include "metastore/dynamodb/client.h"

/**
 * Fills table, region, signing_region and url from options, environment and profile.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (the sentence names what is missing or wrong); AEL_E_FORMAT, AEL_E_SYSTEM or
 *         AEL_E_NO_MEMORY (of the config file).
 */
AEL_MUST_CHECK enum ael_status ael_dynamodb_address_set(
    struct ael_dynamodb_client *client,
    const struct ael_metastore_dynamodb_options *options,
    struct ael_error *err);

/** Tells whether the URL would send a session token over a network in the clear. */
bool ael_dynamodb_address_is_weak(const struct ael_dynamodb_client *client);

#endif /* AEL_METASTORE_DYNAMODB_ADDRESS_H */
