/*
 * tests/unit/test_credentials.c - the sources of credentials and their order: a home folder of the test's, and a server that
 * stands for the services which exist inside AWS only.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/credentials/chain.h"

#include "base/alloc.h"
#include "net/credentials/answer.h"
#include "net/credentials/sources.h"
#include "tests/support/http_server.h"
#include "tests/support/suite.h"

#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

#define KEYS(id)                                                                                             \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"s3cret\",\"Token\":\"t0ken\","   \
    "\"Expiration\":\"2100-01-01T00:00:00Z\"}"

/* What the services do next, and what they were asked. */
static struct {
    const char *token_how; /* "hang", "refuse" */
    int status;            /* of the service that gives keys; 0 = 200 */
    const char *body;      /* its answer; NULL = good ones */
    const char *need_authorization;
    atomic_int requests;
    char last_target[2048];
    char last_form[16384];
    char last_authorization[4096];
} s_service;

static void answer_sts(const struct http_server_request *request, struct http_server_reply *reply) {
    bool web = strstr(request->body, "Action=AssumeRoleWithWebIdentity") != NULL;
    (void)snprintf(s_service.last_form, sizeof s_service.last_form, "%s", request->body);
    (void)snprintf(
        reply->body, sizeof reply->body,
        "<AssumeRoleResponse "
        "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Result><Credentials><AccessKeyId>%s"
        "</AccessKeyId><SecretAccessKey>s3cret+/=</SecretAccessKey><SessionToken>t0ken//==</SessionToken>"
        "<Expiration>2100-01-01T00:00:00.000Z</Expiration></Credentials></Result></AssumeRoleResponse>",
        web ? "AKIDWEB" : "AKIDROLE");
}

static void answer_metadata(const struct http_server_request *request, struct http_server_reply *reply) {
    char value[4096];
    bool good = strcmp(http_server_header(request, "X-aws-ec2-metadata-token", value), "imds-token") == 0;
    bool keys = strcmp(request->target, "/latest/meta-data/iam/security-credentials/my-role") == 0;
    reply->status = good ? 200 : 401;
    (void)snprintf(reply->body, sizeof reply->body, "%s", keys ? KEYS("AKIDIMDS") : "my-role\n");
    if (good && keys && s_service.body != NULL) {
        (void)snprintf(reply->body, sizeof reply->body, "%s", s_service.body);
    }
    if (good && s_service.status != 0) {
        reply->status = s_service.status;
    }
}

static void answer_token(const struct http_server_request *request, struct http_server_reply *reply) {
    char value[4096];
    bool good =
        strcmp(http_server_header(request, "X-aws-ec2-metadata-token-ttl-seconds", value), "21600") == 0;
    reply->status = good && strcmp(request->method, "PUT") == 0 ? 200 : 400;
    if (s_service.token_how != NULL && strcmp(s_service.token_how, "refuse") == 0) {
        reply->status = 403;
    }
    if (s_service.token_how != NULL && strcmp(s_service.token_how, "hang") == 0) {
        reply->how = HTTP_SERVER_HANGS;
    }
    (void)snprintf(reply->body, sizeof reply->body, "imds-token");
}

static void answer_other(const struct http_server_request *request, struct http_server_reply *reply) {
    char value[4096];
    bool sso = strncmp(request->target, "/federation/credentials?", 24) == 0;
    if (sso) {
        (void)http_server_header(request, "x-amz-sso_bearer_token", s_service.last_authorization);
        (void)snprintf(
            reply->body, sizeof reply->body,
            "{\"roleCredentials\":{\"accessKeyId\":\"AKIDSSO\",\"secretAccessKey\":\"s3cret\","
            "\"sessionToken\":\"t0ken\","
            "\"expiration\":4102444800000}}");
    } else if (strcmp(request->target, "/") == 0) {
        answer_sts(request, reply);
    } else {
        (void)snprintf(reply->body, sizeof reply->body, "%s", KEYS("AKIDECS"));
        const char *need = s_service.need_authorization;
        reply->status = need == NULL || strcmp(http_server_header(request, "Authorization", value), need) == 0
                            ? 200
                            : 401;
    }
    if (s_service.status != 0) {
        reply->status = s_service.status;
    }
    if (s_service.body != NULL) {
        (void)snprintf(reply->body, sizeof reply->body, "%s", s_service.body);
    }
}

