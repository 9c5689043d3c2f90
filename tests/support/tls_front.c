/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tls_front.h"

#include "tests/support/loopback.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 128, BLOCK_BYTES = 16384, DAY_S = 86400 };

struct connection {
    struct tls_front *front;
    int fd;
    int behind; /* -1 until the handshake is over */
    pthread_t thread;
};

struct tls_front {
    SSL_CTX *context;
    int listener;
    int port_behind;
    char url[64];
    char ca_file[64];
    pthread_t acceptor;
    atomic_uint connected; /* relaxed, as the next one: counts */
    atomic_size_t bytes;
    pthread_mutex_t lock; /* guards what follows */
    bool stopping;
    unsigned count;
    struct connection connections[MOST_CONNECTIONS];
};

/* ---- certificates ---- */

static bool extend(X509 *certificate, X509 *issuer, int kind, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

/* issuer NULL: by itself. */
static X509 *
certify(EVP_PKEY *key, const char *title, int kind, const char *value, X509 *issuer, EVP_PKEY *issuer_key) {
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);
    issuer = issuer == NULL ? certificate : issuer;
    bool good =
        X509_set_version(certificate, 2) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer == certificate ? 1 : 2) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_S) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), DAY_S) != NULL &&
        X509_set_pubkey(certificate, key) == 1 &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)title, -1, -1, 0) == 1 &&
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
        extend(certificate, issuer, kind, value) && X509_sign(certificate, issuer_key, EVP_sha256()) > 0;
    if (!good) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static bool write_ca(struct tls_front *front, X509 *ca) {
    (void)snprintf(front->ca_file, sizeof front->ca_file, "/tmp/ael-tls-front-XXXXXX");
    int fd = mkstemp(front->ca_file);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    bool good = file != NULL && PEM_write_X509(file, ca) == 1;
    return file != NULL && fclose(file) == 0 && good;
}

/* CAs have names of their own, as anywhere. */
static bool make_context(struct tls_front *front, const char *name) {
    static atomic_uint s_number;
    char title[32];
    (void)snprintf(title, sizeof title, "CA %u of tests", atomic_fetch_add(&s_number, 1));
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *ca = certify(ca_key, title, NID_basic_constraints, "critical,CA:TRUE", NULL, ca_key);
    X509 *own = ca == NULL ? NULL : certify(key, "a server", NID_subject_alt_name, name, ca, ca_key);
    front->context = SSL_CTX_new(TLS_server_method());
    bool good = own != NULL && front->context != NULL && write_ca(front, ca) &&
                SSL_CTX_use_certificate(front->context, own) == 1 &&
                SSL_CTX_use_PrivateKey(front->context, key) == 1;
    X509_free(own);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return good;
}

/* ---- one connection ---- */

/* Hands on what came from one side; false at the end. */
static bool hand_on(const struct connection *connection, SSL *tls, char *block) {
    struct pollfd sides[2] = {{connection->fd, POLLIN, 0}, {connection->behind, POLLIN, 0}};
    bool waits = SSL_pending(tls) > 0;
    if (!waits && poll(sides, 2, -1) < 0) {
        return false;
    }
    if (waits || sides[0].revents != 0) {
        int got = SSL_read(tls, block, BLOCK_BYTES);
        if (got <= 0) {
            return false;
        }
        (void)atomic_fetch_add_explicit(&connection->front->bytes, (size_t)got, memory_order_relaxed);
        return loopback_send(connection->behind, block, (size_t)got);
    }
    ssize_t got = recv(connection->behind, block, BLOCK_BYTES, 0);
    return got > 0 && SSL_write(tls, block, (int)got) == (int)got;
}

/* Under the lock, so that who stops it sees all descriptors; false when it stops. */
static bool open_behind(struct connection *connection) {
    struct tls_front *front = connection->front;
    (void)pthread_mutex_lock(&front->lock);
    connection->behind = front->stopping ? -1 : loopback_connect(front->port_behind);
    (void)pthread_mutex_unlock(&front->lock);
    return connection->behind >= 0;
}

