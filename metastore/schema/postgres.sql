-- SPDX-License-Identifier: Apache-2.0
-- The key table in PostgreSQL, as ael_metastore_ensure_schema makes it. The service needs SELECT and INSERT on it, and
-- UPDATE to revoke keys.
CREATE TABLE IF NOT EXISTS encryption_key (
  id         TEXT        NOT NULL,
  created    TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
  key_record JSON        NOT NULL,
  PRIMARY KEY (id, created)
);
