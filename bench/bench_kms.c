/*
 * bench_kms - what a call of a KMS takes beside libcurl alone: the same request to the same server, over TLS, on connections
 * that stay open.
 *
 *     bench_kms [--json] [--quick] [--case PREFIX]
 *
 * kms/<service>/<call> is at the server of the tests, whose own work is most of the time. kms/<service>/<call>/wire is at one
 * that says again what that server said (bench/replay.h): what the client takes, and the wire.
 * The floor's answer is in libcurl's memory and is not looked at; ours is taken into protected memory, and used.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/bare_kms.h"
#include "bench/bench.h"
#include "bench/replay.h"

#include <ael/sys/kms_backend.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One call of a KMS, at the server or at what replays it. */
struct subject {
    struct ael_kms *kms;
    struct ael_secret *key;
    struct ael_buf sealed; /* to be decrypted; empty = the call is an encrypt */
    struct bare_curl bare;
    struct ael_buf answer; /* of the server */
    struct replay replay;
    char ca_file[96];
};

enum { SUBJECTS = 8 };

static struct subject s_subjects[SUBJECTS];
static size_t s_count;
static char s_folder[] = "/tmp/ael-bench-kms-XXXXXX";

/* ---- ours ---- */

static enum ael_status encrypt_once(struct subject *self, struct ael_buf *sealed) {
    *sealed = (struct ael_buf)AEL_BUF_INIT;
    return ael_kms_encrypt_key(self->kms, NULL, self->key, sealed, NULL);
}

static enum ael_status run_encrypt(void *context, unsigned thread, uint64_t operations) {
    enum ael_status status = AEL_OK;
    (void)thread;
    for (uint64_t i = 0; i < operations && status == AEL_OK; i++) {
        struct ael_buf sealed;
        status = encrypt_once(context, &sealed);
        ael_buf_clear(&sealed);
    }
    return status;
}

static enum ael_status run_decrypt(void *context, unsigned thread, uint64_t operations) {
    struct subject *self = context;
    enum ael_status status = AEL_OK;
    (void)thread;
    for (uint64_t i = 0; i < operations && status == AEL_OK; i++) {
        struct ael_secret *key = NULL;
        status = ael_kms_decrypt_key(self->kms, NULL, ael_buf_view(&self->sealed), &key, NULL);
        ael_secret_release(key);
    }
    return status;
}

/* ---- both, at the server and at its replay ---- */

static void add(struct bench *bench, struct subject *subject, const char *name) {
    char floor_name[BENCH_NAME_BYTES + 16];
    bool decrypts = subject->sealed.len > 0;
    (void)snprintf(floor_name, sizeof floor_name, "%s/libcurl", name);
    int floor =
        bench_add_floor(bench, floor_name, "", 1, (struct bench_work){bare_curl_run, NULL, &subject->bare});
    (void)bench_add(
        bench, name, "", 1, (struct bench_work){decrypts ? run_decrypt : run_encrypt, NULL, subject}, floor,
        -1);
}

static struct subject *new_subject(bool decrypts, const struct subject *as) {
    struct subject *made = &s_subjects[s_count++];
    made->answer = (struct ael_buf)AEL_BUF_INIT;
    made->sealed = (struct ael_buf)AEL_BUF_INIT;
    if (ael_secret_new_random(32, &made->key) != AEL_OK) {
        return NULL;
    }
    bool good = !decrypts || as == NULL || ael_buf_append(&made->sealed, ael_buf_view(&as->sealed)) == AEL_OK;
    return good ? made : NULL;
}

/* At the server. */
static struct subject *open_real(const struct bare_kms *service, const char *ca_file, bool decrypts) {
    struct subject *made = new_subject(decrypts, NULL);
    struct bare_curl_request request;
    if (made == NULL || service->make(NULL, ca_file, &made->kms) != AEL_OK ||
        (decrypts && encrypt_once(made, &made->sealed) != AEL_OK) ||
        !service->request(ael_buf_view(&made->sealed), &request)) {
        return NULL;
    }
    request.ca_file = ca_file;
    bool good = bare_curl_open(&made->bare, &request) && bare_curl_keep(&made->bare, &made->answer);
    return good ? made : NULL;
}

