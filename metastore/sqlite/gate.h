/*
 * metastore/sqlite/gate.h - keeps forks out while a store is being opened or ended.
 *
 * SQLite has mutexes of its own, which a child must not find held. Calls over a lent connection are waited
 * for by their pool (pool.h); what happens to a store before it has a handle and after it
 * had one passes here.
 * Layer: metastore (SQLite component).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_GATE_H
#define AEL_METASTORE_SQLITE_GATE_H

/** Goes inside; waits for the end of all forks under way. Threads: any. */
void ael_sqlite_gate_enter(void);

/** Leaves. By the thread that went inside. */
void ael_sqlite_gate_leave(void);

#endif /* AEL_METASTORE_SQLITE_GATE_H */
