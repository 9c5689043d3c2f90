/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/dynamodb/listing.h"

#include "base/alloc.h"
#include "base/check.h"
#include "metastore/dynamodb/client.h"
#include "metastore/dynamodb/item.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

struct ael_dynamodb_listed {
    struct ael_buf id;
    struct ael_key_record_buf record;
};

static bool make_room(struct ael_dynamodb_listing *listing) {
    if (listing->count < listing->room) {
        return true;
    }
    size_t room = listing->room == 0 ? FIRST_ROOM : 2 * listing->room;
    struct ael_dynamodb_listed *rows = ael_alloc_array(room, sizeof *rows);
    if (rows == NULL) {
        return false;
    }
    if (listing->count > 0) {
        memcpy(rows, listing->rows, listing->count * sizeof *rows);
    }
    ael_free(listing->rows);
    listing->rows = rows;
    listing->room = room;
    return true;
}

static void clear_row(struct ael_dynamodb_listed *row) {
    ael_buf_clear(&row->id);
    ael_key_record_buf_clear(&row->record);
}

static bool is_row(const struct ael_dynamodb_item *item, const struct ael_key_record *record) {
    return item->id.len > 0 && item->has_created && item->created_s == record->created_s;
}

/* see metastore/dynamodb/listing.h */
enum ael_status
ael_dynamodb_listing_add(struct ael_dynamodb_listing *listing, struct ael_bytes json, struct ael_error *err) {
    static const struct ael_dynamodb_listed k_empty = {AEL_BUF_INIT, AEL_KEY_RECORD_BUF_INIT};
    struct ael_dynamodb_listed row = k_empty;
    struct ael_dynamodb_item item;
    if (!make_room(listing)) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_DYNAMODB_COMPONENT, "no memory for a listing");
    }
    enum ael_status status = ael_dynamodb_item_read(json, &item, &row.record, err);
    row.id = item.id;
    if (status == AEL_OK && is_row(&item, &row.record.record)) {
        listing->rows[listing->count++] = row;
        return AEL_OK;
    }
    clear_row(&row);
    return status == AEL_E_NO_MEMORY ? status : AEL_OK;
}

static int compare(const void *a, const void *b) {
    const struct ael_dynamodb_listed *one = a;
    const struct ael_dynamodb_listed *other = b;
    size_t least = one->id.len < other->id.len ? one->id.len : other->id.len;
    int order = memcmp(one->id.data, other->id.data, least);
    if (order == 0) {
        order = (one->id.len > other->id.len) - (one->id.len < other->id.len);
    }
    if (order == 0) {
        int64_t left = one->record.record.created_s;
        int64_t right = other->record.record.created_s;
        order = (left > right) - (left < right);
    }
    return order;
}

/* see metastore/dynamodb/listing.h */
enum ael_status ael_dynamodb_listing_visit(
    struct ael_dynamodb_listing *listing,
    const struct ael_call *call,
    ael_metastore_visit_fn visit,
    void *context) {
    if (listing->count > 1) {
        qsort(listing->rows, listing->count, sizeof *listing->rows, compare);
    }
    for (size_t i = 0; i < listing->count; i++) {
        const struct ael_dynamodb_listed *row = &listing->rows[i];
        AEL_TRY(ael_call_check(call));
        if (!visit(context, ael_buf_view(&row->id), row->record.record.created_s, &row->record.record)) {
            break;
        }
    }
    return AEL_OK;
}

/* see metastore/dynamodb/listing.h */
void ael_dynamodb_listing_clear(struct ael_dynamodb_listing *listing) {
    for (size_t i = 0; i < listing->count; i++) {
        clear_row(&listing->rows[i]);
    }
    ael_free(listing->rows);
    *listing = (struct ael_dynamodb_listing){0};
}
