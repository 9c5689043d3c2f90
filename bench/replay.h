/*
 * bench/replay.h - a server over TLS that answers every request with the same bytes, from threads of this program: the other
 * end of the wire where a real service's own work would hide what a client's call takes.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BENCH_REPLAY_H
#define AEL_BENCH_REPLAY_H

#include <ael/bytes.h>

struct replay {
    char url[64];            /* https://127.0.0.1:port */
    struct ael_bytes answer; /* head and body */
    void *tls;
    int listener;
};

/**
 * Starts one; it ends with the program.
 *
 * @param replay   lives as long. @param answer as well.
 * @param ca_file  receives its certificate, as PEM.
 */
bool replay_start(struct replay *replay, struct ael_bytes answer, const char *ca_file);

#endif /* AEL_BENCH_REPLAY_H */
