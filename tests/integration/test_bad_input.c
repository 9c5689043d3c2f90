/*
 * test_bad_input.c - what callers, records, metastores and key files must not be. Each gives its own status
 * and a sentence, changes nothing, leaves outputs empty and wiped, and shows no key, no payload and, by
 * default, no id.
 *
 * Leaks are seen by the sanitizers and valgrind; secrets left over are counted by each test.
 *
 * Needs: libael, libael-sqlite, SQLite, CUnit.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_sqlite.h>
#include <ael/sys/alloc.h>
#include <ael/sys/metastore_backend.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/suite.h"

enum {
    MAX_PAYLOAD = 4096,
    PLAIN_LEN = 27, /* with the overhead one byte more than a multiple of 3: its base64 ends in "==" */
    MASTER_LEN = 32,
    TEXT_MAX = 4096,
    ROOM = 256,
    FILL = 0xa5,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BYTES(literal)                                                                                       \
    { (const uint8_t *)(literal), sizeof(literal) - 1 }

static const char k_plain[] = "Payload-Must-Not-Show-Up-27";
static const char k_master[] = "Master-Key-Must-Not-Show-Up-32-B";
static const char k_earlier[] = "Earlier-Plaintext";
static const char k_partition[] = "Tenant-Quux";
static const char k_service[] = "Billing-Corge";
static const char k_product[] = "Ledger-Grault";

_Static_assert(sizeof(k_plain) - 1 == PLAIN_LEN, "the payload's length");
_Static_assert(sizeof(k_master) - 1 == MASTER_LEN, "the master key's length");

/* ---- what may be said ---- */

/* As raw bytes, as hexadecimal digits and as base64. */
static const char *const k_secrets[] = {
    "Payload-", "5061796c6f61642d", "5061796C6F61642D", "UGF5bG9hZC1N", "Earlier-",
    "Master-K", "4d61737465722d4b", "4D61737465722D4B", "TWFzdGVyLUtl",
};
static const char *const k_ids[] = {"Quux", "Corge", "Grault", "_IK_", "_SK_"};
static atomic_bool g_log_shows;

static bool shows_any(const char *text, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strstr(text, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void on_log(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)context, (void)level, (void)component;
    if (shows_any(message, k_secrets, COUNT(k_secrets))) {
        atomic_store(&g_log_shows, true);
    }
}

/* An error that nobody has written to. */
static struct ael_error unwritten(void) {
    struct ael_error err;
    memset(&err, 'Z', sizeof err);
    return err;
}

/* At least two words, ended inside the array, of printable characters. */
static bool is_sentence(const char *detail, size_t cap) {
    size_t len = strnlen(detail, cap);
    bool good = len >= 8 && len < cap && strchr(detail, ' ') != NULL;
    for (size_t i = 0; good && i < len; i++) {
        good = (unsigned char)detail[i] >= 0x20 && detail[i] != 0x7f;
    }
    return good;
}

static void expect(const char *what, const char *demand, bool met) {
    if (!met) {
        printf("\n  %s: %s ", what, demand);
    }
    CU_ASSERT_TRUE(met);
}

static void expect_status(const char *what, enum ael_status got, enum ael_status want) {
    if (got != want) {
        printf("\n  %s: %s instead of %s ", what, ael_status_name(got), ael_status_name(want));
    }
    CU_ASSERT_EQUAL(got, want);
}

static void expect_refused(
    const char *what,
    enum ael_status got,
    enum ael_status want,
    const struct ael_error *err,
    bool ids_may_show) {
    expect_status(what, got, want);
    if (got == AEL_OK) {
        return;
    }
    expect(what, "err repeats the status", err->status == got);
    bool sentence = is_sentence(err->detail, sizeof err->detail);
    expect(what, "the detail is a sentence", sentence);
    if (sentence) {
        expect(what, "no secret in the detail", !shows_any(err->detail, k_secrets, COUNT(k_secrets)));
        expect(what, "no id in the detail", ids_may_show || !shows_any(err->detail, k_ids, COUNT(k_ids)));
    }
}

/* ---- outputs ---- */

/* A fixed buffer that held another payload before, with bytes behind it that nobody may touch. */
struct guarded {
    uint8_t bytes[TEXT_MAX];
    size_t cap;
    struct ael_buf buf;
};

static void guarded_begin(struct guarded *out, size_t cap) {
    memset(out->bytes, FILL, sizeof out->bytes);
    out->cap = cap;
    ael_buf_init_fixed(&out->buf, out->bytes, cap);
    struct ael_bytes earlier = ael_bytes_from_text(k_earlier);
    earlier.len = earlier.len < cap ? earlier.len : cap;
    CU_ASSERT_EQUAL(ael_buf_append(&out->buf, earlier), AEL_OK);
}

static bool guarded_is_intact(const struct guarded *out) {
    size_t i = out->cap;
    while (i < sizeof out->bytes && out->bytes[i] == FILL) {
        i++;
    }
    return i == sizeof out->bytes;
}

/* Nothing in it, nor left of what was or would have been in it. */
static void expect_wiped(const char *what, const struct guarded *out) {
    bool wiped = true;
    for (size_t i = 0; i < out->cap; i++) {
        wiped = wiped && (out->bytes[i] == 0 || out->bytes[i] == FILL);
    }
    expect(what, "the output is empty", out->buf.len == 0);
    expect(what, "the output is wiped", wiped);
    expect(what, "nothing is written behind the output", guarded_is_intact(out));
}

static struct ael_bytes plain_bytes(void) {
    return ael_bytes_from_text(k_plain);
}

static bool is_plain(struct ael_bytes bytes) {
    return bytes.len == PLAIN_LEN && memcmp(bytes.data, k_plain, PLAIN_LEN) == 0;
}

/* ---- a world: edges, and a factory with and one without verbose errors ---- */

enum { TERSE, VERBOSE, MANNERS };

struct world {
    struct ael_metastore *metastore;
    struct ael_kms *kms;
    struct ael_session_factory *factories[MANNERS];
    struct ael_session *sessions[MANNERS];
    struct ael_buf json; /* a good record */
    uint64_t secrets;    /* in use before */
};

static uint64_t secrets_in_use(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats.secrets_in_use;
}

static struct ael_kms *static_kms(void) {
    uint8_t master[MASTER_LEN];
    struct ael_kms *kms = NULL;
    memcpy(master, k_master, sizeof master);
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(master, sizeof master, &kms, NULL), AEL_OK);
    return kms;
}

static struct ael_session_factory *
new_factory(struct world *world, const char *product, const char *suffix, bool verbose) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_policy policy = AEL_POLICY_INIT;
    struct ael_session_factory *factory = NULL;
    policy.max_payload = MAX_PAYLOAD;
    options.service = k_service;
    options.product = product;
    options.metastore = world->metastore;
    options.kms = world->kms;
    options.policy = &policy;
    options.region_suffix = suffix;
    options.verbose_errors = verbose;
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&options, &factory, NULL), AEL_OK);
    return factory;
}

static struct ael_session *new_session(struct ael_session_factory *factory, const char *partition) {
    struct ael_session *session = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_session_acquire(factory, partition, &session, NULL), AEL_OK);
    return session;
}

static void encrypt_json(struct ael_session *session, struct ael_buf *json) {
    CU_ASSERT_EQUAL_FATAL(ael_session_encrypt_json(session, plain_bytes(), json, NULL, NULL), AEL_OK);
}

/* Takes the caller's hold of the metastore over. */
static void world_begin_over(struct world *world, struct ael_metastore *metastore) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.log = on_log;
    hooks.log_level = AEL_LOG_DEBUG;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    *world = (struct world){.metastore = metastore, .json = AEL_BUF_INIT, .secrets = secrets_in_use()};
    world->kms = static_kms();
    for (int manner = 0; manner < MANNERS; manner++) {
        world->factories[manner] = new_factory(world, k_product, NULL, manner == VERBOSE);
        world->sessions[manner] = new_session(world->factories[manner], k_partition);
    }
    encrypt_json(world->sessions[TERSE], &world->json);
}

static void world_begin(struct world *world) {
    struct ael_metastore *metastore = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_metastore_memory_new(&metastore), AEL_OK);
    world_begin_over(world, metastore);
}