static void *run_connection(void *context) {
    struct connection *connection = context;
    SSL *tls = SSL_new(connection->front->context);
    char *block = malloc(BLOCK_BYTES);
    sigset_t pipe; /* SSL_write has no MSG_NOSIGNAL */
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    if (SSL_set_fd(tls, connection->fd) == 1 && SSL_accept(tls) == 1 && open_behind(connection)) {
        while (hand_on(connection, tls, block)) {
        }
        (void)shutdown(connection->behind, SHUT_RDWR);
        (void)SSL_shutdown(tls);
    }
    (void)shutdown(connection->fd, SHUT_RDWR);
    SSL_free(tls);
    free(block);
    return NULL;
}

static void *run_acceptor(void *context) {
    struct tls_front *front = context;
    for (;;) {
        int fd = accept4(front->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        (void)atomic_fetch_add_explicit(&front->connected, 1, memory_order_relaxed);
        (void)pthread_mutex_lock(&front->lock);
        bool started = false;
        if (front->count < MOST_CONNECTIONS && !front->stopping) {
            struct connection *connection = &front->connections[front->count];
            *connection = (struct connection){.front = front, .fd = fd, .behind = -1};
            started = pthread_create(&connection->thread, NULL, run_connection, connection) == 0;
            front->count += started ? 1 : 0;
        }
        (void)pthread_mutex_unlock(&front->lock);
        if (!started) {
            (void)close(fd);
        }
    }
}

/* ---- starting and stopping ---- */

static void free_front(struct tls_front *front) {
    SSL_CTX_free(front->context);
    (void)unlink(front->ca_file);
    if (front->listener >= 0) {
        (void)close(front->listener);
    }
    (void)pthread_mutex_destroy(&front->lock);
    free(front);
}

/* see tests/support/tls_front.h */
struct tls_front *tls_front_start(const char *name, const char *behind) {
    struct tls_front *front = calloc(1, sizeof *front);
    const char *port = strrchr(behind, ':');
    int own_port = 0;
    front->port_behind = (int)strtol(port == NULL ? "" : port + 1, NULL, 10);
    front->listener = loopback_listen(128, &own_port);
    (void)snprintf(front->url, sizeof front->url, "https://127.0.0.1:%d", own_port);
    (void)pthread_mutex_init(&front->lock, NULL);
    if (!make_context(front, name) || front->listener < 0 ||
        pthread_create(&front->acceptor, NULL, run_acceptor, front) != 0) {
        free_front(front);
        return NULL;
    }
    return front;
}

/* see tests/support/tls_front.h */
void tls_front_stop(struct tls_front *front) {
    if (front == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&front->lock);
    front->stopping = true;
    (void)pthread_mutex_unlock(&front->lock);
    (void)shutdown(front->listener, SHUT_RDWR);
    (void)pthread_join(front->acceptor, NULL);
    for (unsigned i = 0; i < front->count; i++) {
        struct connection *connection = &front->connections[i];
        (void)shutdown(connection->fd, SHUT_RDWR);
        (void)pthread_join(connection->thread, NULL);
        (void)close(connection->fd);
        if (connection->behind >= 0) {
            (void)close(connection->behind);
        }
    }
    free_front(front);
}

/* see tests/support/tls_front.h */
const char *tls_front_url(const struct tls_front *front) {
    return front->url;
}

/* see tests/support/tls_front.h */
const char *tls_front_ca_file(const struct tls_front *front) {
    return front->ca_file;
}

/* see tests/support/tls_front.h */
unsigned tls_front_connections(struct tls_front *front) {
    return atomic_load_explicit(&front->connected, memory_order_relaxed);
}

/* see tests/support/tls_front.h */
size_t tls_front_bytes(struct tls_front *front) {
    return atomic_load_explicit(&front->bytes, memory_order_relaxed);
}
