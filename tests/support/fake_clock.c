/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_clock.h"

#include <glob.h>
#include <stdio.h>
#include <unistd.h>

/* see tests/support/fake_clock.h. By env, so that what runs before as another user has nothing of it. */
bool fake_clock_add(const char *offset, char **arguments, size_t *count) {
    static char s_library[256];
    static char s_offset[64];
    glob_t found;
    if (offset == NULL) {
        return true;
    }
    bool any = glob("/usr/lib/*/faketime/libfaketimeMT.so.1", 0, NULL, &found) == 0 && found.gl_pathc > 0;
    (void)snprintf(s_library, sizeof s_library, "LD_PRELOAD=%s", any ? found.gl_pathv[0] : "");
    (void)snprintf(s_offset, sizeof s_offset, "FAKETIME=%s", offset);
    globfree(&found);
    if (!any) {
        printf("\n    no libfaketime: run scripts/install-needs test");
        return false;
    }
    arguments[(*count)++] = (char *)"env";
    arguments[(*count)++] = s_library;
    arguments[(*count)++] = s_offset;
    arguments[(*count)++] = (char *)"FAKETIME_DONT_FAKE_MONOTONIC=1";
    return true;
}

/* see tests/support/fake_clock.h */
void fake_clock_clean(pid_t pid) {
    char path[64];
    (void)snprintf(path, sizeof path, "/dev/shm/sem.faketime_sem_%d", (int)pid);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "/dev/shm/faketime_shm_%d", (int)pid);
    (void)unlink(path);
}
