/*
 * appencryption/partition.h - the key ids of a service, product and partition, and which records a session accepts.
 *
 *     system key         _SK_<service>_<product>[_<suffix>]
 *     intermediate key   _IK_<partition>_<service>_<product>[_<suffix>]
 *
 * Nothing is escaped, so (a_b, c) and (a, b_c) share ids: strict ids refuse '_'.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_PARTITION_H
#define AEL_APPENCRYPTION_PARTITION_H

#include <ael/bytes.h>
#include <ael/record.h>

enum { AEL_NAME_MAX_BYTES = 1024 }; /* of a service, a product and a suffix */

/* What all partitions of a factory share. Immutable once made. */
struct ael_naming {
    struct ael_buf service;
    struct ael_buf product;
    struct ael_buf suffix; /* empty: none */
    struct ael_buf *accepted; /* further suffixes */
    size_t accepted_count;
    bool strict_ids;
};

/* What a caller says about names; borrowed. */
struct ael_naming_options {
    const char *service;
    const char *product;
    const char *suffix; /* NULL or "": none */
    const char *const *accepted;
    size_t accepted_count;
    bool strict_ids;
};

/**
 * Checks and copies the names.
 *
 * @return AEL_OK; AEL_E_PARTITION (service or product); AEL_E_ARGUMENT (a suffix); AEL_E_NO_MEMORY. On failure naming
 *         is empty. Ownership: the caller clears it.
 */
AEL_MUST_CHECK enum ael_status ael_naming_init(
    struct ael_naming *naming, const struct ael_naming_options *options, struct ael_error *err);
void ael_naming_clear(struct ael_naming *naming);

/** Appends the id of the system key. @return AEL_OK; AEL_E_NO_MEMORY. */
AEL_MUST_CHECK enum ael_status ael_naming_system_key_id(const struct ael_naming *naming, struct ael_buf *id);

/**
 * Checks a partition: 1 .. AEL_ID_MAX_BYTES bytes, together with all names too; UTF-8 without NUL; no '_' under strict
 * ids.
 *
 * @return AEL_OK; AEL_E_PARTITION. Threads: any.
 */
AEL_MUST_CHECK enum ael_status
ael_naming_check_partition(const struct ael_naming *naming, struct ael_bytes partition, struct ael_error *err);

/** Returns how long that id is. @param partition_len  of a partition that was checked. */
size_t ael_naming_intermediate_key_id_len(const struct ael_naming *naming, size_t partition_len);

/** Returns how much of such an id, of so many bytes, comes before "_<suffix>". */
size_t ael_naming_core_len(const struct ael_naming *naming, size_t id_len);

/** Returns the partition of such an id. */
struct ael_bytes ael_naming_partition_of(struct ael_bytes id, size_t partition_len);

/**
 * Appends the id of the partition's intermediate key.
 *
 * @param core_len  receives how much of it comes before "_<suffix>".
 * @return AEL_OK; AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_naming_intermediate_key_id(
    const struct ael_naming *naming, struct ael_bytes partition, struct ael_buf *id, size_t *core_len);

/**
 * The gate: tells whether a session whose intermediate key id is own decrypts records under id: its own id, the id
 * without suffix, and that followed by '_' and its own suffix, an accepted one, or what has the form of an AWS region.
 * Threads: any.
 */
bool ael_naming_accepts(
    const struct ael_naming *naming, struct ael_bytes own, size_t core_len, struct ael_bytes id);

#endif /* AEL_APPENCRYPTION_PARTITION_H */
