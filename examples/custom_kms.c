/*
 * custom_kms.c - a KMS of your own, complete: a key server of the house, reached by a callback.
 *
 *     custom_kms                 encrypts and decrypts once with it
 *     custom_kms --contract      puts it through the suite that every KMS must pass
 *
 * The server keeps the master key and does the cryptography; the KMS carries keys to it and back. Here both are in one
 * process, and key_server() stands for the server: put your RPC in its place. What the KMS must see to, and the comments
 * point at:
 *
 *   - a key is read in a scope, and every copy of it is wiped on every path out: also those of your RPC library, whose
 *     buffers the library cannot know;
 *   - a refusal (wrong key, no permission, damaged) is AEL_E_KMS, no answer is AEL_E_UNREACHABLE, and they are not mixed
 *     up: a service goes on trying after the second, and an operator is called after the first;
 *   - what comes back is proved to be the key that was asked for: here by AES-GCM on the server's side. A server that may
 *     give another key's plaintext needs a check of the KMS's own;
 *   - the deadline of the call is the server's too, and a call that is over is not begun;
 *   - an encrypted key says by its first bytes whose it is (form), so that a chain of two KMS asks the right one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/contract/kms_contract.h"

#include <ael/ael.h>
#include <ael/sys/alloc.h>
#include <ael/sys/kms_backend.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPONENT "kms/house"

enum { KEY_BYTES = 32, NONCE_BYTES = 12, TAG_BYTES = 16, MARK_BYTES = 7 };
enum { SEALED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES, ENCRYPTED_BYTES = MARK_BYTES + SEALED_BYTES };

static const char k_mark[] = "house1:"; /* and its version, for the day when the form changes */

/* ---- the key server; yours is elsewhere ---- */

enum answer { ANSWERED, REFUSED, SILENT };

/* seal: in is a key, out a sealed one; else the reverse. May block for timeout_ms. */
typedef enum answer (*house_call_fn)(
    void *context, bool seal, const uint8_t *in, uint8_t *out, uint32_t timeout_ms);

struct server {
    uint8_t master[KEY_BYTES]; /* a server's; a service never has it */
    bool down;
};

static bool seal(EVP_CIPHER_CTX *gcm, const uint8_t *master, const uint8_t *key, uint8_t *sealed) {
    int len = 0;
    uint8_t *body = sealed + NONCE_BYTES;
    return RAND_bytes(sealed, NONCE_BYTES) == 1 &&
           EVP_EncryptInit_ex(gcm, EVP_aes_256_gcm(), NULL, master, sealed) == 1 &&
           EVP_EncryptUpdate(gcm, body, &len, key, KEY_BYTES) == 1 &&
           EVP_EncryptFinal_ex(gcm, body + len, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + KEY_BYTES) == 1;
}

static bool unseal(EVP_CIPHER_CTX *gcm, const uint8_t *master, const uint8_t *sealed, uint8_t *key) {
    int len = 0;
    uint8_t tag[TAG_BYTES];
    const uint8_t *body = sealed + NONCE_BYTES;
    memcpy(tag, body + KEY_BYTES, sizeof tag);
    return EVP_DecryptInit_ex(gcm, EVP_aes_256_gcm(), NULL, master, sealed) == 1 &&
           EVP_DecryptUpdate(gcm, key, &len, body, KEY_BYTES) == 1 &&
           EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(gcm, key + len, &len) == 1;
}

static enum answer
key_server(void *context, bool sealing, const uint8_t *in, uint8_t *out, uint32_t timeout_ms) {
    const struct server *server = context;
    if (server->down || timeout_ms == 0) {
        return SILENT;
    }
    EVP_CIPHER_CTX *gcm = EVP_CIPHER_CTX_new();
    bool done =
        gcm != NULL && (sealing ? seal(gcm, server->master, in, out) : unseal(gcm, server->master, in, out));
    EVP_CIPHER_CTX_free(gcm);
    return done ? ANSWERED : REFUSED;
}

/* ---- the KMS ---- */

struct house {
    house_call_fn call;
    void *context;
};

/* Asks the server, and says in the library's words what came of it. */
static enum ael_status
ask(const struct house *house,
    const struct ael_call *call,
    bool sealing,
    const uint8_t *in,
    uint8_t *out,
    struct ael_error *err) {
    switch (house->call(house->context, sealing, in, out, ael_call_remaining_ms(call))) {
    case ANSWERED:
        return AEL_OK;
    case REFUSED:
        return ael_error_set(
            err, AEL_E_KMS, 0, COMPONENT,
            "the key server refused the key: it is damaged, or of another master key");
    case SILENT:
    default:
        return ael_error_set(
            err, AEL_E_UNREACHABLE, 0, COMPONENT, "the key server does not answer; is it up?");
    }
}

static enum ael_status over(struct ael_error *err, enum ael_status status) {
    return ael_error_set(err, status, 0, COMPONENT, "the call was over before the key server was asked");
}

