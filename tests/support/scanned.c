/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/scanned.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* see tests/support/scanned.h */
bool scanned_start(struct scanned *scanned, char *const words[], size_t count) {
    char self[256] = "";
    char word[] = "scanned";
    char *argv[SCANNED_WORDS_MAX + 3] = {self, word};
    int to[2];
    int from[2];
    posix_spawn_file_actions_t actions;
    if (count > SCANNED_WORDS_MAX || readlink("/proc/self/exe", self, sizeof self - 1) <= 0 ||
        pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        argv[2 + i] = words[i];
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    (void)posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    bool good = posix_spawn(&scanned->pid, self, &actions, NULL, argv, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    scanned->to = fdopen(to[1], "w");
    scanned->from = fdopen(from[0], "r");
    return good && scanned->to != NULL && scanned->from != NULL;
}

/* see tests/support/scanned.h */
bool scanned_stand_still(const char *where) {
    char line[16];
    printf("%s\n", where);
    fflush(stdout);
    return fgets(line, sizeof line, stdin) != NULL;
}

/* see tests/support/scanned.h */
void scanned_go_on(const struct scanned *scanned, const char *word) {
    (void)fprintf(scanned->to, "%s\n", word);
    (void)fflush(scanned->to);
}

static void print_hit(void *context, const struct residency_hit *hit) {
    const struct residency_needles *needles = context;
    if (hit->place == RESIDENCY_OUTSIDE) {
        printf(
            "\n    %s, %s %u, at 0x%" PRIx64 " of %s", needles->labels[hit->needle->secret],
            residency_form_name((enum residency_form)hit->needle->form), hit->needle->part, hit->address,
            hit->mapping->name);
    }
}

/* see tests/support/scanned.h */
struct residency_result scanned_look(struct scanned *scanned, bool print) {
    struct residency_result result;
    CU_ASSERT_FATAL(residency_scan_process(
        scanned->pid, &scanned->needles, print ? print_hit : NULL, &scanned->needles, &result));
    return result;
}

enum { SECRETS_MAX = 128 };

static void count_hit(void *context, const struct residency_hit *hit) {
    size_t *hits = context;
    if (hit->place == RESIDENCY_OUTSIDE && hit->needle->secret < SECRETS_MAX) {
        hits[hit->needle->secret]++;
    }
}

/* see tests/support/scanned.h */
void scanned_expect_planted(struct scanned *scanned, const char *const labels[], size_t count) {
    struct residency_needles *needles = &scanned->needles;
    struct residency_result result;
    size_t hits[SECRETS_MAX] = {0};
    CU_ASSERT_FATAL(residency_scan_process(scanned->pid, needles, count_hit, hits, &result));
    for (size_t i = 0; i < count; i++) {
        size_t found = 0;
        for (size_t j = 0; j < needles->secrets && j < SECRETS_MAX; j++) {
            found += strcmp(needles->labels[j], labels[i]) == 0 ? hits[j] : 0;
        }
        CU_ASSERT_NOT_EQUAL(found, 0);
        if (found == 0) {
            printf("\n    not found where it was planted: %s", labels[i]);
        }
    }
}

/* see tests/support/scanned.h */
void scanned_end(struct scanned *scanned) {
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(scanned->pid, &status, 0), scanned->pid);
    CU_ASSERT_EQUAL(status, 0);
    fclose(scanned->to);
    fclose(scanned->from);
    residency_needles_clear(&scanned->needles);
}