static void
answer(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)context;
    atomic_fetch_add(&s_service.requests, 1);
    (void)snprintf(s_service.last_target, sizeof s_service.last_target, "%s", request->target);
    (void)http_server_header(request, "Authorization", s_service.last_authorization);
    if (strcmp(request->target, "/latest/api/token") == 0) {
        answer_token(request, reply);
    } else if (strncmp(request->target, "/latest/meta-data/", 18) == 0) {
        answer_metadata(request, reply);
    } else {
        answer_other(request, reply);
    }
}

/* ---- a home folder, an environment, a chain ---- */

struct world {
    char home[64];
    struct http_server *server;
    struct ael_http *http;
    struct ael_credentials_chain *chain;
    struct ael_credentials *credentials;
    struct ael_error err;
};

static void forget_environment(void) {
    for (size_t i = 0; environ != NULL && environ[i] != NULL;) {
        char name[128];
        size_t len = strcspn(environ[i], "=");
        (void)snprintf(name, sizeof name, "%.*s", (int)len, environ[i]);
        if (strncmp(name, "AWS_", 4) == 0) {
            (void)unsetenv(name);
            continue;
        }
        i++;
    }
}

static void set(const char *name, const char *value) {
    CU_ASSERT_FATAL(setenv(name, value, 1) == 0);
}

static void write_file(const struct world *world, const char *name, const char *content) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", world->home, name);
    FILE *file = fopen(path, "wb");
    CU_ASSERT_FATAL(file != NULL);
    (void)fputs(content, file);
    (void)fclose(file);
}

static void make_folder(const struct world *world, const char *name) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", world->home, name);
    CU_ASSERT_FATAL(mkdir(path, 0700) == 0);
}

static void begin(struct world *world) {
    struct ael_http_options options = AEL_HTTP_OPTIONS_INIT;
    memset(world, 0, sizeof *world);
    memset(&s_service, 0, sizeof s_service);
    forget_environment();
    (void)snprintf(world->home, sizeof world->home, "/tmp/ael-home-XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(world->home) != NULL);
    make_folder(world, ".aws");
    set("HOME", world->home);
    world->server = http_server_start(answer, NULL);
    CU_ASSERT_FATAL(world->server != NULL);
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", http_server_url(world->server));
    set("AWS_ENDPOINT_URL", http_server_url(world->server));
    CU_ASSERT_FATAL(ael_http_new(&options, &world->http, NULL) == AEL_OK);
    CU_ASSERT_FATAL(ael_credentials_chain_new(world->http, NULL, NULL, &world->chain) == AEL_OK);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void end(struct world *world) {
    ael_credentials_release(world->credentials);
    ael_credentials_chain_free(world->chain);
    ael_http_free(world->http);
    http_server_stop(world->server);
    (void)nftw(world->home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    forget_environment();
}

static enum ael_status find_within(struct world *world, const struct ael_call *call) {
    ael_credentials_release(world->credentials);
    memset(&world->err, 0, sizeof world->err);
    enum ael_status status =
        ael_credentials_chain_fetch(world->chain, call, &world->credentials, &world->err);
    CU_ASSERT((status == AEL_OK) == (world->credentials != NULL));
    CU_ASSERT(status == AEL_OK || world->err.status == status);
    CU_ASSERT_PTR_NULL(strstr(world->err.detail, "s3cret"));
    CU_ASSERT_PTR_NULL(strstr(world->err.detail, "t0ken"));
    return status;
}

static enum ael_status find(struct world *world) {
    return find_within(world, NULL);
}

static bool says(const struct world *world, const char *words) {
    bool found = strstr(world->err.detail, words) != NULL;
    if (!found) {
        printf("\n%s\n", world->err.detail);
    }
    return found;
}

static bool is_text(struct ael_bytes bytes, const char *text) {
    return bytes.len == strlen(text) && (bytes.len == 0 || memcmp(bytes.data, text, bytes.len) == 0);
}

static bool secret_is(struct ael_secret *secret, const char *text) {
    struct ael_secret_access access;
    CU_ASSERT_FATAL(ael_secret_access_begin(secret, &access) == AEL_OK);
    bool same = is_text(access.bytes, text);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    return same;
}

static bool found(const struct world *world, const char *id, const char *secret, const char *token) {
    return is_text(ael_credentials_access_key_id(world->credentials), id) &&
           secret_is(ael_credentials_secret(world->credentials), secret) &&
           is_text(ael_credentials_token(world->credentials), token);
}

/* ---- environment ---- */

static void test_env__comes_first(void) {
    struct world world;
    begin(&world);
    write_file(
        &world, ".aws/credentials", "[default]\naws_access_key_id=AKIDFILE\naws_secret_access_key=other\n");
    set("AWS_ACCESS_KEY_ID", "AKIDENV");
    set("AWS_SECRET_ACCESS_KEY", "s3cret");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDENV", "s3cret", ""));
    CU_ASSERT_STRING_EQUAL(ael_credentials_source(world.credentials), "environment");
    CU_ASSERT_EQUAL(ael_credentials_expires_s(world.credentials), AEL_CREDENTIALS_NEVER);
    set("AWS_SESSION_TOKEN", "t0ken");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDENV", "s3cret", "t0ken"));
    set("AWS_SECRET_ACCESS_KEY", "");
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "set both or none"));
    set("AWS_SECRET_ACCESS_KEY", "s3cret with blanks");
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "secret access key"));
    CU_ASSERT_EQUAL(atomic_load(&s_service.requests), 0);
    end(&world);
}

