-- SPDX-License-Identifier: Apache-2.0
-- The key table in MariaDB or MySQL, as ael_metastore_ensure_schema makes it. The service needs SELECT and INSERT on it,
-- and UPDATE to revoke keys. Of the two collations each server reads its own.
CREATE TABLE IF NOT EXISTS encryption_key (
  id         VARCHAR(255) CHARACTER SET utf8mb4 /*M! COLLATE utf8mb4_nopad_bin */ /*!80017 COLLATE utf8mb4_0900_bin */ NOT NULL,
  created    DATETIME     NOT NULL DEFAULT CURRENT_TIMESTAMP,
  key_record TEXT         CHARACTER SET utf8mb4 NOT NULL,
  PRIMARY KEY (id, created),
  KEY created (created)
) ENGINE=InnoDB;
