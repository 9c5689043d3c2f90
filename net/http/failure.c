/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/failure.h"

#include <stdio.h>
#include <string.h>

static const char k_component[] = "net/http";

/* see net/http/failure.h */
void ael_http_origin(const char *url, char origin[static AEL_HTTP_ORIGIN_BYTES]) {
    const char *host = strstr(url, "://");
    size_t scheme_len = host == NULL ? 0 : (size_t)(host - url) + 3;
    host = url + scheme_len;
    size_t host_len = strcspn(host, "/?#");
    for (size_t i = host_len; i > 0; i--) {
        if (host[i - 1] == '@') {
            host += i;
            host_len -= i;
            break;
        }
    }
    int scheme_shown = scheme_len > 8 ? 8 : (int)scheme_len;
    int host_shown = host_len > 80 ? 80 : (int)host_len;
    (void)snprintf(origin, AEL_HTTP_ORIGIN_BYTES, "%.*s%.*s", scheme_shown, url, host_shown, host);
}

/* One row a code of libcurl's. */
struct meaning {
    CURLcode code;
    enum ael_status status;
    const char *sentence; /* behind the origin */
};

static const struct meaning k_meanings[] = {
    {CURLE_COULDNT_RESOLVE_HOST, AEL_E_UNREACHABLE,
     "the name of the host cannot be resolved; check name and DNS"},
    {CURLE_COULDNT_RESOLVE_PROXY, AEL_E_UNREACHABLE,
     "the proxy cannot be resolved; check https_proxy and no_proxy in the environment"},
    {CURLE_PROXY, AEL_E_UNREACHABLE, "the proxy refused; check https_proxy and no_proxy in the environment"},
    {CURLE_COULDNT_CONNECT, AEL_E_UNREACHABLE,
     "no connection; check that the server runs and can be reached"},
    {CURLE_OPERATION_TIMEDOUT, AEL_E_UNREACHABLE,
     "no connection in time; check that the server can be reached"},
    {CURLE_SEND_ERROR, AEL_E_UNREACHABLE, "the connection was lost while sending"},
    {CURLE_RECV_ERROR, AEL_E_UNREACHABLE, "the connection was lost before the answer was complete"},
    {CURLE_SEND_FAIL_REWIND, AEL_E_UNREACHABLE, "the connection was closed without an answer"},
    {CURLE_GOT_NOTHING, AEL_E_UNREACHABLE, "the connection was closed without an answer"},
    {CURLE_PARTIAL_FILE, AEL_E_UNREACHABLE, "the connection was closed in the middle of the answer"},
    {CURLE_OUT_OF_MEMORY, AEL_E_NO_MEMORY, "out of memory"},
    {CURLE_URL_MALFORMAT, AEL_E_ARGUMENT, "the URL is not well-formed"},
    {CURLE_UNSUPPORTED_PROTOCOL, AEL_E_ARGUMENT, "only http and https are spoken"},
    {CURLE_LOGIN_DENIED, AEL_E_ARGUMENT, "a name or password in the URL is not accepted"},
    {CURLE_SSL_CERTPROBLEM, AEL_E_BACKEND,
     "the client certificate or its key cannot be used; check both files"},
    {CURLE_SSL_CACERT_BADFILE, AEL_E_BACKEND, "the file or folder of CA certificates cannot be read"},
    {CURLE_PEER_FAILED_VERIFICATION, AEL_E_BACKEND,
     "the server's certificate is not accepted; give its CA, or mend it"},
    {CURLE_SSL_CONNECT_ERROR, AEL_E_BACKEND,
     "no TLS with this server; does the port speak TLS 1.2 or later?"},
    {CURLE_SSL_CIPHER, AEL_E_BACKEND, "no cipher of TLS in common with the server"},
};

static const struct meaning k_lost = {
    CURLE_SSL_CONNECT_ERROR, AEL_E_UNREACHABLE, "the connection was lost in the TLS handshake"};
static const struct meaning k_other_key = {
    CURLE_SSL_CONNECT_ERROR, AEL_E_BACKEND,
    "the server's certificate is not signed by the key of the CA given; give the CA of this name that did"};
static const struct meaning k_other = {CURLE_OK, AEL_E_BACKEND, "the answer is not HTTP that can be read"};

static const struct meaning *meaning_of(CURLcode code) {
    for (size_t i = 0; i < sizeof k_meanings / sizeof k_meanings[0]; i++) {
        if (k_meanings[i].code == code) {
            return &k_meanings[i];
        }
    }
    return &k_other;
}

static bool is_of_tls(CURLcode code) {
    return code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR ||
           code == CURLE_SSL_CIPHER;
}

/*
 * A connection that is lost in the handshake has the same code as a server that refuses it; libcurl's words
 * differ, and are in English where they come from libcurl and OpenSSL: the system's own is behind them.
 */
static const char *const k_words_of_loss[] = {
    "SSL_connect: ", "Recv failure", "Send failure", "unexpected eof", "getpeername() failed", NULL};

/*
 * A CA of the right name, but with another key, and no key identifiers that tell them apart: OpenSSL's first
 * word is of the signature that it could not undo, and libcurl sees no refused certificate in that.
 */
static const char *const k_words_of_another_key[] = {
    "asn1 encoding routines::EVP lib", "asn1 encoding routines::wrong public key type", "rsa routines::",
    NULL};

static bool has_any(const char *words, const char *const *some) {
    while (*some != NULL && strstr(words, *some) == NULL) {
        some++;
    }
    return *some != NULL;
}

static const struct meaning *meaning_in_words(CURLcode code, const char *words) {
    if (code == CURLE_SSL_CONNECT_ERROR && has_any(words, k_words_of_loss)) {
        return &k_lost;
    }
    if (code == CURLE_SSL_CONNECT_ERROR && has_any(words, k_words_of_another_key)) {
        return &k_other_key;
    }
    return meaning_of(code);
}

/* libcurl keeps the system's last error, from one request to the next: of other failures it tells nothing. */
static bool is_of_system(CURLcode code) {
    return code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR;
}

/* see net/http/failure.h */
enum ael_status
ael_http_failure(CURLcode code, const char *url, const char *words, long os_error, struct ael_error *err) {
    char origin[AEL_HTTP_ORIGIN_BYTES];
    const struct meaning *meaning = meaning_in_words(code, words);
    ael_http_origin(url, origin);
    if (is_of_tls(code) && words[0] != '\0') {
        return ael_error_set(
            err, meaning->status, (int32_t)code, k_component, "%s: %s (%.70s)", origin, meaning->sentence,
            words);
    }
    return ael_error_set(
        err, meaning->status, os_error != 0 && is_of_system(code) ? (int32_t)os_error : (int32_t)code,
        k_component, "%s: %s", origin, meaning->sentence);
}
