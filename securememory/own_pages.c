/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/own_pages.h"

#include "base/check.h"
#include "base/corruption.h"
#include "base/wipe.h"
#include "securememory/sys_seam.h"

#include <string.h>

/* see securememory/own_pages.h */
uint8_t *ael_own_pages_data(const struct ael_own_pages *own) {
    return own->pages.bytes + own->pages.len - own->len;
}

/* see securememory/own_pages.h */
enum ael_status ael_own_pages_map(
    struct ael_own_pages *own, size_t len, const struct ael_pages_policy *policy, enum ael_pkey key) {
    memset(own, 0, sizeof *own);
    AEL_TRY(ael_sys_seed(own->canary, sizeof own->canary));
    AEL_TRY(ael_pages_map(len + sizeof own->canary, policy, &own->pages, NULL));
    own->len = len;
    enum ael_status status = ael_pages_set_key(&own->pages, key);
    if (status == AEL_OK) {
        status = ael_pages_set_access(&own->pages, AEL_PAGES_WRITE);
    }
    if (status != AEL_OK) {
        ael_own_pages_unmap(own);
        return status;
    }
    ael_pkey_begin(own->pages.key, true);
    own->is_written = true;
    memcpy(ael_own_pages_data(own) - sizeof own->canary, own->canary, sizeof own->canary);
    return AEL_OK;
}

static void end_writing(struct ael_own_pages *own) {
    if (own->is_written) {
        ael_pkey_end_writing(own->pages.key);
        own->is_written = false;
    }
}

/* see securememory/own_pages.h */
enum ael_status ael_own_pages_shut(struct ael_own_pages *own) {
    end_writing(own);
    return ael_pages_set_access(&own->pages, AEL_PAGES_CLOSED);
}

/* see securememory/own_pages.h */
bool ael_own_pages_are_intact(struct ael_own_pages *own) {
    bool intact =
        ael_equal_constant_time(ael_own_pages_data(own) - sizeof own->canary, own->canary, sizeof own->canary);
    if (!intact && !own->is_told) {
        own->is_told = true;
        ael_corruption_found(AEL_CORRUPTION_OWN_PAGES);
    }
    return intact;
}

/* see securememory/own_pages.h */
void ael_own_pages_unmap(struct ael_own_pages *own) {
    end_writing(own);
    ael_pages_unmap(&own->pages);
}

/* see securememory/own_pages.h */
void ael_own_pages_list_add(struct ael_own_pages_list *list, struct ael_own_pages *own) {
    ael_mutex_lock(&list->lock);
    own->next = list->first;
    own->previous = NULL;
    if (list->first != NULL) {
        list->first->previous = own;
    }
    list->first = own;
    list->count++;
    ael_mutex_unlock(&list->lock);
}

/* see securememory/own_pages.h */
void ael_own_pages_list_remove(struct ael_own_pages_list *list, struct ael_own_pages *own) {
    ael_mutex_lock(&list->lock);
    *(own->previous == NULL ? &list->first : &own->previous->next) = own->next;
    if (own->next != NULL) {
        own->next->previous = own->previous;
    }
    own->next = NULL;
    own->previous = NULL;
    list->count--;
    ael_mutex_unlock(&list->lock);
}

/* see securememory/own_pages.h */
void ael_own_pages_list_unmap_all(struct ael_own_pages_list *list) {
    while (list->first != NULL) {
        struct ael_own_pages *own = list->first;
        ael_own_pages_list_remove(list, own);
        ael_own_pages_unmap(own);
    }
}

/* see securememory/own_pages.h */
size_t ael_own_pages_list_count(struct ael_own_pages_list *list) {
    ael_mutex_lock(&list->lock);
    size_t count = list->count;
    ael_mutex_unlock(&list->lock);
    return count;
}
