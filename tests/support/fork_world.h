/*
 * tests/support/fork_world.h - a service that forks: its factory and store, the records it has made, and
 * children that hand records over pipes.
 *
 * A record of which encrypt said AEL_OK goes to a ledger; at the end of a world a fresh factory must open every
 * one of them, and no two may share a nonce. Only the public API, so that integration tests can use it.
 * Layer: tests. Threads: a ledger belongs to one thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FORK_WORLD_H
#define TESTS_SUPPORT_FORK_WORLD_H

#include <ael/ael.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FORK_NAME_BYTES = 64, FORK_CHILD_SECONDS = 120 };

/* What their factories are made of. */
#define FORK_SERVICE    "fork"
#define FORK_PRODUCT    "matrix"
#define FORK_MASTER_KEY "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"

/* The partition whose keys are there before any fork. */
#define FORK_OLD "old"

struct fork_record {
    char partition[FORK_NAME_BYTES];
    char payload[FORK_NAME_BYTES];
    size_t len;
    uint8_t *json;
};

struct fork_ledger {
    struct fork_record *records;
    size_t count;
    size_t cap;
};

struct fork_edges {
    struct ael_kms *kms;
    struct ael_metastore *store;
    struct ael_session_factory *factory;
};

struct fork_world {
    bool sqlite; /* else in memory: what a child stores, the parent does not see */
    bool (*open_store)(struct ael_metastore **store); /* another shared store instead of the file; with sqlite */
    bool carry;
    bool checks_each_time; /* keys are read from the store for each record */
    bool quiet;
    char folder[32];
    struct fork_edges edges;
    struct ael_session *session; /* of FORK_OLD */
    struct ael_secret *secret;   /* 32 bytes of 's' */
    struct fork_ledger ledger;
    size_t forks;
    bool others_work; /* other threads of the parent fork, or open and close files of the store, while a child lives */
    size_t watched;   /* descriptors of the store that were open while a child came and went */
    size_t closed;    /* of these, gone or another file afterwards */
};

/* What went wrong in this process; a child starts from 0 and tells by its exit. */
extern atomic_uint fork_wrong;
void fork_expect(bool good, const char *file, int line, const char *what);
#define FORK_EXPECT(good) fork_expect((good), __FILE__, __LINE__, #good)

/* As FORK_EXPECT(status == expected), and says what it was. */
void fork_expect_status(
    enum ael_status status, enum ael_status expected, const char *file, int line, const char *what);
#define FORK_STATUS(call, expected) fork_expect_status((call), (expected), __FILE__, __LINE__, #call)

/* Makes the folder, without the library. */
void fork_world_folder(struct fork_world *world);
/* Sets the library up, opens edges and a session and makes the first records. */
void fork_world_open(struct fork_world *world);
/* The same in a child that forgot what its parent had, or gave it up: releases that, goes on with its own. */
void fork_world_renew(struct fork_world *world);
/* Opens every record with a fresh factory, compares nonces, releases all and shuts the library down. */
void fork_world_close(struct fork_world *world);

/* Opens edges on the world's file; of a world in memory, a store of their own. */
bool fork_edges_open(const struct fork_world *world, struct fork_edges *edges);
/* A factory of another product over edges that are there. */
struct ael_session_factory *
fork_factory(const struct fork_world *world, const struct fork_edges *edges, const char *product);
void fork_edges_close(struct fork_edges *edges);

/* Encrypts something new and enters the record. */
enum ael_status
fork_encrypt(struct ael_session_factory *factory, const char *partition, struct fork_ledger *ledger);
/* The same within a call's deadline; NULL = the library's own. */
enum ael_status fork_encrypt_within(
    struct ael_session_factory *factory,
    const char *partition,
    const struct ael_call *call,
    struct fork_ledger *ledger);
/* Tells whether a record decrypts to what it was made of. */
enum ael_status fork_decrypt(struct ael_session_factory *factory, const struct fork_record *record);
/* The same, where each is to be readable: prints why one is not. */
bool fork_is_lost(struct ael_session_factory *factory, const struct fork_record *record);
/* The partition's name with the process's number and one of its own: new to everybody. */
void fork_new_partition(char name[FORK_NAME_BYTES]);

void fork_ledger_clear(struct fork_ledger *ledger);
/* Moves all records of one ledger to another. */
void fork_ledger_move(struct fork_ledger *from, struct fork_ledger *to);
/* How many nonces of payloads and wrapped keys come twice. */
size_t fork_shared_nonces(const struct fork_ledger *ledger);
bool fork_ledger_send(int fd, const struct fork_ledger *ledger);
/* Sends those from an index on that a parent can open. */
void fork_send_from(struct fork_world *world, size_t from, int fd);
/* Until fork_exchange has sent all, or the other side closes. */
bool fork_ledger_receive(int fd, struct fork_ledger *ledger);

/* A child, or the way to the parent. */
struct fork_link {
    pid_t child;
    int from_parent;
    int to_child;
    int from_child;
    int to_parent;
};

typedef void (*fork_child_fn)(struct fork_world *world, struct fork_link *link);

/*
 * The allocator of AddressSanitizer does not outlive a fork that comes while another thread is in it. There, and
 * only there, forks wait until no thread is between these two; the child begins with none.
 */
void fork_work_begin(void);
void fork_work_end(void);
void fork_calm_begin(void);
void fork_calm_end(bool in_child);

/* The pipes of a link. */
bool fork_link_open(struct fork_link *link);
/* Forks; the child does fn and ends with 0 when nothing went wrong. */
void fork_start(struct fork_world *world, fork_child_fn fn, struct fork_link *link);
/* What every child does first, however it came to be: watched, and with a clean sheet. */
void fork_become_child(struct fork_link *link);
_Noreturn void fork_leave(void);
/* In the parent: makes records, sends them down, and takes over and opens those of the child. */
void fork_exchange(struct fork_world *world, struct fork_link *link);
/* Takes over what the child sends, opens it, and waits for the child, which must end with 0. */
void fork_finish(struct fork_world *world, struct fork_link *link);
void fork_expect_ended(pid_t child);

/* The whole contract in a child: old objects work or refuse, old and new partitions, both directions. */
void fork_child_works(struct fork_world *world, struct fork_link *link);
/* As fork_child_works, and releases everything and shuts down. */
void fork_child_works_and_ends(struct fork_world *world, struct fork_link *link);
void fork_child_releases(struct fork_world *world);

#endif /* TESTS_SUPPORT_FORK_WORLD_H */