static void world_end(struct world *world) {
    for (int manner = 0; manner < MANNERS; manner++) {
        ael_session_release(world->sessions[manner]);
        ael_session_factory_free(world->factories[manner]);
    }
    ael_buf_clear(&world->json);
    ael_metastore_release(world->metastore);
    ael_kms_release(world->kms);
    CU_ASSERT_EQUAL(secrets_in_use(), world->secrets);
    CU_ASSERT_FALSE(atomic_load(&g_log_shows));
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static uint64_t edge_calls(struct ael_session_factory *factory) {
    struct ael_session_factory_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(ael_session_factory_stats(factory, &stats), AEL_OK);
    return stats.metastore_loads + stats.metastore_loads_latest + stats.metastore_stores +
           stats.kms_encrypts + stats.kms_decrypts;
}

/* What a status of a record looks like without verbose errors. */
static enum ael_status status_in_manner(enum ael_status status, int manner) {
    bool of_record =
        status == AEL_E_FORMAT || status == AEL_E_AUTHENTICATION || status == AEL_E_WRONG_PARTITION;
    return of_record && manner == TERSE ? AEL_E_RECORD : status;
}

/* ---- decrypting JSON ---- */

/* In an allocation of just its length, so that a sanitizer sees a read behind it. */
static struct ael_bytes exact_copy(struct ael_bytes bytes, uint8_t **memory) {
    *memory = ael_sys_alloc(bytes.len > 0 ? bytes.len : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(*memory);
    if (bytes.len > 0) {
        memcpy(*memory, bytes.data, bytes.len);
    }
    return (struct ael_bytes){*memory, bytes.len};
}

static void check_json_once(
    struct ael_session *session,
    const char *what,
    struct ael_bytes json,
    enum ael_status want,
    bool verbose) {
    struct guarded out;
    guarded_begin(&out, ROOM);
    struct ael_error err = unwritten();
    enum ael_status got = ael_session_decrypt_json(session, json, &out.buf, NULL, &err);
    expect_refused(what, got, want, &err, verbose);
    if (got == AEL_OK) {
        expect(what, "the payload comes back", is_plain(ael_buf_view(&out.buf)));
    } else {
        expect_wiped(what, &out);
    }
}

/* want: as with verbose errors. */
static void check_json(struct world *world, const char *what, struct ael_bytes json, enum ael_status want) {
    uint8_t *memory = NULL;
    struct ael_bytes copy = exact_copy(json, &memory);
    for (int manner = 0; manner < MANNERS; manner++) {
        check_json_once(
            world->sessions[manner], what, copy, status_in_manner(want, manner), manner == VERBOSE);
    }
    ael_sys_free(memory);
}

/* The texts of a good record, by letter: see expand. */
struct fields {
    char text[26][256];
};

/* Finds what stands between start and a quote, comma or brace. */
static const char *cut(const char *json, const char *start, char *out, size_t cap) {
    const char *from = strstr(json, start);
    CU_ASSERT_PTR_NOT_NULL_FATAL(from);
    from += strlen(start);
    size_t len = strcspn(from, "\",}");
    CU_ASSERT_TRUE_FATAL(len < cap);
    memcpy(out, from, len);
    out[len] = '\0';
    return from + len;
}

static char *field(struct fields *fields, char letter) {
    return fields->text[letter - 'A'];
}

static void cut_fields(const struct ael_buf *json, struct fields *fields) {
    char text[TEXT_MAX] = "";
    CU_ASSERT_TRUE_FATAL(json->len < sizeof text);
    memcpy(text, json->data, json->len);
    const char *at = cut(text, "\"Created\":", field(fields, 'C'), 256);
    at = cut(at, "\"Key\":\"", field(fields, 'K'), 256);
    at = cut(at, "\"KeyId\":\"", field(fields, 'P'), 256);
    at = cut(at, "\"Created\":", field(fields, 'Q'), 256);
    cut(at, "\"Data\":\"", field(fields, 'D'), 256);
}

/*
 * Writes a template out: %C Created, %K Key, %P KeyId, %Q its Created, %D Data; %I KeyId less its first byte;
 * of Data %U without padding, %X with unused bits that are not 0, %Y with the URL-safe alphabet, %F forged.
 */
static struct ael_bytes expand(struct ael_bytes template, struct fields *fields, char *out) {
    size_t len = 0;
    for (size_t i = 0; i < template.len; i++) {
        bool is_field = template.data[i] == '%' && i + 1 < template.len;
        const char *from =
            is_field ? field(fields, (char)template.data[++i]) : (const char *)template.data + i;
        size_t part = is_field ? strlen(from) : 1;
        CU_ASSERT_TRUE_FATAL(len + part < TEXT_MAX);
        memcpy(out + len, from, part);
        len += part;
    }
    return (struct ael_bytes){(const uint8_t *)out, len};
}

static void to_url_alphabet(char *text) {
    for (; *text != '\0'; text++) {
        *text = *text == '+' ? '-' : *text == '/' ? '_' : *text;
    }
}

static void derive_fields(struct fields *fields) {
    const char *data = field(fields, 'D');
    size_t len = strlen(data);
    CU_ASSERT_TRUE_FATAL(len > 8 && strcmp(data + len - 2, "==") == 0);
    memcpy(field(fields, 'I'), field(fields, 'P') + 1, strlen(field(fields, 'P')));
    for (const char *letter = "UXYF"; *letter != '\0'; letter++) {
        memcpy(field(fields, *letter), data, len + 1);
    }
    field(fields, 'U')[len - 2] = '\0';
    field(fields, 'X')[len - 3]++; /* one of A, Q, g and w */
    to_url_alphabet(field(fields, 'Y'));
    field(fields, 'F')[0] = data[0] == 'A' ? 'B' : 'A';
}

/* Until the data has a character that the URL-safe alphabet writes otherwise. */
static void make_fields(struct world *world, struct fields *fields) {
    memset(fields, 0, sizeof *fields);
    for (int i = 0; i < 1000; i++) {
        cut_fields(&world->json, fields);
        if (strpbrk(field(fields, 'D'), "+/") != NULL) {
            break;
        }
        encrypt_json(world->sessions[TERSE], &world->json);
    }
    derive_fields(fields);
}

struct json_case {
    const char *what;
    struct ael_bytes template;
    enum ael_status status;
};

/* Parts of the canonical form. */
#define PARENT                    "\"ParentKeyMeta\":{\"KeyId\":\"%P\",\"Created\":%Q}"
#define ENVELOPE                  "{\"Created\":%C,\"Key\":\"%K\"," PARENT "}"
#define DATA                      "\"Data\":\"%D\""
#define WITH_ENVELOPE(text)       BYTES("{\"Key\":" text "," DATA "}")
#define WITH_DATA(text)           BYTES("{\"Key\":" ENVELOPE ",\"Data\":" text "}")
#define WITH_KEY(text)            WITH_ENVELOPE("{\"Created\":%C,\"Key\":" text "," PARENT "}")
#define WITH_CREATED(text)        WITH_ENVELOPE("{\"Created\":" text ",\"Key\":\"%K\"," PARENT "}")
#define WITH_PARENT(text)         WITH_ENVELOPE("{\"Created\":%C,\"Key\":\"%K\",\"ParentKeyMeta\":" text "}")
#define WITH_ID(text)             WITH_PARENT("{\"KeyId\":" text ",\"Created\":%Q}")
#define WITH_PARENT_CREATED(text) WITH_PARENT("{\"KeyId\":\"%P\",\"Created\":" text "}")
#define WITH_MEMBER(text)         BYTES("{\"Key\":" ENVELOPE "," DATA "," text "}")
#define FOLLOWED_BY(text)         BYTES("{\"Key\":" ENVELOPE "," DATA "}" text)

static const struct json_case k_accepted[] = {
    {"canonical", FOLLOWED_BY(""), AEL_OK},
    {"re-ordered",
     BYTES("{" DATA
           ",\"Key\":{\"ParentKeyMeta\":{\"Created\":%Q,\"KeyId\":\"%P\"},\"Key\":\"%K\",\"Created\":%C}}"),
     AEL_OK},
    {"white space", BYTES(" {\n\t\"Key\" : " ENVELOPE " ,\r\n " DATA " } \n"), AEL_OK},
    {"an unknown member", WITH_MEMBER("\"More\":{\"Key\":[1.5e3,null,true,\"\\u0000\"]}"), AEL_OK},
    {"a name with an escape", BYTES("{\"K\\u0065y\":" ENVELOPE "," DATA "}"), AEL_OK},
    {"an id with an escape", WITH_ID("\"\\u005f%I\""), AEL_OK},
    {"a created of the data row key that is odd", WITH_CREATED("-9223372036854775808"), AEL_OK},
};

static const struct json_case k_refused_shapes[] = {
    {"empty object", BYTES("{}"), AEL_E_FORMAT},
    {"an array", BYTES("[]"), AEL_E_FORMAT},
    {"a text", BYTES("\"Key\""), AEL_E_FORMAT},
    {"null", BYTES("null"), AEL_E_FORMAT},
    {"white space alone", BYTES(" \n"), AEL_E_FORMAT},
    {"a byte order mark", BYTES("\xef\xbb\xbf{\"Key\":" ENVELOPE "," DATA "}"), AEL_E_FORMAT},
    {"UTF-16", BYTES("{\0\"\0K\0e\0y\0\"\0:\0"), AEL_E_FORMAT},
    {"single quotes", BYTES("{'Key':" ENVELOPE "," DATA "}"), AEL_E_FORMAT},
    {"a comment", BYTES("{/**/\"Key\":" ENVELOPE "," DATA "}"), AEL_E_FORMAT},
    {"no comma", BYTES("{\"Key\":" ENVELOPE " " DATA "}"), AEL_E_FORMAT},
    {"a comma too many", BYTES("{\"Key\":" ENVELOPE "," DATA ",}"), AEL_E_FORMAT},
    {"no Data", BYTES("{\"Key\":" ENVELOPE "}"), AEL_E_FORMAT},
    {"no Key", BYTES("{" DATA "}"), AEL_E_FORMAT},
    {"Key is null", WITH_ENVELOPE("null"), AEL_E_FORMAT},
    {"Key is an array", WITH_ENVELOPE("[]"), AEL_E_FORMAT},
    {"Key is empty", WITH_ENVELOPE("{}"), AEL_E_FORMAT},
    {"no parent", WITH_ENVELOPE("{\"Created\":%C,\"Key\":\"%K\"}"), AEL_E_FORMAT},
    {"the parent is null", WITH_PARENT("null"), AEL_E_FORMAT},
    {"the parent is empty", WITH_PARENT("{}"), AEL_E_FORMAT},
    {"the parent is a text", WITH_PARENT("\"%P\""), AEL_E_FORMAT},
    {"the parent has no Created", WITH_PARENT("{\"KeyId\":\"%P\"}"), AEL_E_FORMAT},
    {"Revoked is a number", WITH_ENVELOPE("{\"Revoked\":1,\"Created\":%C,\"Key\":\"%K\"," PARENT "}"),
     AEL_E_FORMAT},
    {"a control character", WITH_MEMBER("\"a\nb\":1"), AEL_E_FORMAT},
    {"an escape that is none", WITH_MEMBER("\"\\x41\":1"), AEL_E_FORMAT},
};

static const struct json_case k_refused_trails[] = {
    {"followed by a letter", FOLLOWED_BY("x"), AEL_E_FORMAT},
    {"followed by a brace", FOLLOWED_BY("}"), AEL_E_FORMAT},
    {"followed by a comma", FOLLOWED_BY(","), AEL_E_FORMAT},
    {"followed by another record", FOLLOWED_BY("{\"Key\":" ENVELOPE "," DATA "}"), AEL_E_FORMAT},
    {"followed by a NUL", FOLLOWED_BY("\0"), AEL_E_FORMAT},
    {"followed by white space and a NUL", FOLLOWED_BY(" \n\0"), AEL_E_FORMAT},
    {"followed by a byte that is no text", FOLLOWED_BY("\xff"), AEL_E_FORMAT},
};

static const struct json_case k_refused_utf8[] = {
    {"not UTF-8 in the id", WITH_ID("\"%P\xff\""), AEL_E_FORMAT},
    {"an overlong NUL in the id", WITH_ID("\"%P\xc0\x80\""), AEL_E_FORMAT},
    {"a surrogate in the id", WITH_ID("\"%P\xed\xa0\x80\""), AEL_E_FORMAT},
    {"half a character in the id", WITH_ID("\"%P\xe2\x82\""), AEL_E_FORMAT},
    {"beyond Unicode in the id", WITH_ID("\"%P\xf4\x90\x80\x80\""), AEL_E_FORMAT},
    {"not UTF-8 in the data", WITH_DATA("\"\xfe%D\""), AEL_E_FORMAT},
    {"not UTF-8 in an unknown name", WITH_MEMBER("\"\x80\":1"), AEL_E_FORMAT},
    {"not UTF-8 in an unknown value", WITH_MEMBER("\"More\":\"\xf8\""), AEL_E_FORMAT},
    {"a NUL at the id's end", WITH_ID("\"%P\\u0000\""), AEL_E_FORMAT},
    {"a NUL in front of the id", WITH_ID("\"\\u0000%P\""), AEL_E_FORMAT},
    {"an id that is a NUL", WITH_ID("\"\\u0000\""), AEL_E_FORMAT},
    {"a NUL byte in the id", WITH_ID("\"%P\0\""), AEL_E_FORMAT},
    {"an unpaired high surrogate", WITH_ID("\"%P\\ud800\""), AEL_E_FORMAT},
    {"an unpaired low surrogate", WITH_ID("\"%P\\udc00\""), AEL_E_FORMAT},
    {"a pair the wrong way round", WITH_ID("\"%P\\udc00\\ud800\""), AEL_E_FORMAT},
};

static const struct json_case k_refused_names[] = {
    {"Key twice", BYTES("{\"Key\":" ENVELOPE ",\"Key\":" ENVELOPE "," DATA "}"), AEL_E_FORMAT},
    {"Key twice, once with an escape", BYTES("{\"Key\":" ENVELOPE ",\"K\\u0065y\":" ENVELOPE "," DATA "}"),
     AEL_E_FORMAT},
    {"Data twice", BYTES("{\"Key\":" ENVELOPE "," DATA "," DATA "}"), AEL_E_FORMAT},
    {"Created twice", WITH_ENVELOPE("{\"Created\":%C,\"Created\":%C,\"Key\":\"%K\"," PARENT "}"),
     AEL_E_FORMAT},
    {"the inner Key twice", WITH_ENVELOPE("{\"Created\":%C,\"Key\":\"%K\",\"Key\":\"%K\"," PARENT "}"),
     AEL_E_FORMAT},
    {"the parent twice", WITH_ENVELOPE("{\"Created\":%C,\"Key\":\"%K\"," PARENT "," PARENT "}"),
     AEL_E_FORMAT},
    {"null and a parent", WITH_ENVELOPE("{\"Created\":%C,\"Key\":\"%K\",\"ParentKeyMeta\":null," PARENT "}"),
     AEL_E_FORMAT},
    {"Revoked twice",
     WITH_ENVELOPE("{\"Revoked\":false,\"Revoked\":false,\"Created\":%C,\"Key\":\"%K\"," PARENT "}"),
     AEL_E_FORMAT},
    {"KeyId twice", WITH_PARENT("{\"KeyId\":\"%P\",\"KeyId\":\"%P\",\"Created\":%Q}"), AEL_E_FORMAT},
    {"the parent's Created twice", WITH_PARENT("{\"KeyId\":\"%P\",\"Created\":%Q,\"Created\":%Q}"),
     AEL_E_FORMAT},
    {"key", BYTES("{\"key\":" ENVELOPE "," DATA "}"), AEL_E_FORMAT},
    {"KEY", BYTES("{\"KEY\":" ENVELOPE "," DATA "}"), AEL_E_FORMAT},
    {"data", BYTES("{\"Key\":" ENVELOPE ",\"data\":\"%D\"}"), AEL_E_FORMAT},
    {"created", WITH_ENVELOPE("{\"created\":%C,\"Key\":\"%K\"," PARENT "}"), AEL_E_FORMAT},
    {"the inner key", WITH_ENVELOPE("{\"Created\":%C,\"key\":\"%K\"," PARENT "}"), AEL_E_FORMAT},
    {"parentKeyMeta",
     WITH_ENVELOPE("{\"Created\":%C,\"Key\":\"%K\",\"parentKeyMeta\":{\"KeyId\":\"%P\",\"Created\":%Q}}"),
     AEL_E_FORMAT},
    {"keyId", WITH_PARENT("{\"keyId\":\"%P\",\"Created\":%Q}"), AEL_E_FORMAT},
    {"the parent's created", WITH_PARENT("{\"KeyId\":\"%P\",\"created\":%Q}"), AEL_E_FORMAT},
    {"a name with a NUL behind", BYTES("{\"Key\\u0000\":" ENVELOPE "," DATA "}"), AEL_E_FORMAT},
};

#define NUMBER_CASES(WITH)                                                                                   \
    {"a fraction", WITH("1.0"), AEL_E_FORMAT}, {"an exponent", WITH("1e3"), AEL_E_FORMAT},                   \
        {"a text", WITH("\"%Q\""), AEL_E_FORMAT}, {"null", WITH("null"), AEL_E_FORMAT},                      \
        {"true", WITH("true"), AEL_E_FORMAT}, {"an array", WITH("[%Q]"), AEL_E_FORMAT},                      \
        {"a leading zero", WITH("0%Q"), AEL_E_FORMAT}, {"a plus", WITH("+%Q"), AEL_E_FORMAT},                \
        {"a lone minus", WITH("-"), AEL_E_FORMAT}, {"nothing", WITH(""), AEL_E_FORMAT},                      \
        {"hexadecimal", WITH("0x10"), AEL_E_FORMAT}, {"not a number", WITH("NaN"), AEL_E_FORMAT},            \
        {"over 63 bits", WITH("9223372036854775808"), AEL_E_FORMAT},                                         \
        {"under 63 bits", WITH("-9223372036854775809"), AEL_E_FORMAT},                                       \
        {"over 64 bits, back at the right number", WITH("18446744073709551616"), AEL_E_FORMAT}, {            \
        "hundreds of bits", WITH("%Q%Q%Q%Q%Q%Q%Q%Q%Q%Q"), AEL_E_FORMAT                                       \
    }

static const struct json_case k_refused_numbers[] = {
    NUMBER_CASES(WITH_CREATED), NUMBER_CASES(WITH_PARENT_CREATED)};

static const struct json_case k_refused_base64[] = {
    {"data without padding", WITH_DATA("\"%U\""), AEL_E_FORMAT},
    {"data with half its padding", WITH_DATA("\"%U=\""), AEL_E_FORMAT},
    {"data with too much padding", WITH_DATA("\"%D=\""), AEL_E_FORMAT},
    {"data with a quartet of padding", WITH_DATA("\"%D====\""), AEL_E_FORMAT},
    {"data of padding alone", WITH_DATA("\"====\""), AEL_E_FORMAT},
    {"data with padding in the midst", WITH_DATA("\"%D%D\""), AEL_E_FORMAT},
    {"data with unused bits", WITH_DATA("\"%X\""), AEL_E_FORMAT},
    {"data in the URL-safe alphabet", WITH_DATA("\"%Y\""), AEL_E_FORMAT},
    {"data with a space", WITH_DATA("\"%D \""), AEL_E_FORMAT},
    {"data with a line break", WITH_DATA("\"%D\\r\\n\""), AEL_E_FORMAT},
    {"data that is empty", WITH_DATA("\"\""), AEL_E_FORMAT},
    {"data shorter than the overhead", WITH_DATA("\"QUFBQQ==\""), AEL_E_FORMAT},
    {"data that is null", WITH_DATA("null"), AEL_E_FORMAT},
    {"data that is a number", WITH_DATA("5"), AEL_E_FORMAT},
    {"data with a letter beyond ASCII", WITH_DATA("\"%D\xc3\xa4zz\""), AEL_E_FORMAT},
    {"a key that is empty", WITH_KEY("\"\""), AEL_E_FORMAT},
    {"a key with padding", WITH_KEY("\"%K====\""), AEL_E_FORMAT},
    {"a key without base64", WITH_KEY("\"****\""), AEL_E_FORMAT},
    {"a key that is too short", WITH_KEY("\"QUFB\""), AEL_E_FORMAT},
    {"a key that is too long", WITH_KEY("\"%KQUFB\""), AEL_E_FORMAT},
    {"a key that is null", WITH_KEY("null"), AEL_E_FORMAT},
};

static const struct json_case k_refused_contents[] = {
    {"forged data", WITH_DATA("\"%F\""), AEL_E_AUTHENTICATION},
    {"data cut down", WITH_DATA("\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\""), AEL_E_AUTHENTICATION},
    {"another's key",
     WITH_KEY("\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\""),
     AEL_E_AUTHENTICATION},
    {"an empty id", WITH_ID("\"\""), AEL_E_WRONG_PARTITION},
    {"a system key's id", WITH_ID("\"_SK_Billing-Corge_Ledger-Grault\""), AEL_E_WRONG_PARTITION},
    {"another partition's id", WITH_ID("\"_IK_Tenant-Quuz_Billing-Corge_Ledger-Grault\""),
     AEL_E_WRONG_PARTITION},
    {"an id in another case", WITH_ID("\"_ik%I\""), AEL_E_WRONG_PARTITION},
    {"an id with more", WITH_ID("\"%Px\""), AEL_E_WRONG_PARTITION},
    {"an id with a suffix that is no region", WITH_ID("\"%P_x\""), AEL_E_WRONG_PARTITION},
    {"an id with an empty suffix", WITH_ID("\"%P_\""), AEL_E_WRONG_PARTITION},
    {"an id with a space", WITH_ID("\"%P \""), AEL_E_WRONG_PARTITION},
    {"a row that is not a key",
     WITH_PARENT(
         "{\"KeyId\":\"__asherah_internal_config_drift_guard_v1__:NGQ4jdymRj\",\"Created\":946684800}"),
     AEL_E_WRONG_PARTITION},
    {"a key that was never made", WITH_PARENT_CREATED("1"), AEL_E_KEY_NOT_FOUND},
    {"a key of before 1970", WITH_PARENT_CREATED("-1"), AEL_E_KEY_NOT_FOUND},
    {"a key of the farthest past", WITH_PARENT_CREATED("-9223372036854775808"), AEL_E_KEY_NOT_FOUND},
    {"a key of the farthest future", WITH_PARENT_CREATED("9223372036854775807"), AEL_E_KEY_NOT_FOUND},
    {"a key of another region", WITH_ID("\"%P_us-west-2\""), AEL_E_KEY_NOT_FOUND},
};

static void check_cases(struct world *world, const struct json_case *cases, size_t count) {
    struct fields fields;
    char text[TEXT_MAX];
    make_fields(world, &fields);
    for (size_t i = 0; i < count; i++) {
        check_json(world, cases[i].what, expand(cases[i].template, &fields, text), cases[i].status);
    }
    check_json(world, "the good record afterwards", ael_buf_view(&world->json), AEL_OK);
}

/* A table of records that are refused before any edge is asked. */
static void refuse_cases(const struct json_case *cases, size_t count) {
    struct world world;
    world_begin(&world);
    check_json(&world, "the good record", ael_buf_view(&world.json), AEL_OK);
    encrypt_json(world.sessions[VERBOSE], &world.json);
    uint64_t calls = edge_calls(world.factories[TERSE]) + edge_calls(world.factories[VERBOSE]);
    check_cases(&world, cases, count);
    CU_ASSERT_EQUAL(edge_calls(world.factories[TERSE]) + edge_calls(world.factories[VERBOSE]), calls);
    world_end(&world);
}

static void test_decrypt_json__takes_other_forms(void) {
    refuse_cases(k_accepted, COUNT(k_accepted));
}

static void test_decrypt_json__refuses_other_shapes(void) {
    refuse_cases(k_refused_shapes, COUNT(k_refused_shapes));
}

static void test_decrypt_json__refuses_what_follows(void) {
    refuse_cases(k_refused_trails, COUNT(k_refused_trails));
}

static void test_decrypt_json__refuses_bad_text(void) {
    refuse_cases(k_refused_utf8, COUNT(k_refused_utf8));
}

static void test_decrypt_json__refuses_duplicate_and_wrong_case_names(void) {
    refuse_cases(k_refused_names, COUNT(k_refused_names));
}

static void test_decrypt_json__refuses_numbers_that_are_none(void) {
    refuse_cases(k_refused_numbers, COUNT(k_refused_numbers));
}

static void test_decrypt_json__refuses_wrong_base64(void) {
    refuse_cases(k_refused_base64, COUNT(k_refused_base64));
}

static void test_decrypt_json__refuses_wrong_contents(void) {
    struct world world;
    world_begin(&world);
    check_cases(&world, k_refused_contents, COUNT(k_refused_contents));
    world_end(&world);
}

static void test_decrypt_json__refuses_each_truncation(void) {
    struct world world;
    world_begin(&world);
    for (size_t len = 0; len < world.json.len; len++) {
        char what[40];
        snprintf(what, sizeof what, "cut to %zu bytes", len);
        check_json(&world, what, (struct ael_bytes){world.json.data, len}, AEL_E_FORMAT);
    }
    world_end(&world);
}

static void
check_json_as_it_is(struct world *world, const char *what, struct ael_bytes json, enum ael_status want) {
    for (int manner = 0; manner < MANNERS; manner++) {
        check_json_once(
            world->sessions[manner], what, json, status_in_manner(want, manner), manner == VERBOSE);
    }
}

static void test_decrypt_json__refuses_what_is_not_there(void) {
    struct world world;
    struct ael_error err = unwritten();
    world_begin(&world);
    check_json_as_it_is(&world, "an empty view", (struct ael_bytes){NULL, 0}, AEL_E_FORMAT);
    check_json_as_it_is(&world, "NULL with a length", (struct ael_bytes){NULL, 5}, AEL_E_ARGUMENT);
    check_json_once(NULL, "no session", ael_buf_view(&world.json), AEL_E_ARGUMENT, false);
    enum ael_status status =
        ael_session_decrypt_json(world.sessions[TERSE], ael_buf_view(&world.json), NULL, NULL, &err);
    expect_refused("no output", status, AEL_E_ARGUMENT, &err, false);
    world_end(&world);
}

/* The record, then len spaces. */
static void check_padded(struct world *world, const char *what, size_t len, enum ael_status want) {
    uint8_t *text = ael_sys_alloc(world->json.len + len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, ' ', world->json.len + len);
    memcpy(text, world->json.data, world->json.len);
    check_json(world, what, (struct ael_bytes){text, world->json.len + len}, want);
    ael_sys_free(text);
}

/* One member of a record made very long. */
static void
check_long(struct world *world, const char *template, char letter, size_t len, enum ael_status want) {
    char text[TEXT_MAX];
    struct fields fields;
    make_fields(world, &fields);
    struct ael_bytes head = expand(ael_bytes_from_text(template), &fields, text);
    const uint8_t *mark = memchr(head.data, '@', head.len);
    uint8_t *json = ael_sys_alloc(head.len - 1 + len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mark);
    size_t before = (size_t)(mark - head.data);
    memcpy(json, head.data, before);
    memset(json + before, letter, len);
    memcpy(json + before + len, mark + 1, head.len - before - 1);
    check_json(world, template, (struct ael_bytes){json, head.len - 1 + len}, want);
    ael_sys_free(json);
}

#define LONG_KEY "{\"Key\":{\"Created\":%C,\"Key\":\"@\"," PARENT "}," DATA "}"
#define LONG_ID                                                                                              \
    "{\"Key\":{\"Created\":%C,\"Key\":\"%K\",\"ParentKeyMeta\":{\"KeyId\":\"@\",\"Created\":%Q}}," DATA "}"
#define LONG_DATA "{\"Key\":" ENVELOPE ",\"Data\":\"@\"}"

static void test_decrypt_json__refuses_what_is_oversized(void) {
    struct world world;
    world_begin(&world);
    check_padded(&world, "much white space", 1u << 20, AEL_OK);
    check_padded(&world, "far too much white space", 2u << 20, AEL_E_TOO_LARGE);
    check_long(&world, LONG_DATA, 'A', (MAX_PAYLOAD + 32) / 3 * 4, AEL_E_TOO_LARGE);
    check_long(&world, LONG_KEY, 'A', (AEL_KEY_RECORD_MAX_BYTES + 3) / 3 * 4, AEL_E_TOO_LARGE);
    check_long(&world, LONG_ID, 'A', AEL_ID_MAX_BYTES + 1, AEL_E_TOO_LARGE);
    check_long(&world, LONG_ID, 'A', AEL_ID_MAX_BYTES, AEL_E_WRONG_PARTITION);
    check_json_as_it_is(
        &world, "a length beyond all memory", (struct ael_bytes){world.json.data, SIZE_MAX}, AEL_E_TOO_LARGE);
    world_end(&world);
}

/* A record with an unknown member of so many levels. */
static void
check_nested(struct world *world, const char *unit, const char *end, size_t levels, enum ael_status want) {
    size_t unit_len = strlen(unit);
    size_t end_len = strlen(end);
    size_t len = world->json.len + 7 + levels * (unit_len + end_len) + 1;
    char *text = ael_sys_alloc(len + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    size_t at = world->json.len - 1;
    memcpy(text, world->json.data, at);
    memcpy(text + at, ",\"More\":", 8);
    at += 8;
    for (size_t i = 0; i < levels; i++, at += unit_len) {
        memcpy(text + at, unit, unit_len);
    }
    text[at++] = '1';
    for (size_t i = 0; i < levels; i++, at += end_len) {
        memcpy(text + at, end, end_len);
    }
    text[at++] = '}';
    check_json(world, "nested", (struct ael_bytes){(const uint8_t *)text, at}, want);
    ael_sys_free(text);
}

static void test_decrypt_json__refuses_deep_nesting(void) {
    struct world world;
    world_begin(&world);
    check_nested(&world, "[", "]", 31, AEL_OK);
    check_nested(&world, "{\"a\":", "}", 31, AEL_OK);
    check_nested(&world, "[", "]", 32, AEL_E_FORMAT);
    check_nested(&world, "{\"a\":", "}", 32, AEL_E_FORMAT);
    check_nested(&world, "[", "]", 200000, AEL_E_FORMAT);
    check_nested(&world, "{\"a\":[", "]}", 100000, AEL_E_FORMAT);
    world_end(&world);
}

/* ---- partition, service, product ---- */

static char *repeated(size_t len) {
    char *text = ael_sys_alloc(len + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, 'a', len);
    return text;
}

struct id_case {
    const char *what;
    struct ael_bytes id;
};

static const struct id_case k_bad_partitions[] = {
    {"a partition that is NULL", {NULL, 0}},
    {"a partition that is NULL with a length", {NULL, 3}},
    {"an empty partition", {(const uint8_t *)"", 0}},
    {"a partition of all memory", {(const uint8_t *)"p", SIZE_MAX}},
    {"a partition of half of all memory", {(const uint8_t *)"p", SIZE_MAX / 2 + 1}},
    {"a NUL in a partition", BYTES("Quux\0Quux")},
    {"a NUL alone", BYTES("\0")},
    {"a byte that is no text", BYTES("Quux\xff")},
    {"an overlong form", BYTES("\xc0\xaf")},
    {"a surrogate", BYTES("\xed\xa0\x80")},
    {"half a character", BYTES("Quux\xe2\x82")},
    {"beyond Unicode", BYTES("\xf4\x90\x80\x80")},
};

static void refuse_partition(struct ael_session_factory *factory, const char *what, struct ael_bytes id) {
    struct ael_session *session = (struct ael_session *)0x10; /* to be overwritten */
    struct ael_error err = unwritten();
    enum ael_status status = ael_session_acquire_bytes(factory, id, &session, &err);
    expect_refused(what, status, AEL_E_PARTITION, &err, false);
    expect(what, "no session", session == NULL);
}

static void test_session_acquire__refuses_bad_partitions(void) {
    struct world world;
    world_begin(&world);
    struct ael_session_factory *factory = world.factories[TERSE];
    for (size_t i = 0; i < COUNT(k_bad_partitions); i++) {
        refuse_partition(factory, k_bad_partitions[i].what, k_bad_partitions[i].id);
    }
    struct ael_session *session = (struct ael_session *)0x10;
    struct ael_error err = unwritten();
    expect_refused("NULL", ael_session_acquire(factory, NULL, &session, &err), AEL_E_PARTITION, &err, false);
    CU_ASSERT_PTR_NULL(session);
    err = unwritten();
    expect_refused("no factory", ael_session_acquire(NULL, "p", &session, &err), AEL_E_ARGUMENT, &err, false);
    err = unwritten();
    expect_refused("no output", ael_session_acquire(factory, "p", NULL, &err), AEL_E_ARGUMENT, &err, false);
    world_end(&world);
}

/* The longest id that fits works; one byte more does not. */
static void test_session_acquire__refuses_overlong_partitions(void) {
    struct world world;
    world_begin(&world);
    size_t longest = AEL_ID_MAX_BYTES - strlen("_IK___") - strlen(k_service) - strlen(k_product);
    char *text = repeated(2 * AEL_ID_MAX_BYTES);
    struct ael_session *session = NULL;
    struct ael_bytes fits = {(const uint8_t *)text, longest};
    CU_ASSERT_EQUAL_FATAL(ael_session_acquire_bytes(world.factories[TERSE], fits, &session, NULL), AEL_OK);
    encrypt_json(session, &world.json);
    check_json_once(session, "the longest partition", ael_buf_view(&world.json), AEL_OK, false);
    for (size_t len = longest + 1; len <= 2 * AEL_ID_MAX_BYTES; len += AEL_ID_MAX_BYTES / 8) {
        refuse_partition(world.factories[TERSE], "overlong", (struct ael_bytes){(const uint8_t *)text, len});
    }
    ael_session_release(session);
    ael_sys_free(text);
    world_end(&world);
}

static void check_names(
    struct world *world, const char *what, const char *service, const char *product, enum ael_status want) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = (struct ael_session_factory *)0x10; /* to be overwritten */
    struct ael_error err = unwritten();
    options.service = service;
    options.product = product;
    options.metastore = world->metastore;
    options.kms = world->kms;
    enum ael_status status = ael_session_factory_new(&options, &factory, &err);
    expect_refused(what, status, want, &err, false);
    expect(what, "a factory only with AEL_OK", (factory != NULL) == (status == AEL_OK));
    ael_session_factory_free(factory);
}

static void test_session_factory_new__refuses_bad_names(void) {
    static const char *const k_bad[] = {NULL, "", "Corge\xff", "\xc0\x80", "\xed\xa0\x80", "Corge\xe2\x82"};
    struct world world;
    world_begin(&world);
    for (size_t i = 0; i < COUNT(k_bad); i++) {
        check_names(&world, "a bad service", k_bad[i], k_product, AEL_E_PARTITION);
        check_names(&world, "a bad product", k_service, k_bad[i], AEL_E_PARTITION);
    }
    char *text = repeated(1025);
    check_names(&world, "an overlong service", text, k_product, AEL_E_PARTITION);
    check_names(&world, "an overlong product", k_service, text, AEL_E_PARTITION);
    text[1024] = '\0';
    check_names(&world, "the longest names", text, text, AEL_OK);
    ael_sys_free(text);
    world_end(&world);
}

/* ---- records of others ---- */

struct place {
    const char *partition;
    const char *product;
    const char *suffix;
};

struct neighbour {
    const char *what;
    struct place writer;
    struct place reader;
    enum ael_status status; /* with verbose errors */
};

static const struct neighbour k_neighbours[] = {
    {"itself", {"t", "prod", NULL}, {"t", "prod", NULL}, AEL_OK},
    {"another partition", {"t", "prod", NULL}, {"u", "prod", NULL}, AEL_E_WRONG_PARTITION},
    {"a longer partition's", {"t-10", "prod", NULL}, {"t-1", "prod", NULL}, AEL_E_WRONG_PARTITION},
    {"a shorter partition's", {"t-1", "prod", NULL}, {"t-10", "prod", NULL}, AEL_E_WRONG_PARTITION},
    {"a partition with an underscore", {"t_1", "prod", NULL}, {"t", "prod", NULL}, AEL_E_WRONG_PARTITION},
    {"a partition in another case", {"T", "prod", NULL}, {"t", "prod", NULL}, AEL_E_WRONG_PARTITION},
    {"a longer product's", {"t", "prodx", NULL}, {"t", "prod", NULL}, AEL_E_WRONG_PARTITION},
    {"a shorter product's", {"t", "prod", NULL}, {"t", "prodx", NULL}, AEL_E_WRONG_PARTITION},
    {"a product with a tail", {"t", "prod_x", NULL}, {"t", "prod", NULL}, AEL_E_WRONG_PARTITION},
    {"a longer product's, with suffixes",
     {"t", "prodx", "eu-west-1"},
     {"t", "prod", "eu-west-1"},
     AEL_E_WRONG_PARTITION},
    {"a shorter product's, with suffixes",
     {"t", "prod", "eu-west-1"},
     {"t", "prodx", "eu-west-1"},
     AEL_E_WRONG_PARTITION},
    {"a longer product's, to one with a suffix",
     {"t", "prodx", NULL},
     {"t", "prod", "eu-west-1"},
     AEL_E_WRONG_PARTITION},
    {"a product with a tail, to one with a suffix",
     {"t", "prod_x", NULL},
     {"t", "prod", "eu-west-1"},
     AEL_E_WRONG_PARTITION},
    {"a product with a suffix for a tail",
     {"t", "prod_x", "eu-west-1"},
     {"t", "prod", "eu-west-1"},
     AEL_E_WRONG_PARTITION},
    {"a longer partition's, with suffixes",
     {"t-10", "prod", "eu-west-1"},
     {"t-1", "prod", "eu-west-1"},
     AEL_E_WRONG_PARTITION},
    {"a suffix that is no region", {"t", "prod", "left"}, {"t", "prod", "eu-west-1"}, AEL_E_WRONG_PARTITION},
    {"a region that is not set off",
     {"t", "prodxeu-west-1", NULL},
     {"t", "prod", "eu-west-1"},
     AEL_E_WRONG_PARTITION},
    {"another region", {"t", "prod", "us-west-2"}, {"t", "prod", "eu-west-1"}, AEL_OK},
    {"a region, to one without", {"t", "prod", "us-west-2"}, {"t", "prod", NULL}, AEL_OK},
    {"none, to a region", {"t", "prod", NULL}, {"t", "prod", "eu-west-1"}, AEL_OK},
};

static void write_at(struct world *world, const struct place *place, struct ael_buf *json) {
    struct ael_session_factory *factory = new_factory(world, place->product, place->suffix, false);
    struct ael_session *session = new_session(factory, place->partition);
    encrypt_json(session, json);
    ael_session_release(session);
    ael_session_factory_free(factory);
}

static void read_at(struct world *world, const struct neighbour *row, int manner, struct ael_bytes json) {
    struct ael_session_factory *factory =
        new_factory(world, row->reader.product, row->reader.suffix, manner == VERBOSE);
    struct ael_session *session = new_session(factory, row->reader.partition);
    check_json_once(session, row->what, json, status_in_manner(row->status, manner), manner == VERBOSE);
    if (row->status != AEL_OK) {
        expect(row->what, "no edge is asked", edge_calls(factory) == 0);
    }
    ael_session_release(session);
    ael_session_factory_free(factory);
}

static void test_decrypt_json__refuses_records_of_neighbours(void) {
    struct world world;
    struct ael_buf json = AEL_BUF_INIT;
    world_begin(&world);
    for (size_t i = 0; i < COUNT(k_neighbours); i++) {
        write_at(&world, &k_neighbours[i].writer, &json);
        for (int manner = 0; manner < MANNERS; manner++) {
            read_at(&world, &k_neighbours[i], manner, ael_buf_view(&json));
        }
    }
    ael_buf_clear(&json);
    world_end(&world);
}

static void test_decrypt__refuses_a_record_of_another_partition(void) {
    struct world world;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    world_begin(&world);
    CU_ASSERT_EQUAL_FATAL(ael_record_from_json(ael_buf_view(&world.json), &record, NULL), AEL_OK);
    for (int manner = 0; manner < MANNERS; manner++) {
        struct ael_session *session = new_session(world.factories[manner], "Tenant");
        struct ael_error err = unwritten();
        struct guarded out;
        guarded_begin(&out, ROOM);
        enum ael_status status = ael_session_decrypt(session, &record.record, &out.buf, NULL, &err);
        expect_refused(
            "a struct", status, status_in_manner(AEL_E_WRONG_PARTITION, manner), &err, manner == VERBOSE);
        expect(
            "a struct", "only a verbose error names the id",
            shows_any(err.detail, k_ids, COUNT(k_ids)) == (manner == VERBOSE));
        expect_wiped("a struct", &out);
        ael_session_release(session);
    }
    ael_record_buf_clear(&record);
    world_end(&world);
}

/* ---- lengths ---- */

static const size_t k_long_payloads[] = {
    MAX_PAYLOAD + 1, AEL_BUF_MAX_DEFAULT, SIZE_MAX / 2, SIZE_MAX - 28, SIZE_MAX};

/* One byte stands for the whole payload: reading on would be seen. */
static void refuse_payload(struct world *world, struct ael_bytes plain, enum ael_status want) {
    struct ael_session *session = world->sessions[TERSE];
    struct guarded out;
    struct guarded storage;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_error err = unwritten();
    guarded_begin(&out, ROOM);
    expect_refused("JSON", ael_session_encrypt_json(session, plain, &out.buf, NULL, &err), want, &err, false);
    expect_wiped("JSON", &out);
    guarded_begin(&storage, ROOM);
    record.storage = storage.buf;
    err = unwritten();
    expect_refused("struct", ael_session_encrypt(session, plain, &record, NULL, &err), want, &err, false);
    storage.buf = record.storage;
    expect_wiped("struct", &storage);
    CU_ASSERT_PTR_NULL(record.record.data.data);
}

static void test_encrypt__refuses_long_payloads_before_reading(void) {
    struct world world;
    world_begin(&world);
    uint8_t *byte = ael_sys_alloc(1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(byte);
    uint64_t calls = edge_calls(world.factories[TERSE]);
    for (size_t i = 0; i < COUNT(k_long_payloads); i++) {
        refuse_payload(&world, (struct ael_bytes){byte, k_long_payloads[i]}, AEL_E_TOO_LARGE);
        refuse_payload(&world, (struct ael_bytes){NULL, k_long_payloads[i]}, AEL_E_ARGUMENT);
    }
    CU_ASSERT_EQUAL(edge_calls(world.factories[TERSE]), calls);
    ael_sys_free(byte);
    world_end(&world);
}

static void test_bounds__tell_of_overflow(void) {
    struct world world;
    world_begin(&world);
    const struct ael_session *session = world.sessions[TERSE];
    for (size_t less = 0; less <= AEL_SEALED_OVERHEAD_BYTES + AEL_SEALED_KEY_BYTES; less++) {
        CU_ASSERT_EQUAL(ael_session_record_bound(session, SIZE_MAX - less), SIZE_MAX);
        CU_ASSERT_EQUAL(ael_session_json_bound(session, SIZE_MAX - less), SIZE_MAX);
    }
    CU_ASSERT_EQUAL(ael_session_json_bound(session, SIZE_MAX / 4 * 3), SIZE_MAX);
    CU_ASSERT_EQUAL(ael_session_record_bound(NULL, 1), SIZE_MAX);
    CU_ASSERT_EQUAL(ael_session_json_bound(NULL, 1), SIZE_MAX);
    CU_ASSERT_TRUE(ael_session_record_bound(session, SIZE_MAX / 2) < SIZE_MAX);
    CU_ASSERT_TRUE(ael_session_json_bound(session, SIZE_MAX / 2) < SIZE_MAX);
    world_end(&world);
}

static void test_decrypt__refuses_records_of_impossible_lengths(void) {
    static const size_t k_lens[] = {MAX_PAYLOAD + AEL_SEALED_OVERHEAD_BYTES + 1, SIZE_MAX / 2, SIZE_MAX};
    struct world world;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    world_begin(&world);
    CU_ASSERT_EQUAL_FATAL(ael_record_from_json(ael_buf_view(&world.json), &record, NULL), AEL_OK);
    for (size_t i = 0; i < COUNT(k_lens); i++) {
        struct ael_record forged = record.record;
        struct ael_error err = unwritten();
        struct guarded out;
        guarded_begin(&out, ROOM);
        forged.data.len = k_lens[i];
        enum ael_status status = ael_session_decrypt(world.sessions[TERSE], &forged, &out.buf, NULL, &err);
        expect_refused("a record's data", status, AEL_E_TOO_LARGE, &err, false);
        expect_wiped("a record's data", &out);
    }
    ael_record_buf_clear(&record);
    world_end(&world);
}

/* ---- a buffer that is one byte short ---- */

enum buffer_call { ENCRYPT, ENCRYPT_JSON, DECRYPT, DECRYPT_JSON, BUFFER_CALLS };

static const char *const k_call_names[] = {"encrypt", "encrypt_json", "decrypt", "decrypt_json"};

/* Makes a call with the output in out. */
static enum ael_status call_into(
    struct world *world,
    enum buffer_call call,
    const struct ael_record *record,
    struct guarded *out,
    struct ael_error *err) {
    struct ael_session *session = world->sessions[TERSE];
    struct ael_record_buf into = AEL_RECORD_BUF_INIT;
    enum ael_status status = AEL_E_STATE;
    switch (call) {
    case ENCRYPT:
        into.storage = out->buf;
        status = ael_session_encrypt(session, plain_bytes(), &into, NULL, err);
        out->buf = into.storage;
        return status;
    case ENCRYPT_JSON:
        return ael_session_encrypt_json(session, plain_bytes(), &out->buf, NULL, err);
    case DECRYPT:
        return ael_session_decrypt(session, record, &out->buf, NULL, err);
    default:
        return ael_session_decrypt_json(session, ael_buf_view(&world->json), &out->buf, NULL, err);
    }
}

static void check_call_into(
    struct world *world,
    enum buffer_call call,
    const struct ael_record *record,
    size_t cap,
    enum ael_status want) {
    struct guarded out;
    struct ael_error err = unwritten();
    guarded_begin(&out, cap);
    enum ael_status status = call_into(world, call, record, &out, &err);
    expect_refused(k_call_names[call], status, want, &err, false);
    expect(k_call_names[call], "nothing is written behind the buffer", guarded_is_intact(&out));
    if (status != AEL_OK) {
        expect_wiped(k_call_names[call], &out);
    } else {
        expect(k_call_names[call], "the output fills the buffer", out.buf.len == cap);
    }
}

static void test_fixed_buffers__may_not_be_a_byte_short(void) {
    struct world world;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    world_begin(&world);
    CU_ASSERT_EQUAL_FATAL(ael_record_from_json(ael_buf_view(&world.json), &record, NULL), AEL_OK);
    const size_t needs[] = {
        ael_session_record_bound(world.sessions[TERSE], PLAIN_LEN), world.json.len, PLAIN_LEN, PLAIN_LEN};
    CU_ASSERT_TRUE(ael_session_json_bound(world.sessions[TERSE], PLAIN_LEN) >= world.json.len);
    for (enum buffer_call call = ENCRYPT; call < BUFFER_CALLS; call++) {
        check_call_into(&world, call, &record.record, needs[call], AEL_OK);
        check_call_into(&world, call, &record.record, needs[call] - 1, AEL_E_BUFFER_TOO_SMALL);
        check_call_into(&world, call, &record.record, 1, AEL_E_BUFFER_TOO_SMALL);
        check_call_into(&world, call, &record.record, 0, AEL_E_BUFFER_TOO_SMALL);
    }
    ael_record_buf_clear(&record);
    world_end(&world);
}

/* ---- metastores of garbage ---- */

static char g_folder[] = "/tmp/ael-bad-XXXXXX";

static void path_of(const char *name, char path[64]) {
    snprintf(path, 64, "%s/%s", g_folder, name);
}

static void remove_file(const char *name) {
    char path[64];
    path_of(name, path);
    unlink(path);
}

static void remove_store(void) {
    static const char *const k_names[] = {"keys.db", "keys.db-wal", "keys.db-shm", "keys.db-journal"};
    for (size_t i = 0; i < COUNT(k_names); i++) {
        remove_file(k_names[i]);
    }
}

static void folder_begin(void) {
    memcpy(g_folder + sizeof g_folder - 7, "XXXXXX", 6);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(g_folder));
}

static void folder_end(void) {
    remove_store();
    CU_ASSERT_EQUAL(rmdir(g_folder), 0);
}

static void write_file(const char *name, const void *bytes, size_t len, mode_t mode) {
    char path[64];
    path_of(name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, bytes, len), (ssize_t)len);
    CU_ASSERT_EQUAL(fchmod(fd, mode), 0);
    close(fd);
}

static enum ael_status open_store(struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    char path[64];
    path_of("keys.db", path);
    options.path = path;
    return ael_metastore_sqlite_new(&options, metastore, err);
}

/* By SQLite itself, past the library. */
static void run_sql(const char *sql) {
    char path[64];
    sqlite3 *db = NULL;
    path_of("keys.db", path);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    int result = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (result != SQLITE_OK) {
        printf("\n  %s: %s ", sql, sqlite3_errmsg(db));
    }
    CU_ASSERT_EQUAL(result, SQLITE_OK);
    sqlite3_close(db);
}

/* A sum over all that the table holds. */
static int add_row(void *context, int count, char **values, char **names) {
    uint64_t *sum = context;
    (void)names;
    for (int i = 0; i < count; i++) {
        for (const char *at = values[i]; at != NULL && *at != '\0'; at++) {
            *sum = (*sum ^ (unsigned char)*at) * 1099511628211u;
        }
    }
    return 0;
}

static uint64_t sum_of_rows(void) {
    char path[64];
    sqlite3 *db = NULL;
    uint64_t sum = 14695981039346656037u;
    path_of("keys.db", path);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    const char *sql =
        "SELECT hex(id), hex(created), hex(key_record), typeof(key_record) FROM encryption_key ORDER BY 1,2";
    CU_ASSERT_EQUAL(sqlite3_exec(db, sql, add_row, &sum, NULL), SQLITE_OK);
    sqlite3_close(db);
    return sum;
}

static void sqlite_world_begin(struct world *world) {
    struct ael_metastore *metastore = NULL;
    CU_ASSERT_EQUAL_FATAL(open_store(&metastore, NULL), AEL_OK);
    world_begin_over(world, metastore);
}

static const char k_valid_but_other[] =
    "'{\"Created\":1,\"Key\":\"QUFB\",\"ParentKeyMeta\":{\"KeyId\":\"x\",\"Created\":1}}'";

/* What a row's key_record is set to; AEL_E_BACKEND_DATA for every reader. */
static const char *const k_junk_records[] = {
    "'junk'",
    "''",
    "'{}'",
    "'[]'",
    "'null'",
    "5",
    "2.5",
    "x'00ff10'",
    "x'7b7d'",
    "CAST(x'fffe7b7d' AS TEXT)",
    "'Payload-in-a-row Quux'",
    "key_record || 'x'",
    "substr(key_record, 1, length(key_record) - 1)",
    "replace(key_record, 'Created', 'created')",
    "replace(key_record, '\"Key\":\"', '\"Key\":\"*')",
    "replace(key_record, '\"Key\":\"', '\"Key\":\"====')",
    "CAST(key_record AS BLOB)",
    "key_record || char(0)",
    "printf('%.*c', 70000, '{')",
    "printf('%.*c', 70000, ' ')",
};

/*
 * Rows that are keys of another date than their column's: what a record names is found by the column all the
 * same.
 */
static const struct {
    const char *value;
    enum ael_status decrypted;
} k_misdated[] = {
    {"replace(key_record, '{\"Created\":', '{\"Created\":1')", AEL_OK},
    {"replace(key_record, '\"Created\":', '\"Created\":1')", AEL_E_KEY_NOT_FOUND}, /* the parent's, too */
    {k_valid_but_other, AEL_E_KEY_NOT_FOUND},
};

static const char *const k_junk_created[] = {"created || '.5'", "'soon'", "x'00'", "7", "''"};

/* A fresh factory decrypts and encrypts, both in vain. */
static void
refuse_store(struct world *world, const char *what, enum ael_status decrypted, enum ael_status encrypted) {
    struct ael_session_factory *factory = new_factory(world, k_product, NULL, false);
    struct ael_session *session = new_session(factory, k_partition);
    struct ael_error err = unwritten();
    struct guarded out;
    guarded_begin(&out, TEXT_MAX);
    check_json_once(session, what, ael_buf_view(&world->json), decrypted, false);
    enum ael_status status = ael_session_encrypt_json(session, plain_bytes(), &out.buf, NULL, &err);
    expect_refused(what, status, encrypted, &err, false);
    if (status != AEL_OK) {
        expect_wiped(what, &out);
    }
    ael_session_release(session);
    ael_session_factory_free(factory);
}

/* Sets a column of the rows of one kind ("_IK" or "_SK"), tries, and puts the rows back. */
static void refuse_rows(
    struct world *world, const char *kind, const char *column, const char *value, enum ael_status decrypted) {
    char sql[512];
    run_sql("CREATE TABLE spare AS SELECT * FROM encryption_key");
    snprintf(
        sql, sizeof sql, "UPDATE encryption_key SET %s = %s WHERE substr(id, 1, 3) = '%s'", column, value,
        kind);
    run_sql(sql);
    uint64_t sum = sum_of_rows();
    refuse_store(world, sql, decrypted, AEL_E_BACKEND_DATA);
    expect(sql, "the rows are as before", sum_of_rows() == sum);
    run_sql("DELETE FROM encryption_key; INSERT INTO encryption_key SELECT * FROM spare; DROP TABLE spare");
}

static void test_metastore__may_hold_garbage(void) {
    struct world world;
    folder_begin();
    sqlite_world_begin(&world);
    for (size_t i = 0; i < COUNT(k_junk_records); i++) {
        refuse_rows(&world, "_IK", "key_record", k_junk_records[i], AEL_E_BACKEND_DATA);
    }
    for (size_t i = 0; i < COUNT(k_misdated); i++) {
        refuse_rows(&world, "_IK", "key_record", k_misdated[i].value, k_misdated[i].decrypted);
    }
    refuse_rows(&world, "_SK", "key_record", "'junk'", AEL_E_BACKEND_DATA);
    for (size_t i = 0; i < COUNT(k_junk_created); i++) {
        refuse_rows(&world, "_IK", "created", k_junk_created[i], AEL_E_KEY_NOT_FOUND);
    }
    refuse_store(&world, "all is well again", AEL_OK, AEL_OK);
    world_end(&world);
    folder_end();
}

/* A table that SQLite opens but that has other columns, and files that SQLite does not take for its own. */
static void refuse_file(const char *what) {
    struct ael_metastore *metastore = (struct ael_metastore *)0x10; /* to be overwritten */
    struct ael_error err = unwritten();
    enum ael_status status = open_store(&metastore, &err);
    expect_refused(what, status, AEL_E_BACKEND, &err, false);
    expect(what, "no metastore", metastore == NULL);
    ael_metastore_release(metastore);
    remove_store();
}

static void test_metastore__may_be_no_database(void) {
    char text[8192];
    folder_begin();
    memset(text, 'P', sizeof text);
    memcpy(text, k_plain, PLAIN_LEN);
    write_file("keys.db", text, sizeof text, 0600);
    refuse_file("a text");
    memcpy(text, "SQLite format 3", 16);
    write_file("keys.db", text, sizeof text, 0600);
    refuse_file("a database in name only");
    run_sql("CREATE TABLE encryption_key (key TEXT, value TEXT)");
    refuse_file("a table with other columns");
    folder_end();
}

/* ---- key records that are not keys ---- */

#define GUARD_ID "__asherah_internal_config_drift_guard_v1__:NGQ4jdymRj-kk52vFulWTPbllD6z6KuK1cGGA02H0vA"
enum { GUARD_CREATED_S = 946684800 };

static void store_guard(struct ael_metastore *metastore) {
    static const char k_key[] = "Configuration-and-no-key";
    struct ael_key_record record = {.created_s = GUARD_CREATED_S, .key = BYTES(k_key)};
    bool stored = false;
    record.key = ael_bytes_from_text(k_key);
    CU_ASSERT_EQUAL(
        ael_metastore_store(metastore, NULL, ael_bytes_from_text(GUARD_ID), &record, &stored, NULL), AEL_OK);
    CU_ASSERT_TRUE(stored);
}

/* Puts an intermediate key's row at the world's own partition, dated created_s. */
static void store_child_of_guard(struct world *world, int64_t created_s, bool has_parent) {
    struct fields fields;
    uint8_t key[AEL_SEALED_KEY_BYTES] = {0};
    struct ael_key_record record = {
        .created_s = created_s, .key = {key, sizeof key}, .has_parent = has_parent};
    bool stored = false;
    make_fields(world, &fields);
    record.parent_id = has_parent ? ael_bytes_from_text(GUARD_ID) : (struct ael_bytes){NULL, 0};
    record.parent_created_s = has_parent ? GUARD_CREATED_S : 0;
    struct ael_bytes id = ael_bytes_from_text(field(&fields, 'P'));
    CU_ASSERT_EQUAL(ael_metastore_store(world->metastore, NULL, id, &record, &stored, NULL), AEL_OK);
    CU_ASSERT_TRUE(stored);
}

static const struct json_case k_not_keys[] = {
    {"a record under the guard row", WITH_PARENT("{\"KeyId\":\"" GUARD_ID "\",\"Created\":946684800}"),
     AEL_E_WRONG_PARTITION},
    {"a key whose system key is the guard row", WITH_PARENT_CREATED("60"), AEL_E_KMS},
    {"a key that names no system key", WITH_PARENT_CREATED("120"), AEL_E_BACKEND_DATA},
};

static void refuse_what_is_not_a_key(struct world *world) {
    store_guard(world->metastore);
    store_child_of_guard(world, 60, true);
    store_child_of_guard(world, 120, false);
    check_cases(world, k_not_keys, COUNT(k_not_keys));
    struct ael_session_factory *factory = new_factory(world, k_product, NULL, false);
    struct ael_session *session = new_session(factory, k_partition);
    check_json_once(session, "beside the guard row", ael_buf_view(&world->json), AEL_OK, false);
    encrypt_json(session, &world->json);
    ael_session_release(session);
    ael_session_factory_free(factory);
}

static void test_key_records__may_be_no_keys(void) {
    struct world world;
    world_begin(&world);
    refuse_what_is_not_a_key(&world);
    world_end(&world);
    folder_begin();
    sqlite_world_begin(&world);
    refuse_what_is_not_a_key(&world);
    check_cases(&world, k_refused_contents, COUNT(k_refused_contents));
    world_end(&world);
    folder_end();
}

/* ---- key files ---- */

struct key_file {
    const char *what;
    const char *content;
    size_t len;
    mode_t mode;
};

#define HEX_32   "4d61737465722d4b4d61737465722d4b"
#define KEY_TEXT "Master-Key-Must-Not-Show-Up-32-B"

static const struct key_file k_bad_key_files[] = {
    {"readable by the world", KEY_TEXT, 32, 0604},
    {"readable by the group", KEY_TEXT, 32, 0640},
    {"executable by others", KEY_TEXT, 32, 0601},
    {"empty", "", 0, 0600},
    {"31 bytes", KEY_TEXT, 31, 0600},
    {"33 bytes", KEY_TEXT "-", 33, 0600},
    {"32 bytes and a newline", KEY_TEXT "\n", 33, 0600},
    {"63 digits", HEX_32 HEX_32, 63, 0600},
    {"65 digits", HEX_32 HEX_32 "0", 65, 0600},
    {"64 digits and two newlines", HEX_32 HEX_32 "\n\n", 66, 0600},
    {"64 digits and a carriage return", HEX_32 HEX_32 "\r\n", 66, 0600},
    {"64 characters that are no digits", KEY_TEXT KEY_TEXT, 64, 0600},
};

static void refuse_key_file(const char *what, const char *name, unsigned flags, enum ael_status want) {
    struct ael_kms *kms = (struct ael_kms *)0x10; /* to be overwritten */
    struct ael_error err = unwritten();
    char path[64];
    path_of(name, path);
    enum ael_status status = ael_kms_static_from_file(path, flags, &kms, &err);
    expect_refused(what, status, want, &err, false);
    expect(what, "a KMS only with AEL_OK", (kms != NULL) == (status == AEL_OK));
    ael_kms_release(kms);
}

static void test_key_file__may_be_bad(void) {
    uint64_t secrets = secrets_in_use();
    folder_begin();
    for (size_t i = 0; i < COUNT(k_bad_key_files); i++) {
        const struct key_file *file = &k_bad_key_files[i];
        write_file("key", file->content, file->len, file->mode);
        refuse_key_file(file->what, "key", 0, AEL_E_KEY_FILE);
    }
    write_file("key", KEY_TEXT, 32, 0644);
    refuse_key_file("loose by name", "key", AEL_KEY_FILE_ALLOW_LOOSE_MODE, AEL_OK);
    refuse_key_file("unknown flags", "key", 6, AEL_E_ARGUMENT);
    write_file("key", KEY_TEXT, 32, 0600);
    refuse_key_file("good", "key", 0, AEL_OK);
    remove_file("key");
    folder_end();
    CU_ASSERT_EQUAL(secrets_in_use(), secrets);
}

static void test_key_file__may_be_no_file(void) {
    char link[64];
    char path[64];
    folder_begin();
    path_of("key", path);
    path_of("link", link);
    write_file("key", KEY_TEXT, 32, 0600);
    CU_ASSERT_EQUAL(symlink(path, link), 0);
    refuse_key_file("a link", "link", 0, AEL_E_KEY_FILE);
    refuse_key_file("a link, loosely", "link", AEL_KEY_FILE_ALLOW_LOOSE_MODE, AEL_E_KEY_FILE);
    remove_file("key");
    refuse_key_file("a link to nothing", "link", 0, AEL_E_KEY_FILE);
    remove_file("link");
    refuse_key_file("nothing", "key", 0, AEL_E_KEY_FILE);
    refuse_key_file("a folder", "", 0, AEL_E_KEY_FILE);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    refuse_key_file("a pipe", "key", 0, AEL_E_KEY_FILE);
    remove_file("key");
    folder_end();
}

/* The source is wiped, whatever comes of it. */
static void test_key_bytes__may_be_bad(void) {
    for (size_t len = 0; len <= MASTER_LEN + 1; len += len == 0 ? MASTER_LEN - 1 : 2) {
        uint8_t key[MASTER_LEN + 1];
        struct ael_kms *kms = (struct ael_kms *)0x10; /* to be overwritten */
        struct ael_error err = unwritten();
        memcpy(key, KEY_TEXT "-", sizeof key);
        enum ael_status status = ael_kms_static_from_bytes(key, len, &kms, &err);
        expect_refused("key bytes", status, AEL_E_ARGUMENT, &err, false);
        CU_ASSERT_PTR_NULL(kms);
        CU_ASSERT_TRUE(len == 0 || (key[0] == 0 && key[len - 1] == 0));
    }
}

/* ---- closed ---- */

static enum ael_status never_store(void *context, const struct ael_record *record, void **key) {
    (void)record, (void)key;
    *(bool *)context = true;
    return AEL_OK;
}

static enum ael_status never_load(void *context, const void *key, struct ael_record_buf *out) {
    (void)key, (void)out;
    *(bool *)context = true;
    return AEL_OK;
}

static void refuse_callbacks(struct ael_session *session) {
    struct guarded out;
    struct ael_error err = unwritten();
    bool called = false;
    void *key = &called; /* to be overwritten */
    enum ael_status status =
        ael_session_store(session, plain_bytes(), never_store, &called, &key, NULL, &err);
    expect_refused("store", status, AEL_E_CLOSED, &err, false);
    CU_ASSERT_PTR_NULL(key);
    guarded_begin(&out, ROOM);
    err = unwritten();
    status = ael_session_load(session, "key", never_load, &called, &out.buf, NULL, &err);
    expect_refused("load", status, AEL_E_CLOSED, &err, false);
    expect_wiped("load", &out);
    CU_ASSERT_FALSE(called);
}

static void check_closed(struct world *world, bool cached) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_record_from_json(ael_buf_view(&world->json), &record, NULL), AEL_OK);
    if (cached) {
        check_json_once(world->sessions[TERSE], "before closing", ael_buf_view(&world->json), AEL_OK, false);
    }
    struct ael_session *second = new_session(world->factories[TERSE], "Tenant-Quux-2");
    ael_session_factory_free(world->factories[TERSE]);
    world->factories[TERSE] = NULL;
    for (enum buffer_call call = ENCRYPT; call < BUFFER_CALLS; call++) {
        check_call_into(world, call, &record.record, ROOM, AEL_E_CLOSED);
    }
    refuse_callbacks(world->sessions[TERSE]);
    refuse_callbacks(second);
    check_json_once(world->sessions[TERSE], "bad JSON", ael_bytes_from_text("{"), AEL_E_CLOSED, false);
    CU_ASSERT_TRUE(ael_session_record_bound(second, PLAIN_LEN) < SIZE_MAX);
    ael_session_release(second);
    check_json_once(world->sessions[VERBOSE], "another factory", ael_buf_view(&world->json), AEL_OK, true);
    ael_record_buf_clear(&record);
}

