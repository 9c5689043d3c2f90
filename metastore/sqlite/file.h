/*
 * metastore/sqlite/file.h - the file of a store: made for its owner alone, and who else may touch
 * it.
 *
 * Its rows are wrapped keys: who reads them learns names and dates, who writes them can take keys away, bring
 * revoked ones back, and so lose data.
 * Layer: metastore (libael-sqlite). Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_FILE_H
#define AEL_METASTORE_SQLITE_FILE_H

#include <ael/status.h>

/**
 * Makes an empty file of mode 0600 (less the umask) where there is none; SQLite gives the files beside it the
 * same mode. What cannot be made is left to SQLite, which says why.
 */
void ael_sqlite_file_make(const char *path);

/**
 * Looks at kind and mode. What group may write or others may read is logged as a warning. A file that is not
 * there is fine.
 *
 * @return AEL_OK; AEL_E_BACKEND (not a regular file, or anybody may write it).
 */
AEL_MUST_CHECK enum ael_status ael_sqlite_file_check(const char *path, struct ael_error *err);

#endif /* AEL_METASTORE_SQLITE_FILE_H */
