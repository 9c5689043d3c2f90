/*
 * examples/metrics.c - the library's metrics, served to Prometheus.
 *
 *     metrics                  encrypts and decrypts a few records, writes the metrics to standard output
 *     metrics 9464             the same, and then answers HTTP on 127.0.0.1:9464; 0 = any free port, which it tells
 *
 *     scrape_configs:
 *       - job_name: orders
 *         static_configs: [{targets: ["127.0.0.1:9464"]}]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MASTER_KEY_BYTES = 32, ROUNDS = 100, REQUEST_BYTES = 2048 };

/* Where everything is kept in memory: nothing is left when the program ends. */
struct shop {
    struct ael_metastore *metastore;
    struct ael_kms *kms;
    struct ael_session_factory *factory;
};

static enum ael_status open_shop(struct shop *shop, struct ael_error *err) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    uint8_t master_key[MASTER_KEY_BYTES];
    memset(master_key, 'k', sizeof master_key); /* for a demonstration */
    enum ael_status status = ael_metastore_memory_new(&shop->metastore);
    if (status == AEL_OK) {
        status = ael_kms_static_from_bytes(master_key, sizeof master_key, &shop->kms, err);
    }
    if (status != AEL_OK) {
        return status;
    }
    options.service = "shop";
    options.product = "orders";
    options.metastore = shop->metastore;
    options.kms = shop->kms;
    return ael_session_factory_new(&options, &shop->factory, err);
}

static void close_shop(struct shop *shop) {
    ael_session_factory_free(shop->factory);
    ael_kms_release(shop->kms);
    ael_metastore_release(shop->metastore);
}

/* One order is encrypted and read back; and one that somebody has tampered with is refused, which is counted too. */
static enum ael_status
take_order(struct ael_session *session, struct ael_buf *json, struct ael_buf *plain, struct ael_error *err) {
    enum ael_status status =
        ael_session_encrypt_json(session, ael_bytes_from_text("one teapot"), json, NULL, err);
    if (status == AEL_OK) {
        status = ael_session_decrypt_json(session, ael_buf_view(json), plain, NULL, err);
    }
    if (status == AEL_OK) {
        struct ael_bytes half = {json->data, json->len / 2};
        enum ael_status refused = ael_session_decrypt_json(session, half, plain, NULL, NULL);
        status = refused == AEL_OK ? AEL_E_STATE : AEL_OK;
    }
    return status;
}

static enum ael_status work(struct shop *shop, struct ael_error *err) {
    struct ael_session *session = NULL;
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    enum ael_status status = AEL_OK;
    for (int i = 0; i < ROUNDS && status == AEL_OK; i++) {
        status = ael_session_acquire(shop->factory, i % 2 == 0 ? "customer-1" : "customer-2", &session, err);
        if (status == AEL_OK) {
            status = take_order(session, &json, &plain, err);
        }
        ael_session_release(session);
    }
    ael_buf_clear(&plain);
    ael_buf_clear(&json);
    return status;
}

static enum ael_status write_metrics(const struct shop *shop, struct ael_buf *text) {
    struct ael_metrics_factory shown = {"orders", shop->factory};
    return ael_metrics_write(&shown, 1, text);
}

/* ---- HTTP, as little of it as a scrape needs ---- */

static bool send_all(int client, const void *bytes, size_t len) {
    const char *at = bytes;
    while (len > 0) {
        ssize_t sent = send(client, at, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

static void answer(int client, const struct shop *shop) {
    struct ael_buf text = AEL_BUF_INIT;
    char request[REQUEST_BYTES];
    char head[200];
    if (recv(client, request, sizeof request, 0) > 0 && write_metrics(shop, &text) == AEL_OK) {
        int len = snprintf(
            head, sizeof head,
            "HTTP/1.1 200 OK\r\nContent-Type: " AEL_METRICS_CONTENT_TYPE "\r\nContent-Length: %zu\r\n"
            "Connection: close\r\n\r\n",
            text.len);
        (void)(send_all(client, head, (size_t)len) && send_all(client, text.data, text.len));
    }
    ael_buf_clear(&text);
}

static int listen_on(uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (server < 0 || setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 8) != 0 ||
        getsockname(server, (struct sockaddr *)&address, &len) != 0) {
        return -1;
    }
    printf("http://127.0.0.1:%u/metrics\n", (unsigned)ntohs(address.sin_port));
    (void)fflush(stdout);
    return server;
}

/* Some work between two scrapes, so that there is something to see. */
static enum ael_status serve(uint16_t port, struct shop *shop, struct ael_error *err) {
    int server = listen_on(port);
    enum ael_status status = server < 0 ? AEL_E_SYSTEM : AEL_OK;
    while (status == AEL_OK) {
        int client = accept(server, NULL, NULL);
        if (client >= 0) {
            answer(client, shop);
            (void)close(client);
        }
        status = work(shop, err);
    }
    return status;
}

static enum ael_status print_metrics(const struct shop *shop) {
    struct ael_buf text = AEL_BUF_INIT;
    enum ael_status status = write_metrics(shop, &text);
    if (status == AEL_OK && fwrite(text.data, 1, text.len, stdout) != text.len) {
        status = AEL_E_SYSTEM;
    }
    ael_buf_clear(&text);
    return status;
}

int main(int argc, char **argv) {
    struct shop shop = {NULL, NULL, NULL};
    struct ael_error err = {0};
    enum ael_status status = ael_metrics_start(); /* before anything else, so that all is counted */
    if (status == AEL_OK) {
        status = open_shop(&shop, &err);
    }
    if (status == AEL_OK) {
        status = work(&shop, &err);
    }
    if (status == AEL_OK) {
        status = argc > 1 ? serve((uint16_t)strtoul(argv[1], NULL, 10), &shop, &err) : print_metrics(&shop);
    }
    close_shop(&shop);
    if (status != AEL_OK) {
        (void)fprintf(stderr, "metrics: %s %s\n", ael_status_text(status), err.detail);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