static void test_factory__closes_sessions_that_are_open(void) {
    struct world world;
    for (int cached = 0; cached <= 1; cached++) {
        world_begin(&world);
        check_closed(&world, cached != 0);
        world_end(&world);
    }
}

static const struct test_case k_cases[] = {
    {"decrypt_json takes records in any order and with more", test_decrypt_json__takes_other_forms},
    {"decrypt_json refuses JSON of other shapes", test_decrypt_json__refuses_other_shapes},
    {"decrypt_json refuses trailing bytes", test_decrypt_json__refuses_what_follows},
    {"decrypt_json refuses text that is not UTF-8, and NUL in ids", test_decrypt_json__refuses_bad_text},
    {"decrypt_json refuses duplicate and wrong-case names",
     test_decrypt_json__refuses_duplicate_and_wrong_case_names},
    {"decrypt_json refuses numbers that are not integers", test_decrypt_json__refuses_numbers_that_are_none},
    {"decrypt_json refuses wrong base64", test_decrypt_json__refuses_wrong_base64},
    {"decrypt_json refuses forged records and foreign keys", test_decrypt_json__refuses_wrong_contents},
    {"decrypt_json refuses a record truncated anywhere", test_decrypt_json__refuses_each_truncation},
    {"decrypt_json refuses missing input", test_decrypt_json__refuses_what_is_not_there},
    {"decrypt_json refuses what is oversized", test_decrypt_json__refuses_what_is_oversized},
    {"decrypt_json refuses deep nesting", test_decrypt_json__refuses_deep_nesting},
    {"partitions may not be NULL, empty or other than UTF-8", test_session_acquire__refuses_bad_partitions},
    {"partitions may not be over-long", test_session_acquire__refuses_overlong_partitions},
    {"service and product may not be NULL, empty, over-long or other than UTF-8",
     test_session_factory_new__refuses_bad_names},
    {"records of neighbours are refused", test_decrypt_json__refuses_records_of_neighbours},
    {"a struct of another partition is refused", test_decrypt__refuses_a_record_of_another_partition},
    {"payloads that are too long are refused unread", test_encrypt__refuses_long_payloads_before_reading},
    {"bounds tell of overflow", test_bounds__tell_of_overflow},
    {"records of impossible lengths are refused", test_decrypt__refuses_records_of_impossible_lengths},
    {"a fixed buffer may not be one byte short", test_fixed_buffers__may_not_be_a_byte_short},
    {"rows of garbage are refused and kept", test_metastore__may_hold_garbage},
    {"a file that is no key store is refused", test_metastore__may_be_no_database},
    {"rows that are not keys are tolerated, and never used as one", test_key_records__may_be_no_keys},
    {"key files of the wrong mode or length are refused", test_key_file__may_be_bad},
    {"links, folders and pipes are not taken for key files", test_key_file__may_be_no_file},
    {"key bytes of the wrong length are refused and wiped", test_key_bytes__may_be_bad},
    {"sessions of a closed factory answer closed", test_factory__closes_sessions_that_are_open},
};

TEST_SUITE_MAIN("bad input", k_cases)
