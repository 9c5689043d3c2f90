/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/partition.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/region_name.h"
#include "base/utf8.h"

#include <ael/sys/error.h>
#include <string.h>

static const char k_component[] = "partition";

enum { PARTITION_AT = 4 }; /* behind "_IK_" */

static struct ael_bytes text(const char *literal) {
    return ael_bytes_from_text(literal);
}

static bool has_underscore(struct ael_bytes name) {
    return name.len > 0 && memchr(name.data, '_', name.len) != NULL;
}

static bool equal(struct ael_bytes a, struct ael_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Says what is wrong with a name, or NULL. */
static const char *problem_with(struct ael_bytes name, size_t max, bool strict) {
    if (name.data == NULL || name.len == 0) {
        return "is missing or empty";
    }
    if (name.len > max) {
        return "is too long";
    }
    if (!ael_id_is_text(name)) {
        return "is not UTF-8 without NUL";
    }
    if (strict && has_underscore(name)) {
        return "contains '_', which strict_ids refuses";
    }
    return NULL;
}

static enum ael_status copy_name(
    struct ael_buf *out, const char *value, const char *what, bool strict, enum ael_status failure,
    struct ael_error *err) {
    struct ael_bytes name = text(value);
    const char *problem = problem_with(name, AEL_NAME_MAX_BYTES, strict);
    if (problem != NULL) {
        return ael_error_set(err, failure, 0, k_component, "%s %s", what, problem);
    }
    enum ael_status status = ael_buf_append(out, name);
    return status == AEL_OK ? AEL_OK : ael_error_set(err, status, 0, k_component, "no memory for %s", what);
}

static enum ael_status copy_accepted(
    struct ael_naming *naming, const struct ael_naming_options *options, struct ael_error *err) {
    if (options->accepted_count == 0) {
        return AEL_OK;
    }
    if (options->accepted == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "accepted_suffixes is NULL");
    }
    naming->accepted = ael_alloc_array(options->accepted_count, sizeof *naming->accepted);
    if (naming->accepted == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for the accepted suffixes");
    }
    for (size_t i = 0; i < options->accepted_count; i++) {
        naming->accepted[i] = (struct ael_buf)AEL_BUF_INIT;
        naming->accepted_count = i + 1;
        AEL_TRY(copy_name(
            &naming->accepted[i], options->accepted[i], "an accepted suffix", false, AEL_E_ARGUMENT, err));
    }
    return AEL_OK;
}

static enum ael_status copy_names(
    struct ael_naming *naming, const struct ael_naming_options *options, struct ael_error *err) {
    bool strict = options->strict_ids;
    AEL_TRY(copy_name(&naming->service, options->service, "service", strict, AEL_E_PARTITION, err));
    AEL_TRY(copy_name(&naming->product, options->product, "product", strict, AEL_E_PARTITION, err));
    if (options->suffix != NULL && options->suffix[0] != '\0') {
        AEL_TRY(copy_name(&naming->suffix, options->suffix, "region_suffix", false, AEL_E_ARGUMENT, err));
    }
    return copy_accepted(naming, options, err);
}

/* see appencryption/partition.h */
enum ael_status ael_naming_init(
    struct ael_naming *naming, const struct ael_naming_options *options, struct ael_error *err) {
    *naming = (struct ael_naming){
        .service = AEL_BUF_INIT, .product = AEL_BUF_INIT, .suffix = AEL_BUF_INIT, .strict_ids = options->strict_ids};
    enum ael_status status = copy_names(naming, options, err);
    if (status != AEL_OK) {
        ael_naming_clear(naming);
    }
    return status;
}

/* see appencryption/partition.h */
void ael_naming_clear(struct ael_naming *naming) {
    ael_buf_clear(&naming->service);
    ael_buf_clear(&naming->product);
    ael_buf_clear(&naming->suffix);
    for (size_t i = 0; i < naming->accepted_count; i++) {
        ael_buf_clear(&naming->accepted[i]);
    }
    ael_free(naming->accepted);
    naming->accepted = NULL;
    naming->accepted_count = 0;
}

