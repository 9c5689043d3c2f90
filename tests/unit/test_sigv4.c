/*
 * tests/unit/test_sigv4.c - Signature Version 4 against the published suite (tests/vectors/sigv4).
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/sigv4/sigv4.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "net/sigv4/canonical.h"
#include "net/sigv4/clock.h"
#include "tests/support/suite.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#define BYTES(text) ael_bytes_from_text(text)

enum { MOST_HEADERS = 16 };

/* A case's request, cut from its text. */
struct parsed {
    char *text;
    char method[8];
    struct ael_http_header headers[MOST_HEADERS + AEL_SIGV4_ADDED_HEADERS];
    struct ael_sigv4_request request;
};

static struct ael_bytes between(const char *from, const char *to) {
    return (struct ael_bytes){(const uint8_t *)from, (size_t)(to - from)};
}

static void parse_target(struct parsed *parsed, const char *line, const char *end) {
    const char *target = strchr(line, ' ') + 1;
    const char *stop = end - strlen(" HTTP/1.1");
    const char *mark = memchr(target, '?', (size_t)(stop - target));
    (void)snprintf(parsed->method, sizeof parsed->method, "%.*s", (int)(target - 1 - line), line);
    parsed->request.method = parsed->method;
    parsed->request.path = between(target, mark == NULL ? stop : mark);
    if (mark != NULL) {
        parsed->request.query = between(mark + 1, stop);
    }
}

static void parse(const char *text, struct parsed *parsed) {
    *parsed = (struct parsed){.text = strdup(text)};
    char *line = parsed->text;
    char *end = strchr(line, '\n');
    parse_target(parsed, line, end);
    size_t count = 0;
    for (line = end + 1; *line != '\n' && *line != '\0'; line = *end == '\0' ? end : end + 1) {
        end = line + strcspn(line, "\n");
        char *colon = memchr(line, ':', (size_t)(end - line));
        if (line[0] == ' ') { /* folded: goes on with the value before */
            parsed->headers[count - 1].value.len =
                (size_t)((const uint8_t *)end - parsed->headers[count - 1].value.data);
            continue;
        }
        parsed->headers[count++] = (struct ael_http_header){between(line, colon), between(colon + 1, end)};
    }
    parsed->request.headers = parsed->headers;
    parsed->request.header_count = count;
    parsed->request.body = *line == '\n' ? BYTES(line + 1) : (struct ael_bytes){NULL, 0};
}

static const char *text_of(const cJSON *object, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text == NULL ? "" : text;
}

