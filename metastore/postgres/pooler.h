/*
 * metastore/postgres/pooler.h - what a connection pooler between us and the server says in its own name.
 *
 * PgBouncer 1.18 has one SQLSTATE for all of its refusals, 08P01: which of them it is, is in the sentence.
 * Among them are those of the server that refused PgBouncer's own log-in.
 *
 * Layer: metastore (libael-postgres). Threads: any; nothing is kept.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_POSTGRES_POOLER_H
#define AEL_METASTORE_POSTGRES_POOLER_H

/* The state that all of a pooler's refusals may have. */
#define AEL_PG_POOLER_STATE "08P01"

struct ael_pg_refusal {
    const char *words;  /* of its sentence */
    const char *state;  /* what PostgreSQL would say in its place */
    const char *remedy; /* a clause */
};

/** Finds a refusal by the sentence, or a text with that in it. NULL: none that is known. Static. */
const struct ael_pg_refusal *ael_pg_pooler_refusal(const char *text);

#endif /* AEL_METASTORE_POSTGRES_POOLER_H */