/* ---- web identity ---- */

static void test_web_identity__exchanges_the_token_unsigned(void) {
    struct world world;
    char path[128];
    begin(&world);
    (void)snprintf(path, sizeof path, "%s/token", world.home);
    write_file(&world, "token", "ey.t0ken+/\n");
    set("AWS_WEB_IDENTITY_TOKEN_FILE", path);
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "AWS_ROLE_ARN"));
    set("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod");
    set("AWS_ROLE_SESSION_NAME", "me");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDWEB", "s3cret+/=", "t0ken//=="));
    CU_ASSERT_EQUAL(ael_credentials_expires_s(world.credentials), 4102444800);
    CU_ASSERT_STRING_EQUAL(
        s_service.last_form,
        "Version=2011-06-15&Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fpod"
        "&RoleSessionName=me&WebIdentityToken=ey.t0ken%2B%2F");
    CU_ASSERT_STRING_EQUAL(s_service.last_authorization, "");
    s_service.status = 403;
    s_service.body =
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>s3cret</Message></Error></ErrorResponse>";
    CU_ASSERT_EQUAL(find(&world), AEL_E_BACKEND);
    CU_ASSERT(
        says(&world, "HTTP 403 AccessDenied") && says(&world, "trust policy") &&
        world.err.native_code == 403);
    s_service.status = 503;
    CU_ASSERT_EQUAL(find(&world), AEL_E_UNREACHABLE);
    (void)unlink(path);
    CU_ASSERT_EQUAL(find(&world), AEL_E_SYSTEM);
    CU_ASSERT(says(&world, "does not exist"));
    end(&world);
}

/* ---- profiles ---- */

