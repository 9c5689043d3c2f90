/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/version.h>

/* see ael/version.h */
const char *ael_version(void) {
    return AEL_VERSION_TEXT;
}
