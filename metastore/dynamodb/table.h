/*
 * metastore/dynamodb/table.h - makes the table where it is missing.
 *
 *     DescribeTable --> there: is its key Id S (HASH), Created N (RANGE)? --> ready when ACTIVE
 *         no table  --> CreateTable (billed by request) --> DescribeTable until it is ACTIVE
 *
 * Layer: metastore (libael-dynamodb). Threads: any; of several who make it at once all succeed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_DYNAMODB_TABLE_H
#define AEL_METASTORE_DYNAMODB_TABLE_H

#include "metastore/dynamodb/client.h"

/**
 * Makes the table, and waits until it can be used. A member of a struct ael_metastore_vtable; self is the
 * client.
 *
 * @return AEL_OK; AEL_E_BACKEND (its key is another, or no permission); AEL_E_TIMEOUT (it is still being
 *         made); or as ael_dynamodb_do.
 */
AEL_MUST_CHECK enum ael_status
ael_dynamodb_table_ensure(void *self, const struct ael_call *call, struct ael_error *err);

#endif /* AEL_METASTORE_DYNAMODB_TABLE_H */