static void test_profile__gives_its_keys(void) {
    struct world world;
    begin(&world);
    write_file(
        &world, ".aws/credentials",
        "[default]\naws_access_key_id = AKIDDEF\naws_secret_access_key = s3cret\n[two]\naws_access_key_id = "
        "AKIDTWO # c\n"
        "AWS_SECRET_ACCESS_KEY = s3cret2\naws_session_token = t0ken\n[half]\naws_access_key_id = A\n");
    write_file(
        &world, ".aws/config",
        "[profile two]\nregion = eu-west-1\naws_access_key_id = AKIDCONFIG\n[profile "
        "only]\naws_access_key_id = AKIDONLY\n"
        "aws_secret_access_key = s3cret3\n[two]\nrole_arn = ignored\n");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDDEF", "s3cret", ""));
    set("AWS_PROFILE", "two");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDTWO", "s3cret2", "t0ken"));
    set("AWS_PROFILE", "only");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDONLY", "s3cret3", ""));
    set("AWS_PROFILE", "half");
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "must both be there"));
    set("AWS_PROFILE", "none");
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "profile none is in neither"));
    end(&world);
}

static void test_profile__tells_files_that_it_cannot_use(void) {
    struct world world;
    char path[128];
    begin(&world);
    write_file(&world, ".aws/credentials", "[default]\naws_access_key_id = A\ns3cret\n");
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "line 3 of"));
    (void)snprintf(path, sizeof path, "%s/.aws", world.home);
    set("AWS_SHARED_CREDENTIALS_FILE", path); /* a folder */
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "no regular file"));
    set("AWS_SHARED_CREDENTIALS_FILE", "/dev/zero");
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    end(&world);
}

static void test_profile__takes_roles_on(void) {
    struct world world;
    begin(&world);
    write_file(
        &world, ".aws/config",
        "[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nexternal_id = e "
        "x\nduration_seconds = 900\n"
        "role_session_name = me\nregion = eu-west-1\n"
        "[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s3cret\n"
        "[profile self]\nrole_arn = arn:self\nsource_profile = self\naws_access_key_id = AKIDSELF\n"
        "aws_secret_access_key = s3cret\n"
        "[profile chain]\nrole_arn = arn:chain\nsource_profile = r\n"
        "[profile env]\nrole_arn = arn:env\ncredential_source = Ec2InstanceMetadata\n"
        "[profile a]\nrole_arn = arn:a\nsource_profile = b\n[profile b]\nrole_arn = arn:b\nsource_profile = "
        "a\n"
        "[profile mfa]\nrole_arn = arn:m\nsource_profile = base\nmfa_serial = x\n"
        "[profile lost]\nrole_arn = arn:l\nsource_profile = nobody\n[profile bare]\nrole_arn = arn:x\n"
        "[profile odd]\nrole_arn = arn:x\ncredential_source = Moon\n"
        "[profile empty]\nregion = x\n[profile over-empty]\nrole_arn = arn:x\nsource_profile = empty\n");
    set("AWS_PROFILE", "r");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDROLE", "s3cret+/=", "t0ken//=="));
    CU_ASSERT_STRING_EQUAL(
        s_service.last_form,
        "Version=2011-06-15&Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=me"
        "&ExternalId=e%20x&DurationSeconds=900");
    CU_ASSERT_PTR_NOT_NULL(strstr(s_service.last_authorization, "Credential=AKIDBASE/"));
    CU_ASSERT_PTR_NOT_NULL(strstr(s_service.last_authorization, "/eu-west-1/sts/aws4_request"));
    set("AWS_PROFILE", "self");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(s_service.last_authorization, "Credential=AKIDSELF/"));
    int before = atomic_load(&s_service.requests);
    set("AWS_PROFILE", "chain");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT_EQUAL(atomic_load(&s_service.requests), before + 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(s_service.last_authorization, "Credential=AKIDROLE/"));
    CU_ASSERT_PTR_NOT_NULL(strstr(s_service.last_authorization, "x-amz-security-token"));
    set("AWS_PROFILE", "env");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(s_service.last_authorization, "Credential=AKIDIMDS/"));
    static const char *const k_bad[][2] = {
        {"a", "circle"},
        {"mfa", "mfa_serial"},
        {"lost", "neither file"},
        {"bare", "needs source_profile"},
        {"odd", "credential_source is"},
        {"over-empty", "no credentials here"}};
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        set("AWS_PROFILE", k_bad[i][0]);
        CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
        CU_ASSERT(says(&world, k_bad[i][1]));
    }
    set("AWS_PROFILE", "r");
    s_service.body = "<Credentials><AccessKeyId>A</AccessKeyId></Credentials>";
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    set("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
    CU_ASSERT_EQUAL(find(&world), AEL_E_UNREACHABLE);
    end(&world);
}

