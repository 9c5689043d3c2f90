/* SPDX-License-Identifier: Apache-2.0 */
#include "net/url.h"

#include <arpa/inet.h>
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

/* see net/url.h */
bool ael_url_host_is_loopback(const char *host) {
    struct in_addr address;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) {
        return true;
    }
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
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
    return strncmp(url, "https://", 8) == 0 && ael_url_host(url, host) && !ael_url_host_is_loopback(host);
}
