/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/workers.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* see tests/support/workers.h */
bool worker_is_told_to_stop(int stop) {
    struct pollfd descriptor = {.fd = stop, .events = POLLIN};
    return poll(&descriptor, 1, 0) > 0;
}

/* see tests/support/workers.h */
void worker_is_ready(int to) {
    FORK_EXPECT(write(to, "+", 1) == 1);
}

/* see tests/support/workers.h */
bool workers_are_ready(int from, int count) {
    char said = 0;
    for (int i = 0; i < count; i++) {
        if (read(from, &said, 1) != 1) {
            return false;
        }
    }
    return true;
}

static bool start_worker(struct worker *workers, int number, worker_fn work, const void *context) {
    int stop[2];
    int records[2];
    if (pipe2(stop, O_CLOEXEC) != 0 || pipe2(records, O_CLOEXEC) != 0) {
        return false;
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < number; i++) {
            (void)close(workers[i].stop);
            (void)close(workers[i].from);
        }
        (void)close(stop[1]);
        (void)close(records[0]);
        work(context, stop[0], records[1]);
        _exit(1); /* work ends the process */
    }
    (void)close(stop[0]);
    (void)close(records[1]);
    workers[number] = (struct worker){pid, stop[1], records[0]};
    return pid > 0;
}

/* see tests/support/workers.h */
void workers_start(struct worker *workers, int count, worker_fn work, const void *context) {
    for (int i = 0; i < count; i++) {
        CU_ASSERT_TRUE_FATAL(start_worker(workers, i, work, context));
    }
    for (int i = 0; i < count; i++) {
        CU_ASSERT_TRUE_FATAL(workers_are_ready(workers[i].from, 1));
    }
}

/* see tests/support/workers.h */
void workers_stop(struct worker *workers, int count, struct fork_ledger *ledger) {
    for (int i = 0; i < count; i++) {
        (void)close(workers[i].stop);
    }
    for (int i = 0; i < count; i++) {
        int status = -1;
        CU_ASSERT_TRUE(fork_ledger_receive(workers[i].from, ledger));
        (void)close(workers[i].from);
        CU_ASSERT_EQUAL(waitpid(workers[i].pid, &status, 0), workers[i].pid);
        CU_ASSERT_EQUAL(status, 0);
    }
}