/* ---- SSO ---- */

static void name_token_file(const char *key, char name[static 128]) {
    char command[256];
    char hex[41] = {0};
    (void)snprintf(command, sizeof command, "printf %%s '%s' | sha1sum", key);
    FILE *pipe = popen(command, "re");
    CU_ASSERT_FATAL(pipe != NULL && fread(hex, 1, 40, pipe) == 40);
    (void)pclose(pipe);
    (void)snprintf(name, 128, ".aws/sso/cache/%s.json", hex);
}

static void test_sso__asks_the_portal_with_the_token_of_the_log_in(void) {
    struct world world;
    char name[128];
    begin(&world);
    make_folder(&world, ".aws/sso");
    make_folder(&world, ".aws/sso/cache");
    write_file(
        &world, ".aws/config",
        "[profile s]\nsso_session = corp\nsso_account_id = 111\nsso_role_name = Read Only\n"
        "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://x.example/start\n"
        "[profile old]\nsso_start_url = https://x.example/start\nsso_region = eu-west-1\nsso_account_id = "
        "222\n"
        "sso_role_name = r\n[profile part]\nsso_session = gone\nsso_account_id = 1\nsso_role_name = r\n");
    set("AWS_PROFILE", "s");
    CU_ASSERT_EQUAL(find(&world), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "nobody has logged in; run: aws sso login --profile s"));
    name_token_file("corp", name);
    write_file(
        &world, name,
        "{\"accessToken\":\"t0ken-sso\",\"expiresAt\":\"2100-01-01T00:00:00Z\",\"region\":\"x\"}");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDSSO", "s3cret", "t0ken"));
    CU_ASSERT_EQUAL(ael_credentials_expires_s(world.credentials), 4102444800);
    CU_ASSERT_STRING_EQUAL(
        s_service.last_target, "/federation/credentials?account_id=111&role_name=Read%20Only");
    CU_ASSERT_STRING_EQUAL(s_service.last_authorization, "t0ken-sso");
    s_service.status = 401;
    CU_ASSERT_EQUAL(find(&world), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "aws sso login"));
    s_service.status = 0;
    write_file(&world, name, "{\"accessToken\":\"t0ken-sso\",\"expiresAt\":\"2020-01-01T00:00:00Z\"}");
    CU_ASSERT_EQUAL(find(&world), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "the log-in has ended"));
    write_file(&world, name, "{\"accessToken\":");
    CU_ASSERT_EQUAL(find(&world), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "damaged"));
    set("AWS_PROFILE", "old");
    name_token_file("https://x.example/start", name);
    write_file(&world, name, "{\"expiresAt\":\"2100-01-01T00:00:00Z\",\"accessToken\":\"t0ken-old\"}");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT_STRING_EQUAL(s_service.last_authorization, "t0ken-old");
    set("AWS_PROFILE", "part");
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "needs sso_account_id"));
    end(&world);
}

/* ---- credential_process ---- */

static enum ael_status run_process(struct world *world, const struct ael_call *call, const char *command) {
    char config[4096];
    (void)snprintf(config, sizeof config, "[default]\ncredential_process = %s\n", command);
    write_file(world, ".aws/config", config);
    return find_within(world, call);
}

