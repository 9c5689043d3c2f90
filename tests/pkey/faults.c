/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/pkey/faults.h"

#include <ael/memory.h>

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

static _Thread_local sigjmp_buf t_back;
static _Thread_local volatile int t_code;

static void jump_back(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number;
    (void)context;
    t_code = info->si_code;
    siglongjmp(t_back, 1);
}

static void install(void) {
    struct sigaction action = {.sa_sigaction = jump_back, .sa_flags = SA_SIGINFO | SA_NODEFER};
    (void)sigaction(SIGSEGV, &action, NULL);
}

/* A jump out of the handler leaves the handler's rights, which are none. */
static int fault_of(volatile uint8_t *at, bool write, bool resume) {
    install(); /* each time: children of tests set the handler back */
    t_code = 0;
    if (sigsetjmp(t_back, 1) == 0) {
        uint8_t seen = *at;
        if (write) {
            *at = seen;
        }
    } else if (resume) {
        ael_rights_resume();
    }
    return t_code;
}

int fault_of_read(const uint8_t *at) {
    return fault_of((volatile uint8_t *)(uintptr_t)at, false, true);
}

int fault_of_write(uint8_t *at) {
    return fault_of(at, true, true);
}

int fault_of_read_only(const uint8_t *at) {
    return fault_of((volatile uint8_t *)(uintptr_t)at, false, false);
}
