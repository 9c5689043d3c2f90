/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/companion.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct companion *s_first;

/* see tests/support/companion.h */
bool companion_folder(const char *name, char *folder, size_t size) {
    (void)snprintf(folder, size, "/tmp/ael-%s-XXXXXX", name);
    return mkdtemp(folder) != NULL;
}

static void end(struct companion *companion) {
    char command[128];
    if (companion->owner != getpid()) {
        return; /* a child of a test's fork */
    }
    companion_go_on(companion);
    fclose(companion->to); /* it ends with its standard input */
    (void)waitpid(companion->pid, NULL, 0);
    fclose(companion->from);
    (void)snprintf(command, sizeof command, "rm -rf %s", companion->folder);
    if (system(command) != 0) {
        fprintf(stderr, "%s stays\n", companion->folder);
    }
}

static void end_all(void) {
    for (struct companion *companion = s_first; companion != NULL; companion = companion->next) {
        end(companion);
    }
}

static void end_at_exit(struct companion *companion) {
    if (s_first == NULL) {
        (void)atexit(end_all);
    }
    companion->owner = getpid();
    companion->next = s_first;
    s_first = companion;
}

static bool spawn(struct companion *companion, char *const argv[]) {
    int to[2];
    int from[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        return false;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    (void)posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    int failed = posix_spawnp(&companion->pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    companion->to = fdopen(to[1], "w");
    companion->from = fdopen(from[0], "r");
    return failed == 0 && companion->to != NULL && companion->from != NULL;
}

static bool read_until_ready(struct companion *companion, void (*keep)(const char *name, const char *value)) {
    static char line[COMPANION_LINE_BYTES];
    while (fgets(line, sizeof line, companion->from) != NULL) {
        char *blank = strchr(line, ' ');
        line[strcspn(line, "\n")] = '\0';
        if (blank == NULL) {
            continue;
        }
        *blank = '\0';
        if (strcmp(line, "ready") == 0) {
            return true;
        }
        keep(line, blank + 1);
    }
    return false;
}

/* see tests/support/companion.h */
bool companion_start(
    struct companion *companion,
    const char *folder,
    char *const argv[],
    void (*keep)(const char *name, const char *value)) {
    *companion = (struct companion){.folder = folder};
    if (!spawn(companion, argv)) {
        return false;
    }
    end_at_exit(companion);
    return read_until_ready(companion, keep);
}

/* see tests/support/companion.h */
void companion_tell(struct companion *companion, const char *line, char *answer, size_t size) {
    if (fputs(line, companion->to) < 0 || fflush(companion->to) != 0 ||
        fgets(answer, (int)size, companion->from) == NULL) {
        answer[0] = '\0';
    }
}

/* see tests/support/companion.h. On a busy machine its threads work on until one of them has seen the signal. */
void companion_hold(const struct companion *companion) {
    siginfo_t how;
    (void)kill(companion->pid, SIGSTOP);
    (void)waitid(P_PID, (id_t)companion->pid, &how, WSTOPPED);
}

/* see tests/support/companion.h */
void companion_go_on(const struct companion *companion) {
    (void)kill(companion->pid, SIGCONT);
}

/* see tests/support/companion.h. It stays to be waited for, at the end: nobody else gets its pid. */
void companion_kill(struct companion *companion) {
    siginfo_t how;
    (void)kill(companion->pid, SIGKILL);
    (void)waitid(P_PID, (id_t)companion->pid, &how, WEXITED | WNOWAIT);
}
