/* SPDX-License-Identifier: Apache-2.0 */
#include "net/url.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The text behind the scheme; NULL for another one. */
static const char *behind_scheme(const char *url) {
    static const char *const k_schemes[] = {"https://", "http://"};
    for (size_t i = 0; i < sizeof k_schemes / sizeof k_schemes[0]; i++) {
        if (strncmp(url, k_schemes[i], strlen(k_schemes[i])) == 0) {
            return url + strlen(k_schemes[i]);
        }
    }
    return NULL;
}

/* see net/url.h */
bool ael_url_host(const char *url, char host[static AEL_URL_HOST_BYTES]) {
    const char *start = behind_scheme(url);
    if (start == NULL || memchr(start, '@', strcspn(start, "/?#")) != NULL) {
        return false;
    }
    size_t len = start[0] == '[' ? strcspn(start, "]/?#") + 1 : strcspn(start, ":/?#");
    if (len == 0 || len >= AEL_URL_HOST_BYTES) {
        return false;
    }
    (void)snprintf(host, AEL_URL_HOST_BYTES, "%.*s", (int)len, start);
    return true;
}

/* see net/url.h */
bool ael_url_is_origin(const char *url) {
    const char *start = behind_scheme(url);
    if (start == NULL || start[strcspn(start, "/?#@\\\"")] != '\0' || start[0] == '\0' || start[0] == ':') {
        return false;
    }
    for (size_t i = 0; start[i] != '\0'; i++) {
        if (start[i] <= ' ' || start[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* Of ASCII, whatever the locale. */
static bool is_localhost(const char *name, size_t len) {
    static const char k_name[] = "localhost";
    if (len != sizeof k_name - 1) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if ((name[i] | 0x20) != k_name[i]) {
            return false;
        }
    }
    return true;
}

/* see net/url.h */
bool ael_url_host_is_loopback(const char *host) {
    struct in_addr address;
    if (is_localhost(host, strlen(host)) || strcmp(host, "[::1]") == 0) {
        return true;
    }
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

/* ---- forms that some resolver, or libcurl, takes for this machine ---- */

/* In its brackets, with or without a zone: ::, ::1, ::ffff:127.0.0.1. */
static bool is_near_ipv6(const char *host) {
    static const uint8_t k_zeros[15] = {0};
    static const uint8_t k_mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
    char text[AEL_URL_HOST_BYTES];
    uint8_t address[16];
    (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(host + 1, "%]"), host + 1);
    if (inet_pton(AF_INET6, text, address) != 1) {
        return false;
    }
    return (memcmp(address, k_zeros, sizeof k_zeros) == 0 && address[15] <= 1) ||
           memcmp(address, k_mapped, sizeof k_mapped) == 0;
}

/* In one to four numbers, octal and hexadecimal ones too. 0.0.0.0 leads to this machine as well. */
static bool is_near_ipv4(const char *text) {
    struct in_addr address;
    return inet_aton(text, &address) != 0 &&
           (ntohl(address.s_addr) >> 24 == 127 || ntohl(address.s_addr) == 0);
}

/* localhost, and names below it (RFC 6761 6.3). */
static bool is_near_name(const char *name) {
    const char *dot = strrchr(name, '.');
    const char *last = dot == NULL ? name : dot + 1;
    return is_localhost(last, strlen(last));
}

static bool may_be_near(const char *host) {
    char name[AEL_URL_HOST_BYTES];
    size_t len = strlen(host);
    if (host[0] == '[') {
        return is_near_ipv6(host);
    }
    len -= len > 0 && host[len - 1] == '.' ? 1 : 0; /* of a name that is not relative */
    (void)snprintf(name, sizeof name, "%.*s", (int)len, host);
    return is_near_ipv4(name) || is_near_name(name);
}

/* see net/url.h */
bool ael_url_keeps_secrets(const char *url) {
    char host[AEL_URL_HOST_BYTES];
    if (!ael_url_host(url, host)) {
        return false;
    }
    return strncmp(url, "https://", 8) == 0 || ael_url_host_is_loopback(host);
}

/* see net/url.h */
bool ael_url_may_take_proxy(const char *url) {
    char host[AEL_URL_HOST_BYTES];
    return strncmp(url, "https://", 8) == 0 && ael_url_host(url, host) && !may_be_near(host);
}
