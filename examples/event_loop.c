/*
 * event_loop - encrypts lines for many tenants in one thread that never waits for a key.
 *
 *     event_loop --metastore sqlite:keys.db --kms static:master.key <lines >records
 *
 * Each line of standard input is "tenant text"; each record goes to standard output as "tenant json", in the order in
 * which they get done. Where a tenant's key is at hand that is at once. Where it is not, the line is set aside, the
 * library loads the key on a thread of its own, and epoll tells when it is time to try again. Meanwhile the other lines
 * go on.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { INPUT_MAX_BYTES = 16 << 20, TIMEOUT_MS = 10000 };

static const char k_usage[] =
    "Usage: event_loop --metastore NAME --kms NAME <lines >records\n"
    "Encrypts lines of the form \"tenant text\" to \"tenant json\", without ever waiting for one of them.\n"
    "Names and exit code: as encrypt_decrypt, which tells of them with --help.\n";

struct loop {
    struct ael_session_factory *factory;
    struct ael_wait_queue *queue;
    int epoll;
    size_t pending; /* lines that were set aside */
    size_t at_once;
    int exit; /* CLI_EXIT_OK, or of the first failure */
};

/* A line on its way. */
struct request {
    struct loop *loop;
    struct ael_session *session;
    struct ael_wait *wait; /* made when it is needed */
    struct ael_bytes tenant;
    struct ael_bytes text;
    struct ael_call call; /* one deadline for all tries */
};

/* -- one line -- */

static void end_request(struct request *request) {
    ael_wait_free(request->wait);
    ael_session_release(request->session);
    free(request);
}

static void fail(struct request *request, const char *what, enum ael_status status, const struct ael_error *err) {
    int code = cli_fail(what, status, err);
    request->loop->exit = request->loop->exit == CLI_EXIT_OK ? code : request->loop->exit;
    end_request(request);
}

static void write_record(struct request *request, struct ael_bytes json) {
    struct ael_buf line = AEL_BUF_INIT;
    static const struct ael_bytes k_space = {(const uint8_t *)" ", 1};
    static const struct ael_bytes k_newline = {(const uint8_t *)"\n", 1};
    enum ael_status status = ael_buf_append(&line, request->tenant);
    status = status == AEL_OK ? ael_buf_append(&line, k_space) : status;
    status = status == AEL_OK ? ael_buf_append(&line, json) : status;
    status = status == AEL_OK ? ael_buf_append(&line, k_newline) : status;
    int code = status == AEL_OK ? cli_write_all(STDOUT_FILENO, ael_buf_view(&line)) : CLI_EXIT_IO;
    request->loop->exit = request->loop->exit == CLI_EXIT_OK ? code : request->loop->exit;
    ael_buf_clear(&line);
}

/* The heart: done, failed, or set aside until the queue gives its wait back. */
static void go_on(struct request *request) {
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_error err = {0};
    enum ael_status status = ael_session_try_encrypt_json(
        request->session, request->text, &json, &request->call, request->wait, &err);
    if (status == AEL_E_WOULD_BLOCK) {
        request->loop->pending++;
        return;
    }
    if (status != AEL_OK) {
        fail(request, "encrypt", status, &err);
        return;
    }
    write_record(request, ael_buf_view(&json));
    ael_buf_clear(&json);
    end_request(request);
}

static void begin_request(struct loop *loop, struct ael_bytes tenant, struct ael_bytes text) {
    struct request *request = calloc(1, sizeof *request);
    struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
    struct ael_error err = {0};
    if (request == NULL) {
        loop->exit = cli_fail("a line", AEL_E_NO_MEMORY, NULL);
        return;
    }
    *request = (struct request){.loop = loop, .tenant = tenant, .text = text, .call = AEL_CALL_INIT};
    request->call.deadline_ns = ael_deadline_in_ms(TIMEOUT_MS);
    options.queue = loop->queue;
    options.context = request;
    enum ael_status status = ael_session_acquire_bytes(loop->factory, tenant, &request->session, &err);
    if (status == AEL_OK) {
        status = ael_wait_new(&options, &request->wait);
    }
    if (status != AEL_OK) {
        fail(request, "session", status, &err);
        return;
    }
    go_on(request);
}

/* -- the loop -- */