static bool flag_of(const cJSON *object, const char *name) {
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static struct ael_credentials *make_credentials(const char *id, const char *secret, const char *token) {
    struct ael_credentials *credentials = NULL;
    uint8_t copy[512];
    struct ael_credentials_parts parts = {
        BYTES(id), copy, strlen(secret), BYTES(token), AEL_CREDENTIALS_NEVER, "test"};
    memcpy(copy, secret, strlen(secret));
    CU_ASSERT_FATAL(ael_credentials_new(&parts, &credentials, NULL) == AEL_OK);
    for (size_t i = 0; i < strlen(secret); i++) {
        CU_ASSERT_EQUAL(copy[i], 0);
    }
    return credentials;
}

static struct ael_sigv4_scope scope_of(const cJSON *context) {
    struct ael_sigv4_scope scope = {
        .region = text_of(context, "region"),
        .service = text_of(context, "service"),
        .keep_path = !flag_of(context, "normalize"),
        .send_body_hash = flag_of(context, "sign_body"),
        .leave_token_alone = flag_of(context, "omit_session_token"),
    };
    CU_ASSERT_FATAL(ael_date_from_iso(BYTES(text_of(context, "timestamp")), &scope.time_s));
    return scope;
}

/* The canonical request of what was signed must be the suite's, text by text. */
static bool canonical_is(
    struct parsed *parsed,
    const struct ael_sigv4_scope *scope,
    const struct ael_sigv4_signed *made,
    const char *expected) {
    struct ael_buf canonical = AEL_BUF_INIT;
    struct ael_buf names = AEL_BUF_INIT;
    struct ael_http_header added[AEL_SIGV4_ADDED_HEADERS];
    size_t count = parsed->request.header_count;
    size_t added_count = ael_sigv4_headers(made, added) - 1; /* all but Authorization */
    for (size_t i = 0; i < added_count; i++) {
        bool token = added[i].name.len == strlen("X-Amz-Security-Token");
        if (!(token && scope->leave_token_alone &&
              strncmp((const char *)added[i].name.data, "X-Amz-S", 7) == 0)) {
            parsed->headers[count++] = added[i];
        }
    }
    enum ael_status status = ael_sigv4_canonical_request(
        &canonical, &names, &parsed->request, scope->keep_path, parsed->headers, count,
        strrchr(expected, '\n') + 1);
    bool same = status == AEL_OK && canonical.len == strlen(expected) &&
                memcmp(canonical.data, expected, canonical.len) == 0;
    if (!same) {
        printf("\nexpected:\n%s\nis:\n%.*s\n", expected, (int)canonical.len, (const char *)canonical.data);
    }
    ael_buf_clear(&canonical);
    ael_buf_clear(&names);
    return same;
}

static bool signature_is(const struct ael_sigv4_signed *made, const char *signature) {
    size_t len = strlen(signature);
    return len == 64 && made->authorization.len > len &&
           memcmp(made->authorization.data + made->authorization.len - len, signature, len) == 0;
}

static bool run_case(const cJSON *one) {
    const cJSON *context = cJSON_GetObjectItemCaseSensitive(one, "context");
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(context, "credentials");
    struct ael_sigv4_signed made = {0};
    struct ael_sigv4_scope scope = scope_of(context);
    struct parsed parsed;
    struct ael_credentials *credentials = make_credentials(
        text_of(keys, "access_key_id"), text_of(keys, "secret_access_key"), text_of(keys, "token"));
    parse(text_of(one, "request"), &parsed);
    enum ael_status status = ael_sigv4_sign(credentials, NULL, &parsed.request, &scope, &made, NULL);
    bool good = status == AEL_OK && signature_is(&made, text_of(one, "signature")) &&
                canonical_is(&parsed, &scope, &made, text_of(one, "canonical_request"));
    if (!good) {
        printf("\n%s: %d\n", text_of(one, "name"), (int)status);
    }
    ael_sigv4_signed_clear(&made);
    ael_credentials_release(credentials);
    free(parsed.text);
    return good;
}

static cJSON *read_suite(void) {
    static char text[65536];
    FILE *file = fopen(AEL_TEST_SOURCE_DIR "/tests/vectors/sigv4/signing-suite.json", "rb");
    CU_ASSERT_FATAL(file != NULL);
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    return cJSON_Parse(text);
}

static void test_sigv4_sign__gives_the_published_signatures(void) {
    cJSON *suite = read_suite();
    const cJSON *one = NULL;
    int good = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(suite, "cases")) {
        good += run_case(one) ? 1 : 0;
    }
    CU_ASSERT_EQUAL(good, 38);
    cJSON_Delete(suite);
}

static bool path_is(const char *path, const char *expected) {
    struct ael_buf out = AEL_BUF_INIT;
    bool same = ael_sigv4_canonical_path(&out, BYTES(path), false) == AEL_OK && out.len == strlen(expected) &&
                memcmp(out.data, expected, out.len) == 0;
    ael_buf_clear(&out);
    return same;
}

static void test_sigv4_canonical_path__encodes_what_is_sent_and_takes_dots_out(void) {
    CU_ASSERT(path_is("/test/@connections/JBDvjfGEIAMCERw%3D", "/test/%40connections/JBDvjfGEIAMCERw%253D"));
    CU_ASSERT(path_is("/functions/arn%3Aaws", "/functions/arn%253Aaws"));
    CU_ASSERT(path_is("", "/"));
    CU_ASSERT(path_is("/", "/"));
    CU_ASSERT(path_is("/a.", "/a."));
    CU_ASSERT(path_is("/a..", "/a.."));
    CU_ASSERT(path_is("/...", "/..."));
    CU_ASSERT(path_is("/.a", "/.a"));
    CU_ASSERT(path_is("/..", "/"));
    CU_ASSERT(path_is("/../../a", "/a"));
    CU_ASSERT(path_is("/a/b/..", "/a/"));
    CU_ASSERT(path_is("/a/./b/", "/a/b/"));
    CU_ASSERT(path_is("/~-_.", "/~-_."));
}

