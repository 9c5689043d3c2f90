/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/postgres/pooler.h"

#include <stddef.h>
#include <string.h>

#define SEE_USERS     "see to the user and the password, and to PgBouncer's auth_file or auth_query"
#define SEE_DATABASES "see to the name, and to PgBouncer's [databases]"

/* The words of PgBouncer 1.18 (client.c, objects.c, janitor.c); the first that fits counts. */
static const struct ael_pg_refusal k_refusals[] = {
    {"authentication failed", "28P01", SEE_USERS},
    {"no such user", "28P01", SEE_USERS},
    {"no such database", "3D000", SEE_DATABASES},
    {"no pg_hba.conf entry", "28000", "let PgBouncer's host in"},
    {"SSL required", "28000", "set sslmode=verify-full"},
    {"bouncer config error", "F0000", "see PgBouncer's log"},
    {"unsupported startup parameter", "42704",
     "PgBouncer does not pass it on: leave it out, and set it by ALTER ROLE ... SET"},
    {"no more connections allowed", "53300", "raise PgBouncer's max_client_conn, or lower max_connections"},
    {"query_wait_timeout", "53300", "raise PgBouncer's default_pool_size, or see who holds its connections"},
    {"server login has been failing", "57P03", "see PgBouncer's log why it does not reach the server"},
};

/* see metastore/postgres/pooler.h */
const struct ael_pg_refusal *ael_pg_pooler_refusal(const char *text) {
    for (size_t i = 0; i < sizeof(k_refusals) / sizeof(k_refusals[0]); i++) {
        if (strstr(text, k_refusals[i].words) != NULL) {
            return &k_refusals[i];
        }
    }
    return NULL;
}
