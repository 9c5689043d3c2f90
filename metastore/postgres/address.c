/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/postgres/address.h"

#include <ael/sys/alloc.h>

#include <stdlib.h>
#include <string.h>

enum { LIST_NAMES, LIST_ADDRESSES, LIST_PORTS, PORT_DIGITS = 5 };

static enum ael_status refused(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_PG_COMPONENT, "%s", why);
}

static enum ael_status no_memory(struct ael_error *err) {
    return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_PG_COMPONENT, "no memory for a connection string");
}

/* ---- options ---- */

/* NULL when it is not set or empty. */
static const char *value_in(const PQconninfoOption *options, const char *keyword) {
    for (const PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++) {
        if (strcmp(option->keyword, keyword) == 0) {
            return option->val != NULL && option->val[0] != '\0' ? option->val : NULL;
        }
    }
    return NULL;
}

static const char *value_of(const struct ael_pg_address *address, const char *keyword) {
    const char *given = value_in(address->given, keyword);
    return given != NULL ? given : value_in(address->defaults, keyword);
}

static bool is_one_of(const char *text, const char *const *words) {
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static void add(struct ael_pg_parameters *out, const char *keyword, const char *value) {
    if (out->count < AEL_PG_PARAMETERS_MAX) {
        out->keywords[out->count] = keyword;
        out->values[out->count++] = value;
        out->keywords[out->count] = NULL;
        out->values[out->count] = NULL;
    }
}

/* Begins a list of parameters with what the connection string gives, but for some. */
static void
add_given(struct ael_pg_parameters *out, const struct ael_pg_address *address, const char *const *without) {
    out->count = 0;
    for (const PQconninfoOption *option = address->given; option->keyword != NULL; option++) {
        if (option->val != NULL && !is_one_of(option->keyword, without)) {
            add(out, option->keyword, option->val);
        }
    }
}

/*
 * What a service file says only a connection knows: one is begun, which sends nothing, and given up. Without
 * a service in the string libpq tells the defaults without one.
 */
static PQconninfoOption *resolve_defaults(const struct ael_pg_address *address) {
    if (value_in(address->given, "service") == NULL) {
        return PQconndefaults();
    }
    static const char *const k_without[] = {NULL};
    struct ael_pg_parameters parameters;
    add_given(&parameters, address, k_without);
    PGconn *begun = PQconnectStartParams(parameters.keywords, parameters.values, 0);
    PQconninfoOption *options = begun == NULL ? NULL : PQconninfo(begun);
    PQfinish(begun);
    return options;
}

static enum ael_status read_options(struct ael_pg_address *address, const char *text, struct ael_error *err) {
    char *message = NULL;
    address->given = PQconninfoParse(text, &message);
    if (address->given == NULL) {
        bool is_memory = message == NULL;
        PQfreemem(message); /* it repeats what it could not read */
        return is_memory
                   ? no_memory(err)
                   : refused(
                         err, "libpq cannot read the connection string: see to its keywords and quotes, and "
                              "percent-encode special characters in a URL");
    }
    address->defaults = resolve_defaults(address);
    return address->defaults != NULL ? AEL_OK : no_memory(err);
}

/* ---- hosts ---- */

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = ael_sys_alloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

static size_t count_items(const char *list) {
    size_t count = 1;
    for (; *list != '\0'; list++) {
        count += *list == ',';
    }
    return count;
}

/* Cuts a list at its commas and returns the item of that number; the last one for a list of one. */
static const char *item_of(const char *cut, size_t items, size_t number) {
    const char *item = cut;
    for (size_t i = 0; i < number && i + 1 < items; i++) {
        item += strlen(item) + 1;
    }
    return item;
}

static void cut_list(char *list) {
    for (; *list != '\0'; list++) {
        if (*list == ',') {
            *list = '\0';
        }
    }
}

static bool is_port(const char *text) {
    size_t len = strlen(text);
    return len <= PORT_DIGITS && strspn(text, "0123456789") == len &&
           (len == 0 || strtol(text, NULL, 10) <= 65535);
}

/* A name with one of these is a piece of a URL whose password was not encoded, more likely than a host. */
static bool is_host(const char *name) {
    if (name[0] == '/' || name[0] == '@') {
        name++;
    }
    return strpbrk(name, "@?#=&' \t\r\n\"") == NULL;
}

static enum ael_status check_hosts(const struct ael_pg_address *address, struct ael_error *err) {
    for (size_t i = 0; i < address->host_count; i++) {
        const struct ael_pg_host *host = &address->hosts[i];
        if (!is_host(host->name) || !is_host(host->address)) {
            return refused(
                err,
                "a host holds characters that hosts do not: in a URL, percent-encode those of the password");
        }
        if (!is_port(host->port)) {
            return refused(
                err, "a port is no number up to 65535: in a URL, percent-encode special characters of the "
                     "password");
        }
    }
    return AEL_OK;
}

static enum ael_status read_hosts(struct ael_pg_address *address, struct ael_error *err) {
    static const char *const k_keywords[] = {"host", "hostaddr", "port"};
    size_t items[3];
    for (int i = 0; i < 3; i++) {
        const char *list = value_of(address, k_keywords[i]);
        items[i] = count_items(list == NULL ? "" : list);
        address->lists[i] = copy_text(list == NULL ? "" : list);
        if (address->lists[i] == NULL) {
            return no_memory(err);
        }
        cut_list(address->lists[i]);
    }
    size_t count = items[LIST_NAMES] > items[LIST_ADDRESSES] ? items[LIST_NAMES] : items[LIST_ADDRESSES];
    for (int i = 0; i < 3; i++) {
        bool is_one = items[i] == 1 && (i == LIST_PORTS || address->lists[i][0] == '\0');
        if (items[i] != count && !is_one) {
            return refused(err, "host, hostaddr and port are lists of different lengths");
        }
    }
    if (count > AEL_PG_HOSTS_MAX) {
        return refused(err, "there are more than 32 hosts");
    }
    for (size_t i = 0; i < count; i++) {
        address->hosts[i] = (struct ael_pg_host){
            .name = item_of(address->lists[LIST_NAMES], items[LIST_NAMES], i),
            .address = item_of(address->lists[LIST_ADDRESSES], items[LIST_ADDRESSES], i),
            .port = item_of(address->lists[LIST_PORTS], items[LIST_PORTS], i),
        };
    }
    address->host_count = count;
    return check_hosts(address, err);
}

/* see metastore/postgres/address.h */
bool ael_pg_host_is_local(const struct ael_pg_host *host) {
    return host->address[0] == '\0' &&
           (host->name[0] == '\0' || host->name[0] == '/' || host->name[0] == '@');
}

/* ---- our defaults ---- */

/* "prefer" without being given is libpq's own default, which encrypts to anybody. */
static enum ael_status choose_sslmode(struct ael_pg_address *address, struct ael_error *err) {
    static const char *const k_modes[] = {"disable",   "allow",       "prefer", "require",
                                          "verify-ca", "verify-full", NULL};
    const char *given = value_in(address->given, "sslmode");
    const char *other = value_in(address->defaults, "sslmode");
    if (given == NULL && other != NULL && strcmp(other, "prefer") != 0) {
        given = other;
    }
    address->sslmode = given == NULL ? "verify-full" : given;
    return is_one_of(address->sslmode, k_modes) ? AEL_OK : refused(err, "sslmode is none that libpq knows");
}

static enum ael_status choose_target(struct ael_pg_address *address, struct ael_error *err) {
    static const char *const k_writes[] = {"read-write", "primary", NULL};
    static const char *const k_reads[] = {"any", "read-only", "standby", "prefer-standby", NULL};
    const char *given = value_in(address->given, "target_session_attrs");
    const char *other = value_in(address->defaults, "target_session_attrs");
    if (given == NULL && other != NULL && strcmp(other, "any") != 0) {
        given = other;
    }
    address->writes = "read-write";
    if (given == NULL) {
        return AEL_OK;
    }
    if (is_one_of(given, k_writes)) {
        address->writes = given;
        return AEL_OK;
    }
    address->reads = given;
    return is_one_of(given, k_reads) ? AEL_OK : refused(err, "target_session_attrs is none that libpq knows");
}

static enum ael_status choose_timeout(struct ael_pg_address *address, struct ael_error *err) {
    const char *text = value_of(address, "connect_timeout");
    if (text == NULL) {
        return AEL_OK;
    }
    char *end = NULL;
    long seconds = strtol(text, &end, 10);
    if (*end != '\0' || seconds > 86400) {
        return refused(err, "connect_timeout is no number of seconds up to 86400");
    }
    address->connect_timeout_ms =
        seconds <= 0 ? 0 : (uint32_t)seconds * 1000; /* libpq: 0 and below are none */
    return AEL_OK;
}

/* A URL with a slash in its password is read as one without a password, and the rest as a database. */
static enum ael_status
check_database(const struct ael_pg_address *address, const char *text, struct ael_error *err) {
    bool is_url = strncmp(text, "postgres://", 11) == 0 || strncmp(text, "postgresql://", 13) == 0;
    const char *database = value_in(address->given, "dbname");
    if (is_url && database != NULL && strchr(database, '@') != NULL) {
        return refused(
            err, "the database's name holds an @: percent-encode special characters of the password");
    }
    return AEL_OK;
}

static enum ael_status read_all(struct ael_pg_address *address, const char *text, struct ael_error *err) {
    enum ael_status status = read_options(address, text, err);
    if (status == AEL_OK) {
        status = check_database(address, text, err);
    }
    if (status == AEL_OK) {
        status = read_hosts(address, err);
    }
    if (status == AEL_OK) {
        status = choose_sslmode(address, err);
    }
    if (status == AEL_OK) {
        status = choose_target(address, err);
    }
    if (status == AEL_OK) {
        status = choose_timeout(address, err);
    }
    return status;
}

/* see metastore/postgres/address.h */
enum ael_status ael_pg_address_init(struct ael_pg_address *address, const char *text, struct ael_error *err) {
    memset(address, 0, sizeof(*address));
    enum ael_status status = read_all(address, text == NULL ? "" : text, err);
    if (status != AEL_OK) {
        ael_pg_address_clear(address);
    }
    return status;
}

static void free_options(PQconninfoOption *options) {
    for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++) {
        if (option->val != NULL) {
            explicit_bzero(option->val, strlen(option->val));
        }
    }
    PQconninfoFree(options);
}

