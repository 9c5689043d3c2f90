/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/mysql/kept.h"

#include <ael/sys/alloc.h>

/* see metastore/mysql/kept.h */
void ael_my_kept_free(struct ael_my_kept *kept) {
    if (kept != NULL) {
        (void)mysql_stmt_close(kept->handle);
        ael_sys_free(kept);
    }
}