static void test_process__takes_what_a_program_prints(void) {
    struct world world;
    struct ael_call call = AEL_CALL_INIT;
    begin(&world);
    write_file(&world, "keys", "{\"Version\":1,\"AccessKeyId\":\"AKIDPROC\",\"SecretAccessKey\":\"s3cret\"}");
    CU_ASSERT_EQUAL(run_process(&world, NULL, "cat \"$HOME/keys\""), AEL_OK);
    CU_ASSERT(found(&world, "AKIDPROC", "s3cret", ""));
    CU_ASSERT_EQUAL(ael_credentials_expires_s(world.credentials), AEL_CREDENTIALS_NEVER);
    write_file(
        &world, "keys",
        "{\"Version\":1,\"AccessKeyId\":\"AKIDPROC\",\"SecretAccessKey\":\"s3cret\",\"SessionToken\":"
        "\"t0ken\","
        "\"Expiration\":\"2100-01-01T01:00:00+01:00\"}");
    CU_ASSERT_EQUAL(run_process(&world, NULL, "cat \"$HOME/keys\""), AEL_OK);
    CU_ASSERT(found(&world, "AKIDPROC", "s3cret", "t0ken"));
    CU_ASSERT_EQUAL(ael_credentials_expires_s(world.credentials), 4102444800);
    CU_ASSERT_EQUAL(run_process(&world, NULL, "echo s3cret; exit 3"), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "status 3") && world.err.native_code == 3);
    CU_ASSERT_EQUAL(run_process(&world, NULL, "no-such-program-here 2>/dev/null"), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "status 127"));
    CU_ASSERT_EQUAL(run_process(&world, NULL, "echo s3cret"), AEL_E_FORMAT);
    CU_ASSERT_EQUAL(run_process(&world, NULL, "head -c 70000 /dev/zero"), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "64 KiB"));
    CU_ASSERT_EQUAL(run_process(&world, NULL, "kill -9 $$"), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "status 137"));
    call.deadline_ns = ael_deadline_in_ms(50);
    CU_ASSERT_EQUAL(
        run_process(&world, &call, "cat \"$HOME/keys\"; exec >&-; while :; do :; done"), AEL_E_TIMEOUT);
    call.deadline_ns = ael_deadline_in_ms(50);
    CU_ASSERT_EQUAL(run_process(&world, &call, "while :; do :; done"), AEL_E_TIMEOUT);
    CU_ASSERT(says(&world, "was ended"));
    end(&world);
}

/* ---- containers ---- */

static void test_container__asks_near_addresses_only(void) {
    struct world world;
    char url[128];
    begin(&world);
    (void)snprintf(url, sizeof url, "%s/ecs/creds", http_server_url(world.server));
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
    set("http_proxy", "http://127.0.0.1:1"); /* such requests go past every proxy */
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDECS", "s3cret", "t0ken"));
    (void)unsetenv("http_proxy");
    static const char *const k_far[] = {
        "http://10.0.0.1/x",
        "http://localhost.evil.example/x",
        "http://127.0.0.1@evil.example/x",
        "http://evil.example/127.0.0.1",
        "ftp://127.0.0.1/x",
        "http://169.254.170.3/x",
        "http://169.254.170.2.evil/",
        "127.0.0.1",
        "http://127.1/"};
    for (size_t i = 0; i < sizeof k_far / sizeof k_far[0]; i++) {
        set("AWS_CONTAINER_CREDENTIALS_FULL_URI", k_far[i]);
        CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
        CU_ASSERT(says(&world, "must be https, or http on loopback"));
    }
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/");
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    end(&world);
}

static void test_container__sends_the_token_of_file_or_environment(void) {
    struct world world;
    char url[128];
    char path[128];
    begin(&world);
    (void)snprintf(url, sizeof url, "%s/v1/credentials", http_server_url(world.server));
    (void)snprintf(path, sizeof path, "%s/pod-token", world.home);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
    s_service.need_authorization = "Bearer t0ken";
    CU_ASSERT_EQUAL(find(&world), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "HTTP 401") && says(&world, "pod identity"));
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer t0ken");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    s_service.need_authorization = "from file";
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path);
    CU_ASSERT_EQUAL(find(&world), AEL_E_SYSTEM);
    CU_ASSERT(says(&world, "mount it"));
    write_file(&world, "pod-token", "from file\n");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    s_service.need_authorization = "anew";
    write_file(&world, "pod-token", "anew"); /* replaced by its agent: read each time */
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    write_file(&world, "pod-token", "two\nlines");
    CU_ASSERT_EQUAL(find(&world), AEL_E_ARGUMENT);
    end(&world);
}

