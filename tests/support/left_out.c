/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/left_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 512 };

/* Returns what stands behind "first | ", or NULL when the line does not begin so. */
static const char *behind(const char *line, const char *first) {
    size_t len = strlen(first);
    return strncmp(line, first, len) == 0 && strncmp(line + len, " | ", 3) == 0 ? line + len + 3 : NULL;
}

static FILE *open_list(bool *named) {
    const char *path = getenv("AEL_TEST_LEFT_OUT");
    *named = path != NULL && path[0] != '\0';
    return *named ? fopen(path, "re") : NULL;
}

/* see tests/support/left_out.h */
bool left_out(const char *suite, const char *name) {
    char line[LINE_BYTES];
    bool found = false;
    bool named = false;
    FILE *list = open_list(&named);
    while (list != NULL && !found && fgets(line, sizeof line, list) != NULL) {
        const char *rest = behind(line, suite);
        const char *reason = rest == NULL ? NULL : behind(rest, name);
        found = reason != NULL;
        if (found) {
            (void)printf("LEFT OUT %s: %s: %s", suite, name, reason);
        }
    }
    if (list != NULL) {
        (void)fclose(list);
    }
    return found;
}

/* see tests/support/left_out.h */
int left_out_lines(const char *suite) {
    char line[LINE_BYTES];
    int lines = 0;
    bool named = false;
    FILE *list = open_list(&named);
    if (list == NULL) {
        return named ? -1 : 0;
    }
    while (fgets(line, sizeof line, list) != NULL) {
        lines += behind(line, suite) != NULL;
    }
    (void)fclose(list);
    return lines;
}
