/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/metric_names.h"

#include "base/alloc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct name_set {
    struct name_set *next;
    struct ael_metastore_metric_names names;
    char kind[]; /* then the three names, each with its NUL */
};

/* Published with release, read with acquire: who sees a set sees its members. No lock, so that a child of
 * fork finds the list usable. Two threads may list one kind twice, which does no harm. */
static _Atomic(struct name_set *) g_sets;

/* Writes one name at text and returns the place behind its NUL. */
static char *put_name(char *text, size_t size, const char *kind, const char *operation, const char **name) {
    *name = text;
    int len = snprintf(text, size, "ael.metastore.%s.%s", kind, operation);
    return text + len + 1;
}

static struct name_set *name_set_new(const char *kind) {
    size_t kind_size = strlen(kind) + 1;
    size_t name_size = sizeof("ael.metastore..loadlatest") + kind_size;
    struct name_set *set = ael_alloc(sizeof(*set) + kind_size + 3 * name_size);
    if (set == NULL) {
        return NULL;
    }
    memcpy(set->kind, kind, kind_size);
    char *text = put_name(set->kind + kind_size, name_size, kind, "load", &set->names.load);
    text = put_name(text, name_size, kind, "loadlatest", &set->names.load_latest);
    (void)put_name(text, name_size, kind, "store", &set->names.store);
    return set;
}

static struct name_set *find(const char *kind) {
    struct name_set *set = atomic_load_explicit(&g_sets, memory_order_acquire);
    while (set != NULL && strcmp(set->kind, kind) != 0) {
        set = set->next;
    }
    return set;
}

/* see metastore/metric_names.h */
const struct ael_metastore_metric_names *ael_metastore_metric_names_get(const char *kind) {
    struct name_set *set = find(kind);
    if (set != NULL) {
        return &set->names;
    }
    set = name_set_new(kind);
    if (set == NULL) {
        return NULL;
    }
    set->next = atomic_load_explicit(&g_sets, memory_order_acquire);
    while (!atomic_compare_exchange_weak_explicit(
        &g_sets, &set->next, set, memory_order_acq_rel, memory_order_acquire)) {
    }
    return &set->names;
}