static bool query_is(const char *query, const char *expected) {
    struct ael_buf out = AEL_BUF_INIT;
    bool same = ael_sigv4_canonical_query(&out, BYTES(query)) == AEL_OK && out.len == strlen(expected) &&
                (out.len == 0 || memcmp(out.data, expected, out.len) == 0);
    ael_buf_clear(&out);
    return same;
}

static void test_sigv4_canonical_query__sorts_by_name_and_then_value(void) {
    CU_ASSERT(query_is("", ""));
    CU_ASSERT(query_is("b=2&a=1", "a=1&b=2"));
    CU_ASSERT(query_is("a=2&a=1&a=10", "a=1&a=10&a=2"));
    CU_ASSERT(query_is("Param-3=v&Param=w", "Param=w&Param-3=v"));
    CU_ASSERT(query_is("flag&x=", "flag=&x="));
    CU_ASSERT(query_is("a=%2f&b=%7E&c=%zz&d=%", "a=%2F&b=~&c=%25zz&d=%25"));
    CU_ASSERT(query_is("&&a=1&", "a=1"));
    CU_ASSERT(query_is("a=b=c", "a=b%3Dc"));
    CU_ASSERT(query_is("a+b=%20", "a%2Bb=%20"));
    CU_ASSERT(query_is("a=%2", "a=%252"));
}

/* ---- that each part counts ---- */

struct example {
    struct ael_sigv4_request request;
    struct ael_sigv4_scope scope;
    struct ael_http_header headers[2];
};

static void example_begin(struct example *example) {
    *example = (struct example){
        .request = {.method = "POST", .path = BYTES("/"), .header_count = 2, .body = BYTES("{}")},
        .scope = {.region = "us-east-1", .service = "dynamodb", .time_s = 1440938160},
        .headers = {{BYTES("Host"), BYTES("localhost:8000")}, {BYTES("X-Amz-Target"), BYTES("GetItem")}},
    };
    example->request.headers = example->headers;
}

static void
signature_of(const struct example *example, const struct ael_credentials *credentials, char out[65]) {
    struct ael_sigv4_signed made = {0};
    CU_ASSERT_FATAL(
        ael_sigv4_sign(credentials, NULL, &example->request, &example->scope, &made, NULL) == AEL_OK);
    (void)snprintf(out, 65, "%.64s", (const char *)made.authorization.data + made.authorization.len - 64);
    ael_sigv4_signed_clear(&made);
}

static void test_sigv4_sign__changes_with_every_part(void) {
    struct ael_credentials *credentials = make_credentials("AKID", "secret", "");
    struct ael_credentials *other = make_credentials("AKID", "Secret", "");
    struct ael_credentials *session = make_credentials("AKID", "secret", "token");
    char all[11][65];
    struct example example;
    for (size_t i = 0; i < 11; i++) {
        example_begin(&example);
        const struct ael_credentials *with = i == 1 ? other : i == 2 ? session : credentials;
        example.request.method = i == 3 ? "GET" : example.request.method;
        example.request.path = i == 4 ? BYTES("/x") : example.request.path;
        example.request.query = i == 5 ? BYTES("x") : example.request.query;
        example.request.body = i == 6 ? BYTES("{ }") : example.request.body;
        example.headers[1].value = i == 7 ? BYTES("PutItem") : example.headers[1].value;
        example.scope.time_s += i == 8 ? 1 : 0;
        example.scope.region = i == 9 ? "us-west-2" : example.scope.region;
        example.scope.service = i == 10 ? "kms" : example.scope.service;
        signature_of(&example, with, all[i]);
        for (size_t j = 0; j < i; j++) {
            CU_ASSERT_STRING_NOT_EQUAL(all[i], all[j]);
        }
    }
    example_begin(&example);
    signature_of(&example, credentials, all[1]);
    CU_ASSERT_STRING_EQUAL(all[0], all[1]);
    ael_credentials_release(credentials);
    ael_credentials_release(other);
    ael_credentials_release(session);
}

