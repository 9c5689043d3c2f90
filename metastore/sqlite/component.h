/*
 * metastore/sqlite/component.h - the name under which errors and the log tell of this store.
 *
 * Layer: metastore (libael-sqlite).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_SQLITE_COMPONENT_H
#define AEL_METASTORE_SQLITE_COMPONENT_H

#define AEL_SQLITE_COMPONENT "metastore/sqlite"

#endif /* AEL_METASTORE_SQLITE_COMPONENT_H */
