/*
 * metastore/dynamodb/listing.h - rows of a listing, gathered in any order and visited by id and
 * then created.
 * Layer: metastore (libael-dynamodb). Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_DYNAMODB_LISTING_H
#define AEL_METASTORE_DYNAMODB_LISTING_H

#include <ael/sys/metastore_backend.h>

struct ael_dynamodb_listed; /* one row */

/* Zero is empty. */
struct ael_dynamodb_listing {
    struct ael_dynamodb_listed *rows;
    size_t count;
    size_t room;
};

/** Adds an item; one that is no key record is passed over. @return AEL_OK; AEL_E_NO_MEMORY. */
AEL_MUST_CHECK enum ael_status
ael_dynamodb_listing_add(struct ael_dynamodb_listing *listing, struct ael_bytes json, struct ael_error *err);

/** Visits the rows in order. @return AEL_OK; AEL_E_TIMEOUT or AEL_E_CANCELLED when the call is over. */
AEL_MUST_CHECK enum ael_status ael_dynamodb_listing_visit(
    struct ael_dynamodb_listing *listing,
    const struct ael_call *call,
    ael_metastore_visit_fn visit,
    void *context);

void ael_dynamodb_listing_clear(struct ael_dynamodb_listing *listing);

#endif /* AEL_METASTORE_DYNAMODB_LISTING_H */