static void test_sigv4_headers__are_those_to_send(void) {
    struct ael_credentials *credentials = make_credentials("AKID", "secret", "token");
    struct ael_http_header headers[AEL_SIGV4_ADDED_HEADERS];
    struct ael_sigv4_signed made = {0};
    struct example example;
    example_begin(&example);
    example.scope.send_body_hash = true;
    CU_ASSERT_EQUAL(ael_sigv4_sign(credentials, NULL, &example.request, &example.scope, &made, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_sigv4_headers(&made, headers), 4);
    CU_ASSERT_EQUAL(memcmp(headers[0].value.data, "20150830T123600Z", 16), 0);
    CU_ASSERT_EQUAL(memcmp(headers[1].value.data, "token", 5), 0);
    CU_ASSERT_EQUAL(headers[2].value.len, 64);
    static const char k_start[] =
        "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/dynamodb/aws4_request, SignedHeaders="
        "host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target, Signature=";
    CU_ASSERT_EQUAL(memcmp(headers[3].value.data, k_start, sizeof k_start - 1), 0);
    ael_sigv4_signed_clear(&made);
    ael_credentials_release(credentials);
}

static void test_sigv4_sign__refuses_without_a_host_or_a_date(void) {
    struct ael_credentials *credentials = make_credentials("AKID", "secret", "");
    struct ael_sigv4_signed made = {0};
    struct ael_error err = {0};
    struct example example;
    example_begin(&example);
    example.headers[0].name = BYTES("Hos");
    CU_ASSERT_EQUAL(
        ael_sigv4_sign(credentials, NULL, &example.request, &example.scope, &made, &err), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "Host"));
    example_begin(&example);
    example.scope.time_s = INT64_MAX;
    CU_ASSERT_EQUAL(
        ael_sigv4_sign(credentials, NULL, &example.request, &example.scope, &made, &err), AEL_E_ARGUMENT);
    example_begin(&example);
    example.request.header_count = AEL_SIGV4_MAX_HEADERS + 1;
    CU_ASSERT_EQUAL(
        ael_sigv4_sign(credentials, NULL, &example.request, &example.scope, &made, &err), AEL_E_ARGUMENT);
    CU_ASSERT(made.authorization.len == 0 && made.token.len == 0);
    ael_credentials_release(credentials);
}

