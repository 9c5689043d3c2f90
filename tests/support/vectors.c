/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vectors.h"

#include "tests/support/base64.h"
#include "tests/support/hex.h"

#include <ael/sys/metastore_backend.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef AEL_VECTORS_DIR_DEFAULT
#define AEL_VECTORS_DIR_DEFAULT AEL_TEST_SOURCE_DIR "/tests/vectors"
#endif

/* see tests/support/vectors.h */
const char *vector_text(const cJSON *object, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text == NULL ? "" : text;
}

/* see tests/support/vectors.h */
const cJSON *vector_list(const struct vector_file *file, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(file->root, name);
}

static char *read_text(const char *path) {
    FILE *stream = fopen(path, "rb");
    char *text = NULL;
    if (stream != NULL && fseek(stream, 0, SEEK_END) == 0) {
        long len = ftell(stream);
        text = len < 0 ? NULL : malloc((size_t)len + 1);
        if (text != NULL &&
            (fseek(stream, 0, SEEK_SET) != 0 || fread(text, 1, (size_t)len, stream) != (size_t)len)) {
            free(text);
            text = NULL;
        } else if (text != NULL) {
            text[len] = '\0';
        }
    }
    if (stream != NULL) {
        fclose(stream);
    }
    return text;
}

/* Returns NULL for the layout that the tests take, else what the file is. */
static const char *other_layout(const cJSON *root) {
    const cJSON *kms = cJSON_GetObjectItemCaseSensitive(root, "kms");
    if (!cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(root, "rows")) ||
        !cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(root, "metastore"))) {
        return "requests of a store, no rows";
    }
    if (strcmp(vector_text(kms, "type"), "static") != 0) {
        return "keys under another KMS";
    }
    return vector_text(root, "service")[0] == '\0' || vector_text(root, "product")[0] == '\0'
               ? "no service or product"
               : NULL;
}

static bool add_file(struct vector_set *set, const char *name, cJSON *root) {
    struct vector_file *files = realloc(set->files, (set->count + 1) * sizeof *files);
    if (files == NULL) {
        return false;
    }
    set->files = files;
    struct vector_file *file = &files[set->count++];
    *file = (struct vector_file){.root = root};
    snprintf(file->name, sizeof file->name, "%s", name);
    file->service = vector_text(root, "service");
    file->product = vector_text(root, "product");
    return true;
}

static void take_file(struct vector_set *set, const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *text = read_text(path);
    cJSON *root = text == NULL ? NULL : cJSON_Parse(text);
    free(text);
    if (root == NULL) {
        printf("%s: not readable as JSON\n", path);
        set->broken++;
        return;
    }
    const char *other = other_layout(root);
    if (other != NULL) {
        printf("%s: skipped, another layout (%s)\n", name, other);
        set->skipped++;
    } else if (add_file(set, name, root)) {
        return;
    } else {
        set->broken++;
    }
    cJSON_Delete(root);
}

static bool has_ending(const char *name, const char *ending) {
    size_t len = strlen(name);
    return len > strlen(ending) && strcmp(name + len - strlen(ending), ending) == 0;
}

/* see tests/support/vectors.h */
bool vector_set_load(struct vector_set *set) {
    *set = (struct vector_set){NULL, 0, 0, 0};
    const char *folder = getenv("AEL_VECTORS_DIR");
    folder = folder == NULL || folder[0] == '\0' ? AEL_VECTORS_DIR_DEFAULT : folder;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        printf("%s: cannot be read\n", folder);
        return false;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (has_ending(entry->d_name, ".json")) {
            take_file(set, folder, entry->d_name);
        }
    }
    closedir(dir);
    printf("%s: %zu files taken, %zu skipped, %zu broken\n", folder, set->count, set->skipped, set->broken);
    return set->broken == 0;
}

/* see tests/support/vectors.h */
void vector_set_clear(struct vector_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        cJSON_Delete(set->files[i].root);
    }
    free(set->files);
    *set = (struct vector_set){NULL, 0, 0, 0};
}

static bool decode(const cJSON *object, const char *name, struct ael_bytes *bytes) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    bytes->data = text == NULL ? NULL : test_base64_decode(text, &bytes->len);
    return bytes->data != NULL;
}

/* see tests/support/vectors.h */
bool vector_row_read(const cJSON *object, struct vector_row *row) {
    *row = (struct vector_row){.name = vector_text(object, "name")};
    row->suffix = vector_text(object, "written_with_region_suffix");
    row->drr = vector_text(object, "drr");
    bool partition = decode(object, "partition_b64", &row->partition);
    return decode(object, "plaintext_b64", &row->plain) && partition;
}

static void free_bytes(struct ael_bytes *bytes) {
    free((void *)(uintptr_t)bytes->data);
    *bytes = (struct ael_bytes){NULL, 0};
}

/* see tests/support/vectors.h */
void vector_row_clear(struct vector_row *row) {
    free_bytes(&row->partition);
    free_bytes(&row->plain);
}

/* see tests/support/vectors.h */
const cJSON *vector_row_find(const struct vector_file *file, const char *name) {
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, vector_list(file, "rows")) {
        if (strcmp(vector_text(row, "name"), name) == 0) {
            return row;
        }
    }
    return NULL;
}

static bool
store_one(const struct vector_file *file, struct ael_metastore *metastore, const cJSON *row, bool *stored) {
    struct ael_error err = {AEL_OK, 0, "", ""};
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    const char *id = vector_text(row, "id");
    enum ael_status status =
        ael_key_record_from_json(ael_bytes_from_text(vector_text(row, "key_record")), &record, &err);
    if (status == AEL_OK) {
        status = ael_metastore_store(metastore, NULL, ael_bytes_from_text(id), &record.record, stored, &err);
    }
    ael_key_record_buf_clear(&record);
    if (status != AEL_OK) {
        printf("%s: key record %s: %s: %s\n", file->name, id, ael_status_name(status), err.detail);
    }
    return status == AEL_OK && *stored;
}

/* see tests/support/vectors.h */
bool vector_file_fill(const struct vector_file *file, struct ael_metastore *metastore, size_t *stored) {
    bool good = true;
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, vector_list(file, "metastore")) {
        static const char internal[] = "__asherah_internal_";
        bool is_internal = strncmp(vector_text(row, "id"), internal, sizeof internal - 1) == 0;
        bool did_store = false;
        good &= store_one(file, metastore, row, &did_store) || is_internal;
        *stored += did_store;
    }
    return good;
}

/* see tests/support/vectors.h */
struct ael_kms *vector_file_kms(const struct vector_file *file) {
    uint8_t key[32];
    struct ael_kms *kms = NULL;
    const char *hex = vector_text(vector_list(file, "kms"), "master_key_hex");
    if (test_hex_decode(hex, key, sizeof key) != sizeof key) {
        return NULL;
    }
    return ael_kms_static_from_bytes(key, sizeof key, &kms, NULL) == AEL_OK ? kms : NULL;
}

/* see tests/support/vectors.h */
struct ael_session_factory *
vector_file_factory(const struct vector_file *file, struct ael_metastore *metastore, const char *suffix) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    options.service = file->service;
    options.product = file->product;
    options.metastore = metastore;
    options.kms = vector_file_kms(file);
    options.region_suffix = suffix;
    struct ael_session_factory *factory = NULL;
    struct ael_error err = {AEL_OK, 0, "", ""};
    if (ael_session_factory_new(&options, &factory, &err) != AEL_OK) {
        printf("%s: factory: %s\n", file->name, err.detail);
    }
    ael_kms_release(options.kms);
    return factory;
}