static enum ael_status house_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct ael_secret_access access;
    uint8_t encrypted[ENCRYPTED_BYTES];
    memcpy(encrypted, k_mark, MARK_BYTES);
    enum ael_status status = ael_call_check(call);
    if (status != AEL_OK) {
        return over(err, status);
    }
    status = ael_secret_access_begin(key, &access);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, COMPONENT, "the key cannot be read");
    }
    status = ask(self, call, true, access.bytes.data, encrypted + MARK_BYTES, err);
    enum ael_status ended = ael_secret_access_end(&access);
    if (status == AEL_OK && ended != AEL_OK) {
        return ael_error_set(err, ended, 0, COMPONENT, "the key could not be shut again");
    }
    return status == AEL_OK ? ael_buf_append(out, (struct ael_bytes){encrypted, sizeof encrypted}) : status;
}

static enum ael_kms_form house_form(void *self, struct ael_bytes encrypted) {
    (void)self;
    bool own = encrypted.len == ENCRYPTED_BYTES && memcmp(encrypted.data, k_mark, MARK_BYTES) == 0;
    return own ? AEL_KMS_FORM_OWN : AEL_KMS_FORM_FOREIGN;
}

static enum ael_status house_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    uint8_t bytes[KEY_BYTES];
    enum ael_status status = ael_call_check(call);
    if (status != AEL_OK) {
        return over(err, status);
    }
    if (house_form(self, encrypted) != AEL_KMS_FORM_OWN) {
        return ael_error_set(
            err, AEL_E_KMS, 0, COMPONENT, "this is no key of the house's server; was another KMS in use?");
    }
    status = ask(self, call, false, encrypted.data + MARK_BYTES, bytes, err);
    if (status == AEL_OK) {
        status = ael_secret_new(bytes, sizeof bytes, key); /* wipes bytes, also when it fails */
    }
    explicit_bzero(bytes, sizeof bytes); /* what a refusal left */
    return status;
}

static void house_destroy(void *self) {
    ael_sys_free(self);
}

/* health is left out: the library then sends a random key there and back. */
static const struct ael_kms_vtable k_house = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "house",
    .encrypt_key = house_encrypt_key,
    .decrypt_key = house_decrypt_key,
    .destroy = house_destroy,
    .form = house_form,
};

/* The constructor that you would give to your users. */
static enum ael_status house_new(house_call_fn call, void *context, struct ael_kms **kms) {
    struct house *house = ael_sys_alloc(sizeof *house);
    if (house == NULL) {
        return AEL_E_NO_MEMORY;
    }
    *house = (struct house){call, context};
    enum ael_status status = ael_kms_new(&k_house, house, kms);
    if (status != AEL_OK) {
        ael_sys_free(house);
    }
    return status;
}

/* ---- using it ---- */

static enum ael_status round_trip(struct ael_session *session, struct ael_error *err) {
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    enum ael_status status =
        ael_session_encrypt_json(session, ael_bytes_from_text("attack at dawn"), &json, NULL, err);
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

static enum ael_status use(struct ael_kms *kms, struct ael_error *err) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    struct ael_session *session = NULL;
    enum ael_status status = ael_metastore_memory_new(&options.metastore);
    if (status != AEL_OK) {
        goto done;
    }
    options.service = "service";
    options.product = "product";
    options.kms = kms;
    status = ael_session_factory_new(&options, &factory, err);
    if (status != AEL_OK) {
        goto done;
    }
    status = ael_session_acquire(factory, "tenant-42", &session, err);
    if (status == AEL_OK) {
        status = round_trip(session, err);
    }

done:
    ael_session_release(session);
    ael_session_factory_free(factory);
    ael_metastore_release(options.metastore);
    return status;
}

/* With the server up, and then down: the refusal must be the one that a retry may help. */
static int run_once(struct server *server, struct ael_kms *kms) {
    struct ael_error err = {0};
    enum ael_status status = use(kms, &err);
    if (status != AEL_OK) {
        (void)fprintf(stderr, "%s: %s\n", ael_status_text(status), err.detail);
        return EXIT_FAILURE;
    }
    server->down = true;
    status = ael_kms_health(kms, NULL, &err);
    (void)printf("with the server down: %s (%s)\n", ael_status_name(status), err.detail);
    return status == AEL_E_UNREACHABLE ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- proving it ---- */

static int run_contract(struct ael_kms *kms, struct ael_kms *stranger) {
    struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
    options.kms = kms;
    options.stranger = stranger;
    int failures = ael_kms_contract_run(&options);
    (void)printf("\n%d checks failed\n", failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    static struct server server;
    static struct server other;
    struct ael_kms *kms = NULL;
    struct ael_kms *stranger = NULL;
    bool contract = argc == 2 && strcmp(argv[1], "--contract") == 0;
    int result = EXIT_FAILURE;
    if (argc > 2 || (argc == 2 && !contract)) {
        (void)fprintf(stderr, "usage: %s [--contract]\n", argv[0]);
        return EXIT_FAILURE;
    }
    if (RAND_bytes(server.master, KEY_BYTES) == 1 && RAND_bytes(other.master, KEY_BYTES) == 1 &&
        house_new(key_server, &server, &kms) == AEL_OK &&
        house_new(key_server, &other, &stranger) == AEL_OK) {
        result = contract ? run_contract(kms, stranger) : run_once(&server, kms);
    }
    ael_kms_release(kms);
    ael_kms_release(stranger);
    explicit_bzero(server.master, sizeof server.master);
    explicit_bzero(other.master, sizeof other.master);
    return result;
}