/* The same request, whatever server the URL named. */
static bool open_bare_at(struct subject *made, const struct bare_kms *service) {
    struct bare_curl_request request;
    char url[256];
    if (!service->request(ael_buf_view(&made->sealed), &request)) {
        return false;
    }
    (void)snprintf(
        url, sizeof url, "%s%s", made->replay.url,
        request.url + strcspn(request.url, ":") + 3 + strcspn(strstr(request.url, "://") + 3, "/"));
    request.url = url;
    request.ca_file = made->ca_file;
    return bare_curl_open(&made->bare, &request);
}

/* At a server that says again what the real one said. */
static struct subject *open_replay(const struct bare_kms *service, const struct subject *real) {
    struct subject *made = new_subject(real->sealed.len > 0, real);
    if (made == NULL) {
        return NULL;
    }
    (void)snprintf(made->ca_file, sizeof made->ca_file, "%s/%zu.pem", s_folder, s_count);
    bool good = replay_start(&made->replay, ael_buf_view(&real->answer), made->ca_file) &&
                service->make(made->replay.url, made->ca_file, &made->kms) == AEL_OK &&
                open_bare_at(made, service);
    return good ? made : NULL;
}

/* ---- all ---- */

static bool
add_call(struct bench *bench, const struct bare_kms *service, const char *ca_file, bool decrypts) {
    char name[BENCH_NAME_BYTES];
    char wire[BENCH_NAME_BYTES];
    (void)snprintf(name, sizeof name, "kms/%s/%s", service->name, decrypts ? "decrypt" : "encrypt");
    (void)snprintf(wire, sizeof wire, "kms/%s/%s/wire", service->name, decrypts ? "decrypt" : "encrypt");
    if (!bench_wants(bench, name) && !bench_wants(bench, wire)) {
        return true;
    }
    struct subject *real = open_real(service, ca_file, decrypts);
    struct subject *replayed = real == NULL ? NULL : open_replay(service, real);
    if (replayed == NULL) {
        return false;
    }
    if (bench_wants(bench, name)) {
        add(bench, real, name);
    }
    if (bench_wants(bench, wire)) {
        add(bench, replayed, wire);
    }
    return true;
}

/* Whether a case of a service is asked for: its server takes a while to start. */
static bool wants_service(const struct bench *bench, const char *service) {
    char begin[BENCH_NAME_BYTES];
    (void)snprintf(begin, sizeof begin, "kms/%s/", service);
    size_t len = strlen(bench->prefix) < strlen(begin) ? strlen(bench->prefix) : strlen(begin);
    return strncmp(bench->prefix, begin, len) == 0;
}

static bool add_service(struct bench *bench, const struct bare_kms *service) {
    if (!wants_service(bench, service->name)) {
        return true;
    }
    const char *ca_file = service->start();
    return ca_file != NULL && add_call(bench, service, ca_file, true) &&
           add_call(bench, service, ca_file, false);
}

static void clear_all(void) {
    for (size_t i = 0; i < s_count; i++) {
        struct subject *one = &s_subjects[i];
        bare_curl_close(&one->bare);
        ael_kms_release(one->kms);
        ael_secret_release(one->key);
        ael_buf_clear(&one->sealed); /* the answer is still a server's */
        if (one->ca_file[0] != '\0') {
            (void)unlink(one->ca_file);
        }
    }
    (void)rmdir(s_folder);
}

int main(int argc, char **argv) {
    static const struct bare_kms *const k_services[] = {&g_bare_kms_aws, &g_bare_kms_vault};
    static struct bench bench;
    int result = bench_init(&bench, argc, argv);
    if (result != 0 || bench.help) {
        return result;
    }
    bench.processor_time = true;
    bool good = mkdtemp(s_folder) != NULL;
    for (size_t i = 0; i < sizeof k_services / sizeof k_services[0] && good; i++) {
        good = add_service(&bench, k_services[i]);
        result = good ? 0 : bench_fail(k_services[i]->name, AEL_E_BACKEND);
    }
    result = good ? bench_run(&bench) : 1;
    clear_all();
    return result;
}
