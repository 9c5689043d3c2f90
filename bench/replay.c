/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/replay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_BYTES = 16384, DAY_S = 86400 };

/* ---- its certificate ---- */

static bool add_extension(X509 *certificate, int what, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, what, value);
    bool good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

/* Signed by itself, for 127.0.0.1 and a day. */
static X509 *certify(EVP_PKEY *key) {
    X509 *made = X509_new();
    if (made == NULL) {
        return NULL;
    }
    X509_NAME *name = X509_get_subject_name(made);
    bool good = X509_set_version(made, X509_VERSION_3) == 1 &&
                ASN1_INTEGER_set(X509_get_serialNumber(made), 1) == 1 &&
                X509_gmtime_adj(X509_getm_notBefore(made), -60) != NULL &&
                X509_gmtime_adj(X509_getm_notAfter(made), DAY_S) != NULL &&
                X509_NAME_add_entry_by_txt(
                    name, "CN", MBSTRING_ASC, (const unsigned char *)"replay", -1, -1, 0) == 1 &&
                X509_set_issuer_name(made, name) == 1 && X509_set_pubkey(made, key) == 1 &&
                add_extension(made, NID_subject_alt_name, "IP:127.0.0.1") &&
                add_extension(made, NID_basic_constraints, "critical,CA:TRUE") &&
                X509_sign(made, key, EVP_sha256()) > 0;
    if (!good) {
        X509_free(made);
        return NULL;
    }
    return made;
}

static bool write_certificate(X509 *certificate, const char *path) {
    FILE *file = fopen(path, "w");
    bool good = file != NULL && PEM_write_X509(file, certificate) == 1;
    return file != NULL && fclose(file) == 0 && good;
}

static SSL_CTX *make_tls(const char *ca_file) {
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key == NULL ? NULL : certify(key);
    if (tls == NULL || certificate == NULL || !write_certificate(certificate, ca_file) ||
        SSL_CTX_use_certificate(tls, certificate) != 1 || SSL_CTX_use_PrivateKey(tls, key) != 1) {
        SSL_CTX_free(tls);
        tls = NULL;
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return tls;
}

/* ---- one connection ---- */

struct visit {
    const struct replay *replay;
    int fd;
};

/* How long the request is, as far as that is known: its head must have come. */
static size_t length_of(const char *request) {
    static const char k_length[] = "Content-Length:";
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strcasestr(request, k_length);
    if (end == NULL) {
        return SIZE_MAX;
    }
    size_t body = length == NULL || length > end ? 0 : strtoul(length + sizeof k_length - 1, NULL, 10);
    return (size_t)(end - request) + 4 + body;
}

/* Reads a request to its end. */
static bool read_request(SSL *ssl) {
    char request[REQUEST_BYTES];
    size_t len = 0;
    do {
        int got =
            len + 1 < sizeof request ? SSL_read(ssl, request + len, (int)(sizeof request - 1 - len)) : 0;
        if (got <= 0) {
            return false;
        }
        len += (size_t)got;
        request[len] = '\0';
    } while (len < length_of(request));
    return true;
}

static void *serve(void *visit_) {
    struct visit *visit = visit_;
    struct ael_bytes answer = visit->replay->answer;
    SSL *ssl = SSL_new(visit->replay->tls);
    if (ssl != NULL && SSL_set_fd(ssl, visit->fd) == 1 && SSL_accept(ssl) == 1) {
        while (read_request(ssl) && SSL_write(ssl, answer.data, (int)answer.len) > 0) {
        }
    }
    SSL_free(ssl);
    (void)close(visit->fd);
    free(visit);
    return NULL;
}

/* ---- the server ---- */

static void start_thread(void *(*run)(void *), void *context) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, context) != 0) {
        (void)fprintf(stderr, "bench: cannot start a thread\n");
        exit(1);
    }
    (void)pthread_detach(thread);
}

static void *listen_on(void *replay_) {
    const struct replay *replay = replay_;
    int one = 1;
    for (int fd = accept(replay->listener, NULL, NULL); fd >= 0; fd = accept(replay->listener, NULL, NULL)) {
        struct visit *visit = malloc(sizeof *visit);
        if (visit == NULL) {
            break;
        }
        *visit = (struct visit){replay, fd};
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        start_thread(serve, visit);
    }
    return NULL;
}

static bool open_listener(struct replay *replay) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    replay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (replay->listener < 0 || bind(replay->listener, (struct sockaddr *)&address, len) != 0 ||
        listen(replay->listener, 16) != 0 ||
        getsockname(replay->listener, (struct sockaddr *)&address, &len) != 0) {
        return false;
    }
    (void)snprintf(replay->url, sizeof replay->url, "https://127.0.0.1:%u", ntohs(address.sin_port));
    return true;
}

/* see bench/replay.h */
bool replay_start(struct replay *replay, struct ael_bytes answer, const char *ca_file) {
    *replay = (struct replay){.answer = answer, .tls = make_tls(ca_file), .listener = -1};
    if (replay->tls == NULL || !open_listener(replay)) {
        return false;
    }
    start_thread(listen_on, replay);
    return true;
}
