/*
 * metastore/metastore.h - what the library does with a metastore handle around fork.
 *
 * The calls themselves are in ael/sys/metastore_backend.h; every part of the library uses those.
 * Layer: metastore.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_METASTORE_H
#define AEL_METASTORE_METASTORE_H

#include <ael/metastore.h>

/** Before fork, in the forking thread: the backend ends what it has open. NULL is accepted. */
void ael_metastore_before_fork(struct ael_metastore *metastore);

/** After fork, in the parent, by the same thread. NULL is accepted. */
void ael_metastore_after_fork_parent(struct ael_metastore *metastore);

/** After fork, in the child; nothing of the parent's is touched. NULL is accepted. */
void ael_metastore_after_fork_child(struct ael_metastore *metastore);

#endif /* AEL_METASTORE_METASTORE_H */
