/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/sqlite/file.h"

#include "metastore/sqlite/component.h"

#include <ael/sys/error.h>
#include <ael/sys/log.h>

#include <sqlite3.h>
#include <sys/stat.h>

enum { MODE_BITS = 07777 };

/*
 * see metastore/sqlite/file.h; not open(2): closing a descriptor of the database would drop the
 * locks that this process's connections have on it
 */
void ael_sqlite_file_make(const char *path) {
    (void)mknod(path, S_IFREG | S_IRUSR | S_IWUSR, 0);
}

/* see metastore/sqlite/file.h */
enum ael_status ael_sqlite_file_check(const char *path, struct ael_error *err) {
    struct stat file;
    if (stat(path, &file) != 0) {
        return AEL_OK;
    }
    unsigned mode = (unsigned)file.st_mode & MODE_BITS;
    if (!S_ISREG(file.st_mode)) {
        return ael_error_set(
            err, AEL_E_BACKEND, SQLITE_CANTOPEN, AEL_SQLITE_COMPONENT,
            "%.110s is not a regular file; name the file of a store", path);
    }
    if ((mode & S_IWOTH) != 0) {
        return ael_error_set(
            err, AEL_E_BACKEND, SQLITE_PERM, AEL_SQLITE_COMPONENT,
            "the store %.110s has mode %04o, and anybody could take its keys away; chmod it to 0600", path,
            mode);
    }
    if ((mode & (S_IWGRP | S_IROTH)) != 0) {
        ael_sys_log(
            AEL_LOG_WARN, AEL_SQLITE_COMPONENT,
            "the store %.110s has mode %04o, open to group or others; 0600 keeps it"
            " to its owner",
            path, mode);
    }
    return AEL_OK;
}
