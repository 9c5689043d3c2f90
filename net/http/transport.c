/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/transport.h"

#include "net/url.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* Texts are copied, for which there may be no memory. */
static bool set_text(CURL *easy, CURLoption option, const char *text) {
    return text == NULL || curl_easy_setopt(easy, option, text) == CURLE_OK;
}

#if LIBCURL_VERSION_NUM >= 0x075500
static bool speak_only_http(CURL *easy) {
    return set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https");
}
#else
static bool speak_only_http(CURL *easy) {
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS)) == CURLE_OK;
}
#endif

#if LIBCURL_VERSION_NUM >= 0x075700
/* A call that is over does not wait for a name look-up that hangs; its thread ends by itself. */
static void leave_look_ups(CURL *easy) {
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}
#else
static void leave_look_ups(CURL *easy) {
    (void)easy;
}
#endif

/* ---- OpenSSL's own ---- */

/* see net/http/transport.h */
bool ael_http_tls_is_ours(void) {
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    char prefix[32];
    (void)snprintf(prefix, sizeof prefix, "OpenSSL/%u.", OPENSSL_version_major());
    return info->ssl_version != NULL && strncmp(info->ssl_version, prefix, strlen(prefix)) == 0;
}

/* Called when libcurl has set all that it wants: what would log the secrets of TLS, too. */
static CURLcode log_no_secrets(CURL *easy, void *context, void *unused) {
    (void)easy;
    (void)unused;
    SSL_CTX_set_keylog_callback(context, NULL);
    return CURLE_OK;
}

/* see net/http/transport.h */
CURLcode ael_http_tls_for_keys(CURL *easy, void *context, void *unused) {
    (void)SSL_CTX_set_options((SSL_CTX *)context, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_mode((SSL_CTX *)context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return log_no_secrets(easy, context, unused);
}

static void keep_secrets_of_tls(CURL *easy) {
    if (ael_http_tls_is_ours()) {
        (void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, log_no_secrets);
    }
}

/* ---- options ---- */

/* One that is given stands for itself: without this libcurl's own default of the other would count, too. */
static bool set_authorities(CURL *easy, const struct ael_http *http) {
    if (http->ca_file == NULL && http->ca_path == NULL) {
        return true;
    }
    (void)curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    return set_text(easy, CURLOPT_CAINFO, http->ca_file) && set_text(easy, CURLOPT_CAPATH, http->ca_path);
}

static bool set_all(struct ael_http_place *place) {
    const struct ael_http *http = place->http;
    CURL *easy = place->easy;
    ael_http_place_watch_sockets(place);
    leave_look_ups(easy);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)http->idle_s);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)http->connect_timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    keep_secrets_of_tls(easy);
    return speak_only_http(easy) && set_authorities(easy, http) &&
           set_text(easy, CURLOPT_SSLCERT, http->client_cert) &&
           set_text(easy, CURLOPT_SSLKEY, http->client_key);
}

/* see net/http/transport.h */
bool ael_http_transport_set(struct ael_http_place *place) {
    if (!place->is_set) {
        place->is_set = set_all(place);
    }
    return place->is_set;
}

/* see net/http/transport.h */
CURLcode ael_http_transport_set_url(struct ael_http_place *place, const char *url, bool no_proxy) {
    /* NULL: as the environment says. */
    const char *direct = no_proxy || !ael_url_may_take_proxy(url) ? "*" : NULL;
    CURLcode code = curl_easy_setopt(place->easy, CURLOPT_NOPROXY, direct);
    return code != CURLE_OK ? code : curl_easy_setopt(place->easy, CURLOPT_URL, url);
}

/* see net/http/transport.h */
void ael_http_transport_gather(const struct ael_http_place *place, bool gather) {
#ifdef TCP_CORK
    const int on = gather ? 1 : 0;
    for (size_t i = 0; i < AEL_HTTP_PLACE_SOCKETS; i++) {
        if (place->sockets[i] >= 0) {
            (void)setsockopt(place->sockets[i], IPPROTO_TCP, TCP_CORK, &on, sizeof on);
        }
    }
#else
    (void)place;
    (void)gather;
#endif
}

static sigset_t only_pipe(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPIPE);
    return set;
}

static bool is_pipe_pending(void) {
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

/* see net/http/transport.h: one that is not blocked is never pending, so that most threads need not be
 * asked. */
struct ael_http_pipe_guard ael_http_pipe_guard_begin(void) {
    struct ael_http_pipe_guard guard = {.was_pending = false};
    sigset_t set = only_pipe();
    (void)pthread_sigmask(SIG_BLOCK, &set, &guard.before);
    guard.was_pending = sigismember(&guard.before, SIGPIPE) == 1 && is_pipe_pending();
    return guard;
}

/* see net/http/transport.h */
void ael_http_pipe_guard_end(const struct ael_http_pipe_guard *guard) {
    static const struct timespec k_now = {0, 0};
    sigset_t set = only_pipe();
    if (!guard->was_pending && is_pipe_pending()) {
        (void)sigtimedwait(&set, NULL, &k_now);
    }
    (void)pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}
