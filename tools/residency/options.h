/*
 * tools/residency/options.h - the command line of ael-residency.
 *
 * Layer: tools.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_TOOLS_RESIDENCY_OPTIONS_H
#define AEL_TOOLS_RESIDENCY_OPTIONS_H

#include <stdbool.h>
#include <sys/types.h>

struct residency_options {
    pid_t pid;          /* 0: none */
    const char *core;   /* a core dump, in place of a process */
    int keys_fd;        /* where secrets are read from */
    const char *rows;   /* metastore rows as text, or NULL */
    const char *sqlite; /* a metastore's file, or NULL */
    const char *records;
    bool json;
    bool stop; /* the process, during the scan */
    bool help;
};

/** Reads the arguments; says on stderr what is wrong with them. */
bool residency_options_read(int argc, char **argv, struct residency_options *options);

/** Prints how the program is used. */
void residency_options_help(void);

#endif /* AEL_TOOLS_RESIDENCY_OPTIONS_H */