/* Takes all waits that are over; each goes on, or tells why it cannot. */
static void serve_queue(struct loop *loop) {
    void *context = NULL;
    enum ael_status status = AEL_OK;
    while (ael_wait_queue_next(loop->queue, NULL, &context, &status)) {
        struct request *request = context;
        loop->pending--;
        if (status == AEL_OK) {
            go_on(request);
        } else {
            struct ael_error err = {0};
            status = ael_wait_status(request->wait, &err);
            fail(request, "the key's load", status, &err);
        }
    }
}

/* A server has its sockets in here, too. */
static void run(struct loop *loop) {
    while (loop->pending > 0) {
        struct epoll_event event;
        if (epoll_wait(loop->epoll, &event, 1, -1) == 1) {
            serve_queue(loop);
        }
    }
}

static void begin_requests(struct loop *loop, struct ael_bytes lines) {
    while (lines.len > 0 && loop->exit == CLI_EXIT_OK) {
        const uint8_t *newline = memchr(lines.data, '\n', lines.len);
        size_t len = newline != NULL ? (size_t)(newline - lines.data) : lines.len;
        const uint8_t *space = memchr(lines.data, ' ', len);
        if (space == NULL) {
            loop->exit = cli_usage_error("a line is \"tenant text\"");
            return;
        }
        size_t tenant_len = (size_t)(space - lines.data);
        size_t before = loop->pending;
        begin_request(
            loop, (struct ael_bytes){lines.data, tenant_len}, (struct ael_bytes){space + 1, len - tenant_len - 1});
        loop->at_once += loop->pending == before;
        size_t whole = newline != NULL ? len + 1 : len;
        lines = (struct ael_bytes){lines.data + whole, lines.len - whole};
    }
}

static bool watch_queue(struct loop *loop) {
    struct epoll_event event = {.events = EPOLLIN};
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll >= 0 && ael_wait_queue_new(&loop->queue) == AEL_OK &&
           epoll_ctl(loop->epoll, EPOLL_CTL_ADD, ael_wait_queue_fd(loop->queue), &event) == 0;
}

static int encrypt_lines(struct ael_session_factory *factory, struct ael_bytes lines) {
    struct loop loop = {.factory = factory, .epoll = -1};
    if (!watch_queue(&loop)) {
        loop.exit = cli_fail("a queue", AEL_E_SYSTEM, NULL);
    } else {
        begin_requests(&loop, lines);
        size_t aside = loop.pending;
        run(&loop);
        fprintf(stderr, "event_loop: %zu lines at once, %zu set aside\n", loop.at_once, aside);
    }
    ael_wait_queue_free(loop.queue);
    if (loop.epoll >= 0) {
        (void)close(loop.epoll);
    }
    return loop.exit;
}

/* -- around it -- */

static int with_factory(const char *metastore, const char *kms, struct ael_bytes lines) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    struct ael_error err = {0};
    options.service = "service";
    options.product = "product";
    enum ael_status status = cli_open_metastore(metastore, &options.metastore, &err);
    if (status == AEL_OK) {
        status = cli_open_kms(kms, &options.kms, &err);
    }
    if (status == AEL_OK) {
        status = ael_session_factory_new(&options, &factory, &err);
    }
    int code = status == AEL_OK ? encrypt_lines(factory, lines) : cli_fail("set-up", status, &err);
    ael_session_factory_free(factory);
    ael_kms_release(options.kms);
    ael_metastore_release(options.metastore);
    return code;
}

int main(int argc, char **argv) {
    static const struct option k_options[] = {
        {"metastore", required_argument, NULL, 'm'},
        {"kms", required_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *names[2] = {NULL, NULL};
    cli_set_program("event_loop");
    for (int option; (option = getopt_long(argc, argv, "", k_options, NULL)) != -1;) {
        if (option == 'h') {
            return fputs(k_usage, stdout) == EOF ? CLI_EXIT_IO : CLI_EXIT_OK;
        }
        if (option != 'm' && option != 'k') {
            return cli_usage_error("an option is unknown or lacks its value");
        }
        names[option == 'k'] = optarg;
    }
    if (names[0] == NULL || names[1] == NULL || optind != argc) {
        return cli_usage_error("--metastore and --kms are required, and nothing else");
    }
    struct ael_buf lines = AEL_BUF_INIT;
    lines.max = INPUT_MAX_BYTES;
    int code = cli_read_all(STDIN_FILENO, &lines);
    code = code == CLI_EXIT_OK ? with_factory(names[0], names[1], ael_buf_view(&lines)) : code;
    ael_buf_clear(&lines);
    return code;
}
