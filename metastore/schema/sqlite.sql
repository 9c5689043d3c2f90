-- SPDX-License-Identifier: Apache-2.0
-- The key table in SQLite, as ael_metastore_ensure_schema makes it. Made by hand, the file should have mode 0600.
CREATE TABLE IF NOT EXISTS encryption_key (
  id         TEXT      NOT NULL,
  created    TIMESTAMP NOT NULL, -- TEXT 'YYYY-MM-DD HH:MM:SS' in UTC
  key_record TEXT      NOT NULL,
  PRIMARY KEY (id, created)
);
