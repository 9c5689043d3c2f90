/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/metric_names.h"

#include "base/alloc.h"
#include "base/sync.h"

#include <stdio.h>
#include <string.h>

struct name_set {
    struct name_set *next;
    struct ael_metastore_metric_names names;
    char kind[]; /* then the three names, each with its NUL */
};

static struct ael_mutex g_mutex = AEL_MUTEX_INIT;
static struct name_set *g_sets; /* under g_mutex */

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
    struct name_set *set = g_sets;
    while (set != NULL && strcmp(set->kind, kind) != 0) {
        set = set->next;
    }
    return set;
}

/* see metastore/metric_names.h */
const struct ael_metastore_metric_names *ael_metastore_metric_names_get(const char *kind) {
    ael_mutex_lock(&g_mutex);
    struct name_set *set = find(kind);
    if (set == NULL) {
        set = name_set_new(kind);
        if (set != NULL) {
            set->next = g_sets;
            g_sets = set;
        }
    }
    ael_mutex_unlock(&g_mutex);
    return set == NULL ? NULL : &set->names;
}
