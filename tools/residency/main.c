/*
 * ael-residency - looks for key material in the memory of a process or in a core dump. docs/residency.md
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tools/residency/key_input.h"
#include "tools/residency/report.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

enum { EXIT_CLEAN = 0, EXIT_FOUND = 1, EXIT_FAILED = 2 };

/* This program knows every secret that it looks for. */
static void protect_ourselves(void) {
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* The letter of /proc/PID/stat; 'X' when there is no such process. */
static char state_of(pid_t pid) {
    char path[64];
    char text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    size_t len = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    if (file != NULL) {
        fclose(file);
    }
    text[len] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end == NULL || name_end[1] == '\0' ? 'X' : name_end[2];
}

/* Waits up to five seconds; who sleeps in the kernel without end changes nothing either. */
static void wait_until_stopped(pid_t pid) {
    const struct timespec millisecond = {0, 1000000};
    for (int i = 0; i < 5000 && strchr("tTZX", state_of(pid)) == NULL; i++) {
        (void)nanosleep(&millisecond, NULL);
    }
}

/* One that is stopped already stays so. Signals wait meanwhile, so that we do not leave it stopped. */
static bool scan_stopped(
    pid_t pid,
    struct residency_needles *needles,
    struct residency_report *report,
    struct residency_result *result) {
    sigset_t all;
    sigset_t before;
    bool ours = strchr("tT", state_of(pid)) == NULL;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    bool good = !ours || kill(pid, SIGSTOP) == 0;
    if (good) {
        wait_until_stopped(pid);
        good = residency_scan_process(pid, needles, residency_report_hit, report, result);
    }
    int problem = errno;
    if (ours) {
        (void)kill(pid, SIGCONT);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = problem;
    return good;
}

static bool scan(
    const struct residency_options *options,
    struct residency_needles *needles,
    struct residency_report *report,
    struct residency_result *result) {
    if (options->core != NULL) {
        return residency_scan_core(options->core, needles, residency_report_hit, report, result);
    }
    return options->stop
               ? scan_stopped(options->pid, needles, report, result)
               : residency_scan_process(options->pid, needles, residency_report_hit, report, result);
}

static int run(const struct residency_options *options, struct residency_needles *needles) {
    struct residency_report report = {stdout, options->json, needles};
    struct residency_result result = {.bytes_scanned = 0};
    if (!residency_read_secrets(options, needles)) {
        return EXIT_FAILED;
    }
    bool good = scan(options, needles, &report, &result);
    if (!good) {
        fprintf(stderr, "ael-residency: the memory cannot be read: %s\n", strerror(errno));
    } else {
        residency_report_totals(&report, &result);
    }
    if (fflush(stdout) != 0 || !good) {
        return EXIT_FAILED;
    }
    if (result.hits[RESIDENCY_OUTSIDE] > 0) {
        return EXIT_FOUND;
    }
    return result.bytes_left_out > 0 ? EXIT_FAILED : EXIT_CLEAN;
}

int main(int argc, char **argv) {
    struct residency_options options;
    struct residency_needles needles = RESIDENCY_NEEDLES_INIT;
    protect_ourselves();
    if (!residency_options_read(argc, argv, &options)) {
        return EXIT_FAILED;
    }
    if (options.help) {
        residency_options_help();
        return EXIT_CLEAN;
    }
    int status = run(&options, &needles);
    residency_needles_clear(&needles);
    return status;
}