/* see metastore/postgres/address.h */
void ael_pg_address_clear(struct ael_pg_address *address) {
    free_options(address->given);
    free_options(address->defaults);
    for (int i = 0; i < 3; i++) {
        ael_sys_free(address->lists[i]);
    }
    memset(address, 0, sizeof(*address));
}

/* ---- for libpq ---- */

/* see metastore/postgres/address.h. Kerberos encryption, which libpq tries first unless told
 * otherwise, would stand in for a certificate that is checked. */
void ael_pg_address_parameters(
    const struct ael_pg_address *address,
    size_t host,
    const char *target_session_attrs,
    struct ael_pg_parameters *out) {
    static const char *const k_ours[] = {
        "host", "hostaddr", "port", "sslmode", "target_session_attrs", "gssencmode", "client_encoding", NULL};
    const char *gss = value_in(address->given, "gssencmode");
    add_given(out, address, k_ours);
    add(out, "host", address->hosts[host].name);
    add(out, "hostaddr", address->hosts[host].address);
    add(out, "port", address->hosts[host].port);
    add(out, "sslmode", address->sslmode);
    add(out, "target_session_attrs", target_session_attrs);
    add(out, "gssencmode", gss == NULL ? "disable" : gss);
    add(out, "client_encoding", "UTF8");
    add(out, "fallback_application_name", "ael");
}

/* see metastore/postgres/address.h */
const char *ael_pg_address_weakness(const struct ael_pg_address *address) {
    static const char *const k_verified[] = {"verify-ca", "verify-full", NULL};
    bool is_remote = false;
    for (size_t i = 0; i < address->host_count; i++) {
        is_remote = is_remote || !ael_pg_host_is_local(&address->hosts[i]);
    }
    if (!is_remote || is_one_of(address->sslmode, k_verified)) {
        return NULL;
    }
    return strcmp(address->sslmode, "disable") == 0
               ? "the connection to the database is not encrypted (sslmode=disable)"
               : "the certificate of the database is not verified: set sslmode=verify-full";
}

/* see metastore/postgres/address.h */
void ael_pg_address_redact(const struct ael_pg_address *address, char *text) {
    const char *passwords[] = {value_in(address->given, "password"), value_in(address->defaults, "password")};
    for (int i = 0; i < 2; i++) {
        if (passwords[i] == NULL) {
            continue;
        }
        size_t len = strlen(passwords[i]);
        for (char *at = text; (at = strstr(at, passwords[i])) != NULL; at += len) {
            memset(at, '*', len);
        }
    }
}