/* Appends each part, '_' between them. */
static enum ael_status append_joined(struct ael_buf *id, const struct ael_bytes *parts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            AEL_TRY(ael_buf_append(id, text("_")));
        }
        AEL_TRY(ael_buf_append(id, parts[i]));
    }
    return AEL_OK;
}

static enum ael_status append_suffix(const struct ael_naming *naming, struct ael_buf *id) {
    if (naming->suffix.len == 0) {
        return AEL_OK;
    }
    AEL_TRY(ael_buf_append(id, text("_")));
    return ael_buf_append(id, ael_buf_view(&naming->suffix));
}

/* see appencryption/partition.h */
enum ael_status ael_naming_system_key_id(const struct ael_naming *naming, struct ael_buf *id) {
    const struct ael_bytes parts[] = {text("_SK"), ael_buf_view(&naming->service), ael_buf_view(&naming->product)};
    AEL_TRY(append_joined(id, parts, 3));
    return append_suffix(naming, id);
}

/* see appencryption/partition.h. Each part is bounded already, so the sum cannot overflow. */
size_t ael_naming_intermediate_key_id_len(const struct ael_naming *naming, size_t partition_len) {
    size_t len = PARTITION_AT + partition_len + 1 + naming->service.len + 1 + naming->product.len;
    return len + (naming->suffix.len > 0 ? 1 + naming->suffix.len : 0);
}

/* see appencryption/partition.h */
size_t ael_naming_core_len(const struct ael_naming *naming, size_t id_len) {
    return id_len - (naming->suffix.len > 0 ? 1 + naming->suffix.len : 0);
}

/* see appencryption/partition.h */
struct ael_bytes ael_naming_partition_of(struct ael_bytes id, size_t partition_len) {
    return (struct ael_bytes){id.data + PARTITION_AT, partition_len};
}

/* see appencryption/partition.h */
enum ael_status
ael_naming_check_partition(const struct ael_naming *naming, struct ael_bytes partition, struct ael_error *err) {
    const char *problem = problem_with(partition, AEL_ID_MAX_BYTES, naming->strict_ids);
    if (problem == NULL && ael_naming_intermediate_key_id_len(naming, partition.len) > AEL_ID_MAX_BYTES) {
        problem = "is too long together with service, product and suffix";
    }
    return problem == NULL ? AEL_OK
                           : ael_error_set(err, AEL_E_PARTITION, 0, k_component, "the partition %s", problem);
}

/* see appencryption/partition.h */
enum ael_status ael_naming_intermediate_key_id(
    const struct ael_naming *naming, struct ael_bytes partition, struct ael_buf *id, size_t *core_len) {
    const struct ael_bytes parts[] = {
        text("_IK"), partition, ael_buf_view(&naming->service), ael_buf_view(&naming->product)};
    AEL_TRY(append_joined(id, parts, 4));
    *core_len = id->len;
    return append_suffix(naming, id);
}

static bool accepts_suffix(const struct ael_naming *naming, struct ael_bytes suffix) {
    if (naming->suffix.len > 0 && equal(suffix, ael_buf_view(&naming->suffix))) {
        return true;
    }
    for (size_t i = 0; i < naming->accepted_count; i++) {
        if (equal(suffix, ael_buf_view(&naming->accepted[i]))) {
            return true;
        }
    }
    return ael_is_region_name(suffix);
}

/* see appencryption/partition.h */
bool ael_naming_accepts(
    const struct ael_naming *naming, struct ael_bytes own, size_t core_len, struct ael_bytes id) {
    if (id.len < core_len || memcmp(id.data, own.data, core_len) != 0) {
        return false;
    }
    if (id.len == core_len) {
        return true;
    }
    struct ael_bytes suffix = {id.data + core_len + 1, id.len - core_len - 1};
    return id.data[core_len] == '_' && accepts_suffix(naming, suffix);
}