/* ---- instance metadata ---- */

static void test_imds__comes_last_and_by_its_second_version(void) {
    struct world world;
    begin(&world);
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDIMDS", "s3cret", "t0ken"));
    CU_ASSERT_EQUAL(atomic_load(&s_service.requests), 3);
    s_service.token_how = "refuse";
    CU_ASSERT_EQUAL(find(&world), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "HTTP 403"));
    CU_ASSERT_EQUAL(atomic_load(&s_service.requests), 4); /* and never by the first version */
    s_service.token_how = NULL;
    s_service.status = 404;
    CU_ASSERT_EQUAL(find(&world), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "attach an instance profile"));
    s_service.status = 0;
    s_service.body = "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"s3cret\"}";
    CU_ASSERT_EQUAL(find(&world), AEL_E_BACKEND);
    CU_ASSERT(says(&world, "AssumeRoleUnauthorizedAccess"));
    s_service.body = "<html>";
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    s_service.body = "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s3cret\",\"Token\":\"t0ken\"}";
    CU_ASSERT_EQUAL(find(&world), AEL_E_FORMAT);
    CU_ASSERT(says(&world, "expiry"));
    set("AWS_EC2_METADATA_DISABLED", "TRUE");
    CU_ASSERT_EQUAL(find(&world), AEL_E_UNSUPPORTED);
    CU_ASSERT(says(&world, "AWS_ACCESS_KEY_ID") && says(&world, "AWS_PROFILE"));
    end(&world);
}

static void test_imds__names_the_hop_limit_when_the_token_does_not_come(void) {
    struct world world;
    struct ael_call call = AEL_CALL_INIT;
    begin(&world);
    s_service.token_how = "hang";
    CU_ASSERT_EQUAL(find(&world), AEL_E_UNREACHABLE); /* after its second */
    CU_ASSERT(
        says(&world, "--http-put-response-hop-limit 2") && says(&world, "AWS_EC2_METADATA_DISABLED=true"));
    call.deadline_ns = ael_deadline_in_ms(30);
    CU_ASSERT_EQUAL(find_within(&world, &call), AEL_E_TIMEOUT); /* the call's own end is one */
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1/");
    CU_ASSERT_EQUAL(find(&world), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&world, "cannot be reached"));
    end(&world);
}

/* ---- order, clock, memory ---- */

