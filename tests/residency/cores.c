/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/residency/cores.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

/* see tests/residency/cores.h */
bool cores_go_to_the_folder(void) {
    char pattern[256] = "|";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    bool known = file != NULL && fgets(pattern, sizeof pattern, file) != NULL;
    if (file != NULL) {
        fclose(file);
    }
    return known && pattern[0] != '|' && strchr(pattern, '/') == NULL;
}

/* The only large file: its name is the machine's choice. */
static bool looks_like_one(int folder, const char *name) {
    char magic[4] = "";
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && read(fd, magic, sizeof magic) == sizeof magic && memcmp(magic, "\177ELF", 4) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

/* see tests/residency/cores.h */
bool cores_by_kernel(const char *folder, pid_t pid, char path[128]) {
    DIR *listing = opendir(folder);
    bool found = false;
    (void)pid;
    for (struct dirent *entry = NULL; listing != NULL && !found && (entry = readdir(listing)) != NULL;) {
        found = entry->d_name[0] != '.' && looks_like_one(dirfd(listing), entry->d_name);
        if (found) {
            snprintf(path, 128, "%s/%.60s", folder, entry->d_name);
        }
    }
    if (listing != NULL) {
        closedir(listing);
    }
    return found;
}

/* see tests/residency/cores.h */
bool cores_by_debugger(pid_t pid, const char *folder, char path[128]) {
    char prefix[128];
    char number[16];
    char *const arguments[] = {"gcore", "-o", prefix, number, NULL};
    posix_spawn_file_actions_t quiet;
    pid_t debugger = 0;
    int state = -1;
    snprintf(prefix, sizeof prefix, "%.100s/gcore", folder);
    snprintf(number, sizeof number, "%d", (int)pid);
    snprintf(path, 128, "%.100s.%s", prefix, number);
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    bool good = posix_spawnp(&debugger, "gcore", &quiet, NULL, arguments, environ) == 0 &&
                waitpid(debugger, &state, 0) == debugger && WIFEXITED(state) && WEXITSTATUS(state) == 0 &&
                access(path, R_OK) == 0;
    posix_spawn_file_actions_destroy(&quiet);
    if (!good) {
        printf("\n    gcore did not make a dump: is gdb installed?");
    }
    return good;
}
