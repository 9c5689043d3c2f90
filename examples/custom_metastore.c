/*
 * custom_metastore.c - a key store of your own, complete: an append-only text file.
 *
 *     custom_metastore                 encrypts and decrypts once over it
 *     custom_metastore --contract      puts it through the suite that every metastore must pass
 *
 * A line is a row: the id in hexadecimal, a blank, created, a blank, the key record as JSON. A later line for
 * the same id and created replaces the earlier one. A last line without its end is what a crash left of a
 * write that nobody was told of: readers pass over it and the next writer cuts it off. Writers take an
 * exclusive lock on the file, readers a shared one, so that several threads and processes may use it.
 * Look-ups read the whole file: fine for thousands of keys, which is what a service has; do not copy that for
 * millions.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/metastore_contract.h"

#include <ael/ael.h>
#include <ael/sys/alloc.h>
#include <ael/sys/metastore_backend.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COMPONENT "metastore/lines"

struct line_store {
    char path[128];
};

/* One call's view of the file: each call opens it anew, because locks of flock(2) belong to the open file. */
struct view {
    FILE *file;
    char *line; /* of getline */
    size_t line_size;
    long good_end; /* behind the last whole line */
};

/* A line taken apart; the views point into it. */
struct row {
    char *id_hex;
    int64_t created_s;
    char *json;
};

/* ---- the file ---- */

static enum ael_status failed(struct ael_error *err, const char *what) {
    enum ael_status status = errno == ENOENT || errno == EIO ? AEL_E_UNREACHABLE : AEL_E_BACKEND;
    return ael_error_set(err, status, errno, COMPONENT, "%s: %s", what, strerror(errno));
}

/* A lock cannot be waited for with a deadline: ask, and look at the call in between. */
static enum ael_status lock_file(FILE *file, int kind, const struct ael_call *call, struct ael_error *err) {
    const struct timespec nap = {0, 1000000};
    while (flock(fileno(file), kind | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return failed(err, "flock");
        }
        enum ael_status status = ael_call_check(call);
        if (status != AEL_OK) {
            return ael_error_set(err, status, 0, COMPONENT, "the file stayed locked until the call was over");
        }
        (void)nanosleep(&nap, NULL);
    }
    return AEL_OK;
}

static void view_close(struct view *view) {
    if (view->file != NULL) {
        (void)fclose(view->file); /* and with it goes the lock */
    }
    free(view->line);
    *view = (struct view){0};
}

static enum ael_status view_open(
    struct view *view,
    const struct line_store *store,
    int kind,
    const struct ael_call *call,
    struct ael_error *err) {
    *view = (struct view){.file = fopen(store->path, kind == LOCK_EX ? "r+e" : "re")};
    if (view->file == NULL) {
        return failed(err, "open");
    }
    enum ael_status status = lock_file(view->file, kind, call, err);
    if (status != AEL_OK) {
        view_close(view);
    }
    return status;
}

/* Gives the next whole line; false at the end. A line that is no row has no id. */
static bool next_row(struct view *view, struct row *row) {
    ssize_t len = getline(&view->line, &view->line_size, view->file);
    if (len <= 0 || view->line[len - 1] != '\n') {
        return false;
    }
    view->good_end += len;
    view->line[len - 1] = '\0';
    *row = (struct row){.id_hex = view->line};
    char *created = strchr(view->line, ' ');
    row->json = created == NULL ? NULL : strchr(created + 1, ' ');
    if (row->json == NULL) {
        row->id_hex = NULL;
        return true;
    }
    *created = '\0';
    *row->json++ = '\0';
    row->created_s = strtoll(created + 1, NULL, 10);
    return true;
}

static bool is_id(const struct row *row, struct ael_bytes id) {
    static const char k_digits[] = "0123456789abcdef";
    if (row->id_hex == NULL || strlen(row->id_hex) != 2 * id.len) {
        return false;
    }
    for (size_t i = 0; i < id.len; i++) {
        if (row->id_hex[2 * i] != k_digits[id.data[i] >> 4] ||
            row->id_hex[2 * i + 1] != k_digits[id.data[i] & 15]) {
            return false;
        }
    }
    return true;
}

/* ---- reading ---- */

/*

 * A row that does not read as a key record has a status of its own; only a lack of memory is something else.

 */