static void test_chain__stops_at_the_first_source_that_is_set_up(void) {
    struct world world;
    begin(&world);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/");
    CU_ASSERT_EQUAL(find(&world), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(atomic_load(&s_service.requests), 0); /* the instance's identity is another one */
    write_file(&world, ".aws/config", "[default]\nregion = x\n");
    (void)unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    CU_ASSERT_EQUAL(find(&world), AEL_OK);
    CU_ASSERT(found(&world, "AKIDIMDS", "s3cret", "t0ken"));
    end(&world);
}

static void test_answer_error_word__finds_names_and_nothing_else(void) {
    static const char *const k_words[][2] = {
        {"<R><Error><Code>Throttling</Code></Error></R>", "Throttling"},
        {"{\"__type\":\"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException\"}",
         "ResourceNotFoundException"},
        {"{\"code\":\"X\",\"message\":{\"a\":[1]}}", "X"},
        {"{\"error\":null,\"Code\":\"Y\"}", "Y"},
        {"<Code>with blanks</Code>", ""},
        {"<Code></Code>", ""},
        {"<Code>x", ""},
        {"{\"__type\":\"", ""},
        {"", ""},
        {"<html>", ""}};
    for (size_t i = 0; i < sizeof k_words / sizeof k_words[0]; i++) {
        char word[AEL_ANSWER_WORD_BYTES];
        ael_answer_error_word(ael_bytes_from_text(k_words[i][0]), word);
        CU_ASSERT_STRING_EQUAL(word, k_words[i][1]);
    }
}

static int fail_at(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void sweep(struct world *world) {
    bool done = false;
    for (int i = 0; i < 400 && !done; i++) {
        int left = i;
        ael_alloc_set_fault(fail_at, &left);
        enum ael_status status = find(world);
        ael_alloc_set_fault(NULL, NULL);
        done = left >= 0;
        CU_ASSERT_EQUAL(status, done ? AEL_OK : AEL_E_NO_MEMORY);
    }
    CU_ASSERT(done);
}

static void test_chain__survives_each_failed_allocation(void) {
    struct world world;
    begin(&world);
    sweep(&world); /* instance metadata */
    write_file(
        &world, ".aws/config",
        "[default]\nrole_arn = arn:r\nsource_profile = base\n[profile base]\ncredential_process = cat "
        "\"$HOME/keys\"\n");
    write_file(&world, "keys", "{\"Version\":1,\"AccessKeyId\":\"AKIDPROC\",\"SecretAccessKey\":\"s3cret\"}");
    sweep(&world);
    end(&world);
}

/* ---- in the clear ---- */

/* The same server, under a name that is this machine's in no certain way (net/url.h). */
static void lead_services_away(const struct world *world) {
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.1:%s", strrchr(http_server_url(world->server), ':') + 1);
    set("AWS_ENDPOINT_URL", url);
}

static void expect_nothing_sent(struct world *world) {
    CU_ASSERT_EQUAL(find(world), AEL_E_FORMAT);
    CU_ASSERT(says(world, "AWS_ENDPOINT_URL") && says(world, "https://"));
    CU_ASSERT_EQUAL(atomic_load(&s_service.requests), 0);
}

static void test_chain__sends_no_token_and_takes_no_keys_in_the_clear(void) {
    struct world world;
    char name[128];
    begin(&world);
    lead_services_away(&world);
    make_folder(&world, ".aws/sso");
    make_folder(&world, ".aws/sso/cache");
    write_file(
        &world, ".aws/config",
        "[profile s]\nsso_session = corp\nsso_account_id = 111\nsso_role_name = r\n"
        "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://x.example/start\n"
        "[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n"
        "[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s3cret\n");
    name_token_file("corp", name);
    write_file(&world, name, "{\"accessToken\":\"t0ken-sso\",\"expiresAt\":\"2100-01-01T00:00:00Z\"}");
    set("AWS_PROFILE", "s");
    expect_nothing_sent(&world);
    set("AWS_PROFILE", "r");
    expect_nothing_sent(&world);
    (void)unsetenv("AWS_PROFILE");
    (void)snprintf(name, sizeof name, "%s/token", world.home);
    write_file(&world, "token", "ey.t0ken+/\n");
    set("AWS_WEB_IDENTITY_TOKEN_FILE", name);
    set("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod");
    expect_nothing_sent(&world);
    end(&world);
}

static const struct test_case k_cases[] = {
    {"the environment comes first", test_env__comes_first},
    {"web identity: the token is exchanged, unsigned", test_web_identity__exchanges_the_token_unsigned},
    {"a profile's keys", test_profile__gives_its_keys},
    {"files that cannot be used are told", test_profile__tells_files_that_it_cannot_use},
    {"a profile's roles", test_profile__takes_roles_on},
    {"SSO: the portal is asked with the log-in's token",
     test_sso__asks_the_portal_with_the_token_of_the_log_in},
    {"a program's output", test_process__takes_what_a_program_prints},
    {"containers: near addresses only", test_container__asks_near_addresses_only},
    {"containers: the token", test_container__sends_the_token_of_file_or_environment},
    {"instance metadata comes last", test_imds__comes_last_and_by_its_second_version},
    {"the hop limit is named", test_imds__names_the_hop_limit_when_the_token_does_not_come},
    {"the first source that is set up decides", test_chain__stops_at_the_first_source_that_is_set_up},
    {"error names of services", test_answer_error_word__finds_names_and_nothing_else},
    {"no token is sent in the clear, and no keys are taken",
     test_chain__sends_no_token_and_takes_no_keys_in_the_clear},
    {"each failed allocation is survived", test_chain__survives_each_failed_allocation},
};
TEST_SUITE_MAIN("credentials", k_cases)
