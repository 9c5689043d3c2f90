/*
 * tests/support/vectors.h - the files of test vectors, read with cJSON and put into a metastore by the public API.
 *
 * The folder is the environment variable AEL_VECTORS_DIR, else the compile definition AEL_VECTORS_DIR_DEFAULT, else
 * tests/vectors below AEL_TEST_SOURCE_DIR. Every *.json file of it is taken by its layout, whatever its name: those
 * of a static KMS are kept, others are counted and named on standard output.
 * Needs: cJSON, libael (shared or static).
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_VECTORS_H
#define TESTS_SUPPORT_VECTORS_H

#include <ael/ael.h>

#include <cjson/cJSON.h>

struct vector_file {
    char name[256];
    cJSON *root;
    const char *service;
    const char *product;
};

struct vector_set {
    struct vector_file *files;
    size_t count;
    size_t skipped; /* of another layout */
    size_t broken;  /* not JSON, or unreadable */
};

/* One row to be decrypted; strings borrow from the file, bytes are the row's own. */
struct vector_row {
    const char *name;
    const char *suffix;
    const char *drr;
    struct ael_bytes partition;
    struct ael_bytes plain;
};

/* Reads the folder; false when it cannot be read or a file is broken. */
bool vector_set_load(struct vector_set *set);
void vector_set_clear(struct vector_set *set);

/* Members of an object; "" or NULL when missing. */
const char *vector_text(const cJSON *object, const char *name);
const cJSON *vector_list(const struct vector_file *file, const char *name);

/* Decodes the bytes of a row; false when a member is missing. Clear it also after a failure. */
bool vector_row_read(const cJSON *object, struct vector_row *row);
void vector_row_clear(struct vector_row *row);

/* Finds a row by its name, or NULL. */
const cJSON *vector_row_find(const struct vector_file *file, const char *name);

/* Puts all key records into a store; ids with __asherah_internal_ only if it takes them. */
bool vector_file_fill(const struct vector_file *file, struct ael_metastore *metastore, size_t *stored);

/* Makes the static KMS of the file, or NULL. */
struct ael_kms *vector_file_kms(const struct vector_file *file);

/* Makes a factory of the file's service and product over a store; "" = no suffix. NULL on failure. */
struct ael_session_factory *
vector_file_factory(const struct vector_file *file, struct ael_metastore *metastore, const char *suffix);

#endif /* TESTS_SUPPORT_VECTORS_H */
