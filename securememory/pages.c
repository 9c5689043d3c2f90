/* SPDX-License-Identifier: Apache-2.0 */
/* What pages are opened, closed and let go with, which every system has; the rest is in pages_linux.c or pages_posix.c. */
#include "securememory/pages.h"

#include "securememory/pkey.h"
#include "securememory/sys_seam.h"

#include <sys/mman.h>

/* see securememory/pages.h */
enum ael_status ael_pages_set_access(const struct ael_pages *pages, enum ael_pages_access access) {
    static const int k_protection[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};
    if (pages->key != AEL_PKEY_NONE) {
        return AEL_OK;
    }
    return ael_sys()->mprotect(pages->bytes, pages->len, k_protection[access]) == 0 ? AEL_OK : AEL_E_SYSTEM;
}

/* see securememory/pages.h. POSIX has no keys, but tests simulate some. */
enum ael_status ael_pages_set_key(struct ael_pages *pages, enum ael_pkey key) {
    if (key == AEL_PKEY_NONE && pages->key == AEL_PKEY_NONE) {
        return AEL_OK;
    }
    int protection = key == AEL_PKEY_NONE ? PROT_NONE : PROT_READ | PROT_WRITE;
    if (ael_sys()->pkey_mprotect(pages->bytes, pages->len, protection, ael_pkey_number(key)) != 0) {
        return AEL_E_SYSTEM;
    }
    pages->key = key;
    return AEL_OK;
}

/* see securememory/pages.h */
void ael_pages_drop_inherited(struct ael_pages *pages) {
    (void)ael_sys()->munmap(pages->bytes, pages->len);
    *pages = (struct ael_pages){.bytes = NULL};
}
