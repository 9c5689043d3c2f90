/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/other_readers.h"

#include <CUnit/CUnit.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Three lines a record: no text of a ledger has a line's end in it. */
static FILE *write_records(const struct fork_ledger *ledger) {
    FILE *file = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (size_t i = 0; i < ledger->count; i++) {
        const struct fork_record *record = &ledger->records[i];
        (void)fprintf(
            file, "%s\n%s\n%.*s\n", record->partition, record->payload, (int)record->len,
            (const char *)record->json);
    }
    CU_ASSERT_EQUAL(fflush(file), 0);
    rewind(file);
    return file;
}

/* Its exit status, or -1. What it says goes where the tests' words go. */
static int run(char *const argv[], FILE *input) {
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int status = -1;
    (void)fflush(stdout);
    CU_ASSERT_EQUAL_FATAL(posix_spawn_file_actions_init(&actions), 0);
    (void)posix_spawn_file_actions_adddup2(&actions, fileno(input), STDIN_FILENO);
    int error = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (error != 0 || waitpid(pid, &status, 0) != pid) {
        return -1;
    }
    return status;
}

/* see tests/support/other_readers.h */
void other_readers_expect_all(const struct other_factory *factory, const struct fork_ledger *ledger) {
    char *program = getenv("AEL_TEST_READERS");
    if (program == NULL || *program == '\0') {
        return;
    }
    char *const argv[] = {program,          factory->store,      factory->service,
                          factory->product, factory->master_key, NULL};
    FILE *records = write_records(ledger);
    printf("\n    ");
    CU_ASSERT_EQUAL(run(argv, records), 0);
    (void)fclose(records);
}