static enum ael_status parse(const char *json, struct ael_key_record_buf *out, struct ael_error *err) {
    enum ael_status status = ael_key_record_from_json(ael_bytes_from_text(json), out, NULL);
    if (status == AEL_OK || status == AEL_E_NO_MEMORY) {
        return status;
    }
    return ael_error_set(err, AEL_E_BACKEND_DATA, 0, COMPONENT, "a line is not a key record");
}

/*

 * Reads the whole file for the last line of (id, created_s), or of the greatest created when created_s is 0.

 */
static enum ael_status find(
    struct view *view,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    enum ael_status status = AEL_E_KEY_NOT_FOUND;
    int64_t best = 0;
    struct row row;
    while (next_row(view, &row)) {
        enum ael_status over = ael_call_check(call);
        if (over != AEL_OK) {
            return ael_error_set(err, over, 0, COMPONENT, "the call was over before the file's end");
        }
        if (is_id(&row, id) && (created_s != 0 ? row.created_s == created_s : row.created_s >= best)) {
            best = row.created_s;
            status = parse(row.json, out, err);
        }
    }
    if (ferror(view->file)) {
        return failed(err, "read");
    }
    return status == AEL_E_KEY_NOT_FOUND ? ael_error_set(err, status, 0, COMPONENT, "no such line") : status;
}

static enum ael_status lines_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct view view;
    enum ael_status status = view_open(&view, self, LOCK_SH, call, err);
    if (status == AEL_OK) {
        status = find(&view, call, id, created_s, out, err);
        view_close(&view);
    }
    return status;
}

static enum ael_status lines_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    return lines_load(self, call, id, 0, out, err); /* the library never asks for created 0 */
}

/* ---- writing ---- */

static enum ael_status append_text(struct ael_buf *buf, const char *text) {
    return ael_buf_append(buf, ael_bytes_from_text(text));
}

static enum ael_status
make_line(struct ael_bytes id, const struct ael_key_record *record, struct ael_buf *line) {
    char piece[32];
    enum ael_status status = AEL_OK;
    for (size_t i = 0; i < id.len && status == AEL_OK; i++) {
        (void)snprintf(piece, sizeof piece, "%02x", id.data[i]);
        status = append_text(line, piece);
    }
    if (status == AEL_OK) {
        (void)snprintf(piece, sizeof piece, " %" PRId64 " ", record->created_s);
        status = append_text(line, piece);
    }
    if (status == AEL_OK) {
        status = ael_key_record_to_json(record, line);
    }
    return status == AEL_OK ? append_text(line, "\n") : status;
}

/*

 * Once the bytes may be on their way nobody knows what a failure left: the library then reads the row back.

 */
static enum ael_status append_line(struct view *view, const struct ael_buf *line, struct ael_error *err) {
    int fd = fileno(view->file);
    if (ftruncate(fd, view->good_end) != 0) {
        return failed(err, "ftruncate");
    }
    ssize_t written = pwrite(fd, line->data, line->len, view->good_end);
    if (written != (ssize_t)line->len || fsync(fd) != 0) {
        return ael_error_set(err, AEL_E_OUTCOME_UNKNOWN, errno, COMPONENT, "the line may not be on the disk");
    }
    return AEL_OK;
}

static enum ael_status write_record(
    struct view *view, struct ael_bytes id, const struct ael_key_record *record, struct ael_error *err) {
    struct ael_buf line = AEL_BUF_INIT;
    enum ael_status status = make_line(id, record, &line);
    if (status == AEL_OK) {
        status = append_line(view, &line, err);
    }
    ael_buf_clear(&line);
    return status;
}

static enum ael_status lines_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct view view;
    struct ael_key_record_buf present = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = view_open(&view, self, LOCK_EX, call, err);
    if (status != AEL_OK) {
        return status;
    }
    status = find(&view, call, id, record->created_s, &present, err);
    if (status == AEL_E_KEY_NOT_FOUND) {
        status = write_record(&view, id, record, err);
        *stored = status == AEL_OK;
    }
    ael_key_record_buf_clear(&present);
    view_close(&view);
    return status;
}

static enum ael_status lines_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    struct view view;
    struct ael_key_record_buf present = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = view_open(&view, self, LOCK_EX, call, err);
    if (status != AEL_OK) {
        return status;
    }
    status = find(&view, call, id, expected->created_s, &present, err);
    if (status == AEL_OK && ael_key_record_equal(&present.record, expected)) {
        status = write_record(&view, id, desired, err);
        *replaced = status == AEL_OK;
    }
    ael_key_record_buf_clear(&present);
    view_close(&view);
    return status;
}

/* ---- the table ---- */