static int fail_at(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_sigv4_sign__survives_each_failed_allocation(void) {
    struct ael_credentials *credentials = make_credentials("AKID", "secret", "token");
    struct example example;
    bool done = false;
    example_begin(&example);
    example.request.query = BYTES("b=1&a=2");
    for (int i = 0; i < 60 && !done; i++) {
        int left = i;
        struct ael_sigv4_signed made = {0};
        ael_alloc_set_fault(fail_at, &left);
        enum ael_status status =
            ael_sigv4_sign(credentials, NULL, &example.request, &example.scope, &made, NULL);
        ael_alloc_set_fault(NULL, NULL);
        done = left >= 0;
        CU_ASSERT_EQUAL(status, done ? AEL_OK : AEL_E_NO_MEMORY);
        ael_sigv4_signed_clear(&made);
    }
    CU_ASSERT(done);
    ael_credentials_release(credentials);
}

/* ---- credentials ---- */

static enum ael_status
try_parts(const char *id, const char *secret, const char *token, struct ael_error *err) {
    struct ael_credentials *credentials = NULL;
    uint8_t copy[600] = {0};
    struct ael_credentials_parts parts = {
        BYTES(id), copy, strlen(secret), BYTES(token), AEL_CREDENTIALS_NEVER, "here"};
    memcpy(copy, secret, strlen(secret));
    enum ael_status status = ael_credentials_new(&parts, &credentials, err);
    for (size_t i = 0; i < sizeof copy; i++) {
        CU_ASSERT_EQUAL(copy[i], 0);
    }
    CU_ASSERT((status == AEL_OK) == (credentials != NULL));
    ael_credentials_release(credentials);
    return status;
}

static void test_credentials_new__refuses_what_no_header_may_hold(void) {
    struct ael_error err = {0};
    char longest[AEL_CREDENTIALS_SECRET_MAX + 2] = {0};
    memset(longest, 'x', AEL_CREDENTIALS_SECRET_MAX);
    CU_ASSERT_EQUAL(try_parts("AKID", longest, "", &err), AEL_OK);
    longest[AEL_CREDENTIALS_SECRET_MAX] = 'x';
    CU_ASSERT_EQUAL(try_parts("AKID", longest, "", &err), AEL_E_FORMAT);
    CU_ASSERT(strstr(err.detail, "here: the secret access key") != NULL && strstr(err.detail, "xxx") == NULL);
    CU_ASSERT_EQUAL(try_parts("", "s", "", &err), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(try_parts("A/B", "s", "", &err), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(try_parts("A,B", "s", "", &err), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(try_parts("A B", "s", "", &err), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(try_parts("A", "", "", &err), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(try_parts("A", "s\n", "", &err), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(try_parts("A", "s", "t\r\nX: y", &err), AEL_E_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "session token"));
}

/* ---- the clock ---- */

static struct ael_http_response answer_of(const char *date) {
    struct ael_http_response response = {.headers = AEL_BUF_INIT};
    char line[128];
    (void)snprintf(line, sizeof line, "HTTP/1.1 403 Forbidden\r\nDate: %s\r\n\r\n", date);
    CU_ASSERT_FATAL(ael_buf_append(&response.headers, BYTES(line)) == AEL_OK);
    return response;
}

static bool correct_since(struct ael_sigv4_clock *clock, int64_t signed_ahead_s, const char *date) {
    struct ael_http_response response = answer_of(date);
    bool changed = ael_sigv4_clock_correct(clock, signed_ahead_s, &response);
    ael_http_response_clear(&response);
    return changed;
}

static bool correct(struct ael_sigv4_clock *clock, const char *date) {
    return correct_since(clock, ael_sigv4_clock_ahead_s(clock), date);
}

static void test_sigv4_clock_correct__takes_the_servers_time_after_a_refusal(void) {
    struct ael_sigv4_clock clock = {0};
    ael_clock_set_for_test(784887151, 1);
    CU_ASSERT_EQUAL(ael_sigv4_clock_now(&clock), 784887151);
    CU_ASSERT_FALSE(correct(&clock, "Tue, 15 Nov 1994 08:13:31 GMT")); /* a minute */
    CU_ASSERT_EQUAL(ael_sigv4_clock_now(&clock), 784887151);
    CU_ASSERT(correct(&clock, "Tue, 15 Nov 1994 10:12:31 GMT"));
    CU_ASSERT_EQUAL(ael_sigv4_clock_now(&clock), 784887151 + 7200);
    CU_ASSERT_FALSE(correct(&clock, "Tue, 15 Nov 1994 10:12:41 GMT")); /* again: it does not help */
    CU_ASSERT_FALSE(correct(&clock, "no date"));
    CU_ASSERT(correct(&clock, "Tue, 15 Nov 1994 08:12:31 GMT")); /* the machine's clock was set */
    CU_ASSERT_EQUAL(ael_sigv4_clock_now(&clock), 784887151);
    ael_clock_reset_for_test();
}

/* Two requests are signed, then both are refused: each is to be signed again. */
static void test_sigv4_clock_correct__tells_all_who_signed_before(void) {
    struct ael_sigv4_clock clock = {0};
    ael_clock_set_for_test(784887151, 1);
    int64_t first_s = ael_sigv4_clock_ahead_s(&clock);
    int64_t second_s = ael_sigv4_clock_ahead_s(&clock);
    CU_ASSERT(correct_since(&clock, first_s, "Tue, 15 Nov 1994 10:12:31 GMT"));
    CU_ASSERT(correct_since(&clock, second_s, "Tue, 15 Nov 1994 10:12:32 GMT"));
    CU_ASSERT_FALSE(correct(&clock, "Tue, 15 Nov 1994 10:12:33 GMT"));
    ael_clock_reset_for_test();
}

static const struct test_case k_cases[] = {
    {"the published signatures", test_sigv4_sign__gives_the_published_signatures},
    {"paths are encoded as they are sent",
     test_sigv4_canonical_path__encodes_what_is_sent_and_takes_dots_out},
    {"queries are sorted", test_sigv4_canonical_query__sorts_by_name_and_then_value},
    {"every part changes the signature", test_sigv4_sign__changes_with_every_part},
    {"the headers to send", test_sigv4_headers__are_those_to_send},
    {"no signature without host or date", test_sigv4_sign__refuses_without_a_host_or_a_date},
    {"each failed allocation is survived", test_sigv4_sign__survives_each_failed_allocation},
    {"credentials that no header may hold are refused",
     test_credentials_new__refuses_what_no_header_may_hold},
    {"the server's time is taken after a refusal",
     test_sigv4_clock_correct__takes_the_servers_time_after_a_refusal},
    {"all who signed before are told of the server's time",
     test_sigv4_clock_correct__tells_all_who_signed_before},
};
TEST_SUITE_MAIN("sigv4", k_cases)
