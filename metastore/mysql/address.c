/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/mysql/address.h"

#include <ael/sys/alloc.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_DEFAULT = 3306, PORT_DIGITS = 5, TEXT_MAX_BYTES = 65536, TIMEOUT_MAX_MS = 86400000 };

#define SOCKET_DEFAULT "/tmp/mysql.sock" /* as Go's driver */

static enum ael_status refused(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_MY_COMPONENT, "%s", why);
}

static bool begins_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_one_of(const char *text, const char *const *words) {
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

/* Cuts text at a place, if there is one, and returns what comes after it; else NULL. */
static char *cut_at(char *place) {
    if (place == NULL) {
        return NULL;
    }
    *place = '\0';
    return place + 1;
}

static int hex_value(char digit) {
    if (isdigit((unsigned char)digit)) {
        return digit - '0';
    }
    return isxdigit((unsigned char)digit) ? tolower((unsigned char)digit) - 'a' + 10 : -1;
}

/* Decodes %XX in place; false when a % is none of these, or stands for NUL. */
static bool decode(char *text) {
    char *out = text;
    for (; *text != '\0'; text++) {
        char byte = *text;
        if (byte == '%') {
            int high = hex_value(text[1]);
            int low = high < 0 ? -1 : hex_value(text[2]);
            if (low < 0 || (high == 0 && low == 0)) {
                return false;
            }
            byte = (char)(high * 16 + low);
            text += 2;
        }
        *out++ = byte;
    }
    *out = '\0';
    return true;
}

/* ---- hosts ---- */

/* A name with one of these is a piece of a password that was not encoded, more likely than a host. */
static bool is_host(const char *name) {
    return name[0] != '\0' && strpbrk(name, "@?#=&'()%/ \t\r\n\"") == NULL;
}

static bool read_port(const char *text, unsigned *port) {
    size_t len = strlen(text);
    if (len == 0 || len > PORT_DIGITS || strspn(text, "0123456789") != len) {
        return false;
    }
    *port = (unsigned)strtoul(text, NULL, 10);
    return *port >= 1 && *port <= 65535;
}

static enum ael_status add_host(
    struct ael_my_address *address, const char *name, unsigned port, bool is_local, struct ael_error *err) {
    if (address->host_count == AEL_MY_HOSTS_MAX) {
        return refused(err, "there are more than 32 hosts");
    }
    address->hosts[address->host_count++] = (struct ael_my_host){name, port, is_local};
    return AEL_OK;
}

/* "name", "name:port", "[2001:db8::1]:port", ":port"; a path stands for a Unix socket. */
static enum ael_status read_host(struct ael_my_address *address, char *text, struct ael_error *err) {
    unsigned port = PORT_DEFAULT;
    char *name = text;
    char *number = NULL;
    if (text[0] == '/') {
        return add_host(address, text, 0, true, err);
    }
    if (text[0] == '[') {
        name = text + 1;
        char *rest = cut_at(strchr(name, ']'));
        if (rest == NULL || (rest[0] != '\0' && rest[0] != ':')) {
            return refused(err, "a host in brackets does not end as \"[address]:port\"");
        }
        number = rest[0] == ':' ? rest + 1 : NULL;
    } else {
        number = cut_at(strchr(text, ':'));
    }
    if (number != NULL && !read_port(number, &port)) {
        return refused(
            err, "a port is no number from 1 to 65535: in a URL, percent-encode special characters "
                 "of the password");
    }
    if (name[0] != '\0' && !is_host(name)) {
        return refused(
            err, "a host holds characters that hosts do not: in a URL, percent-encode those of the "
                 "password");
    }
    return add_host(address, name[0] == '\0' ? "127.0.0.1" : name, port, false, err);
}

static enum ael_status
read_hosts(struct ael_my_address *address, char *list, bool is_encoded, struct ael_error *err) {
    enum ael_status status = AEL_OK;
    while (list != NULL && status == AEL_OK) {
        char *next = cut_at(strchr(list, ','));
        if (is_encoded && !decode(list)) {
            return refused(err, "a % in a host is not followed by two hexadecimal digits");
        }
        status = read_host(address, list, err);
        list = next;
    }
    return status;
}

/* ---- parameters ---- */

/* "1.5h", "30s", "250ms", "1m30s" as Go writes them; 0 when it is none, or less than a millisecond. */
static uint32_t read_duration(const char *text) {
    static const struct {
        const char *unit;
        double ms;
    } k_units[] = {{"ms", 1}, {"us", 0.001}, {"ns", 0.000001}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    double total = 0;
    while (*text != '\0') {
        if (!isdigit((unsigned char)*text) && *text != '.') {
            return 0;
        }
        char *end = NULL;
        double number = strtod(text, &end);
        size_t which = 0;
        while (which < sizeof k_units / sizeof *k_units && !begins_with(end, k_units[which].unit)) {
            which++;
        }
        if (end == text || which == sizeof k_units / sizeof *k_units) {
            return 0;
        }
        total += number * k_units[which].ms;
        text = end + strlen(k_units[which].unit);
    }
    return total >= 1 && total <= TIMEOUT_MAX_MS ? (uint32_t)total : 0;
}

static enum ael_status set_timeout(uint32_t *timeout_ms, const char *value, struct ael_error *err) {
    uint32_t ms = read_duration(value);
    if (ms == 0) {
        return refused(err, "a timeout is no duration such as 30s or 500ms");
    }
    *timeout_ms = *timeout_ms != 0 && *timeout_ms < ms ? *timeout_ms : ms;
    return AEL_OK;
}

static enum ael_status set_tls(struct ael_my_address *address, const char *value, struct ael_error *err) {
    static const char *const k_verify[] = {"true", "TRUE", "True", "1", "VERIFY_IDENTITY", "verify_identity",
                                           NULL};
    static const char *const k_off[] = {"false", "FALSE", "False", "0", "DISABLED", "disabled", NULL};
    if (is_one_of(value, k_verify)) {
        address->tls = AEL_MY_TLS_VERIFY;
    } else if (is_one_of(value, k_off)) {
        address->tls = AEL_MY_TLS_OFF;
    } else if (strcmp(value, "skip-verify") == 0) {
        address->tls = AEL_MY_TLS_SKIP_VERIFY;
    } else {
        return refused(
            err,
            "tls is true (the default: the certificate is verified), skip-verify or false; what encrypts "
            "to anybody, or not at all when told so, must be asked for by skip-verify or false");
    }
    return AEL_OK;
}

/* Goes into SQL: a name or an offset, in quotes or not. */
static enum ael_status set_time_zone(struct ael_my_address *address, char *value, struct ael_error *err) {
    static const char k_allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-:/_";
    size_t len = strlen(value);
    if (len >= 2 && (value[0] == '\'' || value[0] == '"') && value[len - 1] == value[0]) {
        value[len - 1] = '\0';
        value++;
        len -= 2;
    }
    if (len == 0 || len > 64 || strspn(value, k_allowed) != len) {
        return refused(err, "time_zone is neither an offset such as +00:00 nor a zone's name");
    }
    address->time_zone = value;
    return AEL_OK;
}

/* Says nothing here: the library writes and reads in one way whatever they are. */
static const char *const k_ignored[] = {
    "allowNativePasswords",
    "charset",
    "checkConnLiveness",
    "clientFoundRows",
    "collation",
    "columnsWithAlias",
    "connectionAttributes",
    "interpolateParams",
    "maxAllowedPacket",
    "multiStatements",
    "parseTime",
    "rejectReadOnly",
    NULL};

static enum ael_status
set_parameter(struct ael_my_address *address, const char *name, char *value, struct ael_error *err) {
    if (strcmp(name, "tls") == 0 || strcmp(name, "ssl-mode") == 0) {
        return set_tls(address, value, err);
    }
    if (strcmp(name, "ssl-ca") == 0) {
        address->ca = value;
    } else if (strcmp(name, "ssl-cert") == 0) {
        address->certificate = value;
    } else if (strcmp(name, "ssl-key") == 0) {
        address->key = value;
    } else if (strcmp(name, "socket") == 0) {
        address->host_count = 0;
        return add_host(address, value, 0, true, err);
    } else if (strcmp(name, "timeout") == 0) {
        return set_timeout(&address->connect_timeout_ms, value, err);
    } else if (strcmp(name, "readTimeout") == 0 || strcmp(name, "writeTimeout") == 0) {
        return set_timeout(&address->answer_timeout_ms, value, err);
    } else if (strcmp(name, "time_zone") == 0) {
        return set_time_zone(address, value, err);
    } else if (strcmp(name, "loc") == 0) {
        return strcmp(value, "UTC") == 0 ? AEL_OK : refused(err, "loc must be UTC: rows are written in UTC");
    } else if (!is_one_of(name, k_ignored)) {
        return refused(
            err, "the connection string has a parameter that is not known; known are tls, ssl-mode, ssl-ca, "
                 "ssl-cert, ssl-key, socket, timeout, readTimeout, writeTimeout, time_zone and loc");
    }
    return AEL_OK;
}

static enum ael_status read_parameters(struct ael_my_address *address, char *list, struct ael_error *err) {
    enum ael_status status = AEL_OK;
    while (list != NULL && list[0] != '\0' && status == AEL_OK) {
        char *next = cut_at(strchr(list, '&'));
        char *value = cut_at(strchr(list, '='));
        if (value == NULL || !decode(list) || !decode(value)) {
            return refused(err, "a parameter is not name=value, percent-encoded");
        }
        status = set_parameter(address, list, value, err);
        list = next;
    }
    return status;
}

/* ---- the two forms ---- */

/* False when what is percent-encoded is not so. */
static bool read_user(struct ael_my_address *address, char *text, bool is_encoded) {
    char *password = cut_at(strchr(text, ':'));
    address->user = text;
    address->password = password == NULL ? "" : password;
    return !is_encoded || (decode(text) && (password == NULL || decode(password)));
}

/* "user:password@host:port,host:port/database?name=value", percent-encoded. */
static enum ael_status read_url(struct ael_my_address *address, char *text, struct ael_error *err) {
    char *parameters = cut_at(strchr(text, '?'));
    char *database = cut_at(strchr(text, '/'));
    char *at = strrchr(text, '@');
    char *hosts = at == NULL ? text : cut_at(at);
    if ((database != NULL && strchr(database, '@') != NULL) ||
        (parameters != NULL && strchr(parameters, '@') != NULL)) {
        return refused(err, "an @ comes after the hosts: percent-encode special characters of the password");
    }
    if (at != NULL && !read_user(address, text, true)) {
        return refused(err, "a % in the user or the password is not followed by two hexadecimal digits");
    }
    address->database = database == NULL ? "" : database;
    if (database != NULL && !decode(database)) {
        return refused(err, "a % in the database is not followed by two hexadecimal digits");
    }
    enum ael_status status = read_hosts(address, hosts, true, err);
    return status == AEL_OK ? read_parameters(address, parameters, err) : status;
}

/* "tcp(host:port,host:port)", "unix(/path)", "tcp", "" */
static enum ael_status read_network(struct ael_my_address *address, char *text, struct ael_error *err) {
    char *hosts = cut_at(strchr(text, '('));
    size_t len = hosts == NULL ? 0 : strlen(hosts);
    if (hosts != NULL && (len == 0 || hosts[len - 1] != ')')) {
        return refused(err, "the address does not end as in \"tcp(host:port)\"");
    }
    if (hosts != NULL) {
        hosts[len - 1] = '\0';
    }
    if (strcmp(text, "unix") == 0) {
        return add_host(address, hosts == NULL || hosts[0] == '\0' ? SOCKET_DEFAULT : hosts, 0, true, err);
    }
    if (text[0] != '\0' && strcmp(text, "tcp") != 0) {
        return refused(err, "the network is neither tcp(...) nor unix(...)");
    }
    return hosts == NULL ? add_host(address, "127.0.0.1", PORT_DEFAULT, false, err)
                         : read_hosts(address, hosts, false, err);
}

/* Where the database begins: behind the address, or at the last slash. Slashes in a password do not
 * matter. */
static char *find_database(char *text) {
    char *found = NULL;
    for (char *at = text; (at = strstr(at, ")/")) != NULL; at++) {
        found = at + 1;
    }
    return found != NULL && strchr(found, '@') == NULL ? found : strrchr(text, '/');
}

/* "user:password@tcp(host:port)/database?name=value": user and password stand as they are. */
static enum ael_status read_dsn(struct ael_my_address *address, char *text, struct ael_error *err) {
    char *database = cut_at(find_database(text));
    if (database == NULL) {
        return refused(
            err, "the connection string is neither mysql://user:password@host/database nor "
                 "user:password@tcp(host:port)/database");
    }
    char *parameters = cut_at(strchr(database, '?'));
    char *at = strrchr(text, '@');
    char *network = at == NULL ? text : cut_at(at);
    if (at != NULL) {
        (void)read_user(address, text, false);
    }
    address->database = database;
    if (!decode(database)) {
        return refused(err, "a % in the database is not followed by two hexadecimal digits");
    }
    enum ael_status status = read_network(address, network, err);
    return status == AEL_OK ? read_parameters(address, parameters, err) : status;
}

/* ---- all of it ---- */

static bool is_remote(const struct ael_my_address *address) {
    for (size_t i = 0; i < address->host_count; i++) {
        if (!address->hosts[i].is_local) {
            return true;
        }
    }
    return false;
}

static enum ael_status check(const struct ael_my_address *address, struct ael_error *err) {
    if (address->database[0] == '\0') {
        return refused(err, "the connection string names no database");
    }
    if ((address->certificate == NULL) != (address->key == NULL)) {
        return refused(err, "of ssl-cert and ssl-key each needs the other");
    }
    bool has_files = address->ca != NULL || address->certificate != NULL;
    if (has_files && address->tls == AEL_MY_TLS_OFF) {
        return refused(err, "there are files for TLS, and tls=false");
    }
    return AEL_OK;
}

static enum ael_status read_all(struct ael_my_address *address, struct ael_error *err) {
    static const char *const k_schemes[] = {"mysql://", "mariadb://"};
    for (int i = 0; i < 2; i++) {
        if (begins_with(address->text, k_schemes[i])) {
            return read_url(address, address->text + strlen(k_schemes[i]), err);
        }
    }
    return read_dsn(address, address->text, err);
}

/* see metastore/mysql/address.h */
enum ael_status ael_my_address_init(struct ael_my_address *address, const char *text, struct ael_error *err) {
    *address = (struct ael_my_address){.user = "", .password = "", .database = "", .time_zone = "+00:00"};
    size_t len = text == NULL ? 0 : strlen(text);
    if (len == 0 || len > TEXT_MAX_BYTES) {
        return refused(err, "there is no connection string, or one longer than 64 KiB");
    }
    address->size = len + 1;
    address->text = ael_sys_alloc(address->size);
    if (address->text == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_MY_COMPONENT, "no memory for a connection string");
    }
    memcpy(address->text, text, address->size);
    enum ael_status status = read_all(address, err);
    if (status == AEL_OK) {
        status = check(address, err);
    }
    if (status != AEL_OK) {
        ael_my_address_clear(address);
    }
    return status;
}

/* see metastore/mysql/address.h */
void ael_my_address_clear(struct ael_my_address *address) {
    if (address->text != NULL) {
        explicit_bzero(address->text, address->size);
        ael_sys_free(address->text);
    }
    memset(address, 0, sizeof(*address));
}

/* see metastore/mysql/address.h */
const char *ael_my_address_weakness(const struct ael_my_address *address) {
    if (!is_remote(address) || address->tls == AEL_MY_TLS_VERIFY) {
        return NULL;
    }
    return address->tls == AEL_MY_TLS_OFF
               ? "the connection to the database is not encrypted (tls=false): anybody between may "
                 "read and change what is stored, and may get the password"
               : "the certificate of the database is not verified "
                 "(tls=skip-verify): anybody between may read "
                 "and change what is stored, and may get the password";
}

/* see metastore/mysql/address.h */
void ael_my_address_redact(const struct ael_my_address *address, char *text) {
    size_t len = strlen(address->password);
    for (char *at = text; len > 0 && (at = strstr(at, address->password)) != NULL; at += len) {
        memset(at, '*', len);
    }
}
