/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/aws_kms_server.h"

#include "tests/support/companion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct aws_kms_server s_server;
static struct companion s_program;
static bool s_tls;

static void keep_of_place(struct aws_kms_place *place, const char *name, const char *value) {
    const struct {
        const char *name;
        char *text;
        size_t size;
    } parts[] = {
        {"url_", place->url, sizeof place->url},
        {"key_", place->key, sizeof place->key},
        {"alias_", place->alias, sizeof place->alias},
        {"other_", place->other, sizeof place->other}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t len = strlen(parts[i].name);
        if (strncmp(name, parts[i].name, len) == 0 && strcmp(name + len, place->region) == 0) {
            (void)snprintf(parts[i].text, parts[i].size, "%s", value);
        }
    }
}

static void keep(const char *name, const char *value) {
    if (strcmp(name, "access_key") == 0) {
        (void)snprintf(s_server.access_key, sizeof s_server.access_key, "%s", value);
    } else if (strcmp(name, "secret_key") == 0) {
        (void)snprintf(s_server.secret_key, sizeof s_server.secret_key, "%s", value);
    } else if (strcmp(name, "stranger_access_key") == 0) {
        (void)snprintf(s_server.stranger_access_key, sizeof s_server.stranger_access_key, "%s", value);
    } else if (strcmp(name, "stranger_secret_key") == 0) {
        (void)snprintf(s_server.stranger_secret_key, sizeof s_server.stranger_secret_key, "%s", value);
    }
    for (int i = 0; i < AWS_REGIONS; i++) {
        keep_of_place(&s_server.places[i], name, value);
    }
}

/* see tests/support/aws_kms_server.h */
const struct aws_kms_server *aws_kms_server(bool tls) {
    static char script[] = AEL_TEST_SOURCE_DIR "/tests/support/aws_kms_server.py";
    static char python[] = "python3";
    static char word[] = "tls";
    char *argv[] = {python, script, s_server.folder, tls ? word : NULL, NULL};
    if (s_program.pid != 0) {
        return &s_server;
    }
    s_tls = tls;
    (void)snprintf(s_server.places[AWS_WEST].region, sizeof s_server.places[0].region, "us-west-2");
    (void)snprintf(s_server.places[AWS_EAST].region, sizeof s_server.places[0].region, "us-east-1");
    if (!companion_folder("kms", s_server.folder, sizeof s_server.folder) ||
        !companion_start(&s_program, s_server.folder, argv, keep)) {
        printf(
            "\n    the stand-in of AWS KMS does not start: is there python3, with venv and pip or moto?\n");
        return NULL;
    }
    setenv("AWS_ACCESS_KEY_ID", s_server.access_key, 1);
    setenv("AWS_SECRET_ACCESS_KEY", s_server.secret_key, 1);
    unsetenv("AWS_SESSION_TOKEN");
    return &s_server;
}

/* see tests/support/aws_kms_server.h */
void aws_kms_server_set(int place, const char *mode) {
    char line[256];
    (void)snprintf(line, sizeof line, "%s %s\n", mode, s_server.places[place].region);
    companion_tell(&s_program, line, line, sizeof line);
}

/* see tests/support/aws_kms_server.h */
void aws_kms_server_delay(int place, unsigned ms) {
    char line[256];
    (void)snprintf(line, sizeof line, "delay %s %u\n", s_server.places[place].region, ms);
    companion_tell(&s_program, line, line, sizeof line);
}

/* see tests/support/aws_kms_server.h */
void aws_kms_server_say(int place, const char *bytes) {
    char line[256];
    char path[128];
    (void)snprintf(path, sizeof path, "%s/say", s_server.folder);
    FILE *file = fopen(path, "w");
    if (file != NULL) {
        (void)fputs(bytes, file);
        fclose(file);
    }
    (void)snprintf(line, sizeof line, "say %s %s\n", s_server.places[place].region, path);
    companion_tell(&s_program, line, line, sizeof line);
}

/* see tests/support/aws_kms_server.h */
unsigned aws_kms_server_count(int place, const char *action) {
    char line[256];
    (void)snprintf(line, sizeof line, "count %s %s\n", s_server.places[place].region, action);
    companion_tell(&s_program, line, line, sizeof line);
    return (unsigned)strtoul(line, NULL, 10);
}

/* see tests/support/aws_kms_server.h */
bool aws_kms_server_reveal(int place, const char *blob, uint8_t key[32]) {
    char line[1024];
    (void)snprintf(line, sizeof line, "reveal %s %s\n", s_server.places[place].region, blob);
    companion_tell(&s_program, line, line, sizeof line);
    bool good = strlen(line) >= 64;
    for (size_t i = 0; good && i < 32; i++) {
        char digits[3] = {line[2 * i], line[2 * i + 1], '\0'};
        key[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    memset(line, 0, sizeof line);
    return good;
}

/* see tests/support/aws_kms_server.h */
bool aws_kms_server_secret(
    int place, const char *name, const char *kind, const char *value, char version[64]) {
    char line[1024];
    char answer[256];
    (void)snprintf(
        line, sizeof line, "secret %s %s %s %s\n", s_server.places[place].region, name, kind, value);
    companion_tell(&s_program, line, answer, sizeof answer);
    memset(line, 0, sizeof line);
    answer[strcspn(answer, "\n")] = '\0';
    if (version != NULL) {
        (void)snprintf(version, 64, "%.63s", answer);
    }
    return answer[0] != '\0';
}

/* see tests/support/aws_kms_server.h */
void aws_kms_server_reset(void) {
    for (int i = 0; i < AWS_REGIONS; i++) {
        aws_kms_server_set(i, "open");
        aws_kms_server_delay(i, 0);
    }
}

/* see tests/support/aws_kms_server.h */
enum ael_status aws_kms_new(
    size_t count,
    void (*more)(struct ael_kms_aws_options *options),
    struct ael_kms **kms,
    struct ael_error *err) {
    struct ael_kms_aws_region regions[AWS_REGIONS];
    struct ael_kms_aws_options options = AEL_KMS_AWS_OPTIONS_INIT;
    char ca_file[96];
    for (size_t i = 0; i < AWS_REGIONS; i++) {
        const struct aws_kms_place *place = &s_server.places[i];
        regions[i] = (struct ael_kms_aws_region){place->region, place->key, place->url};
    }
    (void)snprintf(ca_file, sizeof ca_file, "%s/ca.pem", s_server.folder);
    options.regions = regions;
    options.region_count = count;
    options.preferred_region = regions[0].region;
    options.ca_file = s_tls ? ca_file : NULL;
    options.no_hedging = true; /* a busy machine is slow: tests of hedging turn it on */
    options.try_timeout_ms = 20000;
    options.connect_timeout_ms = 10000;
    if (more != NULL) {
        more(&options);
    }
    return ael_kms_aws_new(&options, kms, err);
}
