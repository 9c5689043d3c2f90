/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_transport.h"

#include <pthread.h>
#include <time.h>

static void set_text(CURL *easy, CURLoption option, const char *text) {
    if (text != NULL) {
        (void)curl_easy_setopt(easy, option, text);
    }
}

#if LIBCURL_VERSION_NUM >= 0x075500
static void speak_only_http(CURL *easy) {
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
}
#else
static void speak_only_http(CURL *easy) {
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
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

/* One that is given stands for itself: without this libcurl's own default of the other would count, too. */
static void set_authorities(CURL *easy, const struct ael_http *http) {
    if (http->ca_file != NULL || http->ca_path != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, http->ca_path);
    }
}

/* see net/http_transport.h */
void ael_http_transport_set(struct ael_http_place *place) {
    const struct ael_http *http = place->http;
    CURL *easy = place->easy;
    ael_http_place_watch_sockets(place);
    speak_only_http(easy);
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
    set_authorities(easy, http);
    set_text(easy, CURLOPT_SSLCERT, http->client_cert);
    set_text(easy, CURLOPT_SSLKEY, http->client_key);
}

/* see net/http_transport.h */
struct ael_http_pipe_guard ael_http_pipe_guard_begin(void) {
    struct ael_http_pipe_guard guard = {.was_pending = false};
    sigset_t pipe_only;
    sigset_t pending;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    guard.was_pending = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &guard.before);
    return guard;
}

/* see net/http_transport.h */
void ael_http_pipe_guard_end(const struct ael_http_pipe_guard *guard) {
    static const struct timespec k_now = {0, 0};
    sigset_t pipe_only;
    sigset_t pending;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    if (!guard->was_pending && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1) {
        (void)sigtimedwait(&pipe_only, NULL, &k_now);
    }
    (void)pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}