static void lines_destroy(void *self) {
    ael_sys_free(self);
}

/* list, health and the others are left out: the library does without them, or says AEL_E_UNSUPPORTED. */
static const struct ael_metastore_vtable k_lines = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "lines",
    .load = lines_load,
    .load_latest = lines_load_latest,
    .store = lines_store,
    .destroy = lines_destroy,
    .replace = lines_replace,
};

/* The constructor that you would give to your users. */
static enum ael_status lines_new(const char *path, struct ael_metastore **metastore) {
    struct line_store *store = ael_sys_alloc(sizeof *store);
    if (store == NULL) {
        return AEL_E_NO_MEMORY;
    }
    int written = snprintf(store->path, sizeof store->path, "%s", path);
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    enum ael_status status = AEL_E_BACKEND;
    if (fd >= 0 && written < (int)sizeof store->path) {
        status = ael_metastore_new(&k_lines, store, metastore);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (status != AEL_OK) {
        ael_sys_free(store);
    }
    return status;
}

/* ---- using it ---- */

static enum ael_status round_trip(struct ael_session *session, struct ael_error *err) {
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_bytes secret = ael_bytes_from_text("attack at dawn");
    enum ael_status status = ael_session_encrypt_json(session, secret, &json, NULL, err);
    if (status == AEL_OK) {
        (void)printf("%.*s\n", (int)json.len, (const char *)json.data);
        status = ael_session_decrypt_json(session, ael_buf_view(&json), &plain, NULL, err);
    }
    if (status == AEL_OK) {
        (void)printf("%.*s\n", (int)plain.len, (const char *)plain.data);
    }
    ael_buf_clear(&plain);
    ael_buf_clear(&json);
    return status;
}

static enum ael_status use(struct ael_metastore *metastore, struct ael_error *err) {
    uint8_t master_key[32] = {'f', 'o', 'r', ' ', 't', 'h', 'i', 's', ' ', 'e', 'x', 'a', 'm', 'p', 'l', 'e'};
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    struct ael_session *session = NULL;
    struct ael_kms *kms = NULL;

    enum ael_status status = ael_kms_static_from_bytes(master_key, sizeof master_key, &kms, err);
    if (status != AEL_OK) {
        goto done;
    }
    options.service = "service";
    options.product = "product";
    options.metastore = metastore;
    options.kms = kms;
    status = ael_session_factory_new(&options, &factory, err);
    if (status != AEL_OK) {
        goto done;
    }
    status = ael_session_acquire(factory, "tenant-42", &session, err);
    if (status != AEL_OK) {
        goto done;
    }
    status = round_trip(session, err);

done:
    ael_session_release(session);
    ael_session_factory_free(factory);
    ael_kms_release(kms);
    return status;
}

static int run_once(const char *path) {
    struct ael_error err = {0};
    struct ael_metastore *metastore = NULL;
    enum ael_status status = lines_new(path, &metastore);
    if (status == AEL_OK) {
        status = use(metastore, &err);
    }
    if (status != AEL_OK) {
        (void)fprintf(stderr, "%s: %s\n", ael_status_text(status), err.detail);
    }
    ael_metastore_release(metastore);
    return status == AEL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- proving it ---- */

static enum ael_status open_again(void *context, struct ael_metastore **metastore) {
    return lines_new(context, metastore);
}

static enum ael_status open_empty(void *context, struct ael_metastore **metastore) {
    (void)unlink(context);
    return open_again(context, metastore);
}

static int run_contract(char *path) {
    struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
    options.open_empty = open_empty;
    options.open_second = open_again;
    options.flags = AEL_METASTORE_CONTRACT_NO_LIST | AEL_METASTORE_CONTRACT_NO_ENSURE_SCHEMA;
    options.context = path;
    int failures = ael_metastore_contract_run(&options);
    (void)printf("%d checks failed\n", failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    bool contract = argc == 2 && strcmp(argv[1], "--contract") == 0;
    char folder[] = "/tmp/ael-lines-XXXXXX";
    char path[64];
    if (argc > 2 || (argc == 2 && !contract) || mkdtemp(folder) == NULL) {
        (void)fprintf(stderr, "usage: %s [--contract]\n", argv[0]);
        return EXIT_FAILURE;
    }
    (void)snprintf(path, sizeof path, "%s/keys", folder);
    int result = contract ? run_contract(path) : run_once(path);
    (void)unlink(path);
    (void)rmdir(folder);
    return result;
}
