/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/residency/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(const char *text, int least, int *number) {
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > INT_MAX) {
        fprintf(stderr, "ael-residency: \"%s\" is no number from %d on\n", text, least);
        return false;
    }
    *number = (int)value;
    return true;
}

static bool take(struct residency_options *options, int option, const char *value) {
    switch (option) {
    case 'p':
        return read_number(value, 1, &options->pid);
    case 'k':
        return read_number(value, 0, &options->keys_fd);
    case 'c':
        options->core = value;
        return true;
    case 'r':
        options->rows = value;
        return true;
    case 'd':
        options->sqlite = value;
        return true;
    case 'e':
        options->records = value;
        return true;
    case 'j':
        options->json = true;
        return true;
    case 's':
        options->stop = true;
        return true;
    case 'h':
        options->help = true;
        return true;
    default:
        return false; /* getopt has said what */
    }
}

static bool make_sense(const struct residency_options *options) {
    const char *problem = NULL;
    if ((options->pid != 0) == (options->core != NULL)) {
        problem = "exactly one of --pid and --core is needed";
    } else if (options->stop && options->pid == 0) {
        problem = "--stop is for a process";
    }
    if (problem != NULL) {
        fprintf(stderr, "ael-residency: %s; see --help\n", problem);
    }
    return problem == NULL;
}

/* see tools/residency/options.h */
bool residency_options_read(int argc, char **argv, struct residency_options *options) {
    static const struct option k_long[] = {
        {"pid", required_argument, NULL, 'p'},     {"core", required_argument, NULL, 'c'},
        {"keys-fd", required_argument, NULL, 'k'}, {"rows", required_argument, NULL, 'r'},
        {"sqlite", required_argument, NULL, 'd'},  {"records", required_argument, NULL, 'e'},
        {"json", no_argument, NULL, 'j'},          {"stop", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    bool good = true;
    *options = (struct residency_options){.keys_fd = 0};
    for (int option = 0; good && (option = getopt_long(argc, argv, "p:c:k:r:d:e:jsh", k_long, NULL)) != -1;) {
        good = take(options, option, optarg);
    }
    if (good && optind < argc) {
        /* Not repeated: it may be a key. */
        fprintf(
            stderr, "ael-residency: there is an argument too many; secrets are not read from arguments\n");
        good = false;
    }
    return good && (options->help || make_sense(options));
}

/* see tools/residency/options.h */
void residency_options_help(void) {
    puts("usage: ael-residency --pid PID [options] < KEYS\n"
         "       ael-residency --core FILE [options] < KEYS\n"
         "Looks for key material in the memory of a process (as root) or in a core dump.\n"
         "\n"
         "KEYS: a line each, 64 hexadecimal digits, or a label, a colon and the digits. Never an argument.\n"
         "  -k, --keys-fd N      read KEYS from this descriptor, not from standard input\n"
         "  -d, --sqlite FILE    the keys are master keys: also look for what they open in this metastore\n"
         "  -r, --rows FILE      the same, of rows as text: the id, a tab, (other columns, tabs,) the key "
         "record\n"
         "  -e, --records FILE   and for the keys of these encrypted records, a JSON text a line\n"
         "  -s, --stop           stop the process during the scan (SIGSTOP, SIGCONT)\n"
         "  -j, --json           a JSON object a line in place of text\n"
         "  -h, --help\n"
         "\n"
         "Exit status: 0 nothing outside protected memory, 1 something, 2 the scan failed or was not "
         "complete.");
}
