/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/profiles.h"

#include "base/check.h"
#include "net/file.h"
#include "net/ini.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char k_component[] = "net/credentials";

enum { PASSWD_BYTES = 4096 };

/* ---- where the files are ---- */

static bool home_of_user(char *home, size_t cap) {
    char storage[PASSWD_BYTES];
    struct passwd entry;
    struct passwd *found = NULL;
    if (getpwuid_r(geteuid(), &entry, storage, sizeof storage, &found) != 0 || found == NULL) {
        return false;
    }
    int len = snprintf(home, cap, "%s", entry.pw_dir);
    return len > 0 && (size_t)len < cap;
}

/* see net/credentials/profiles.h */
bool ael_profiles_home_path(const char *below, char path[static AEL_PROFILES_PATH_BYTES]) {
    char home[AEL_PROFILES_PATH_BYTES];
    const char *from_env = getenv("HOME");
    if (from_env == NULL || from_env[0] == '\0') {
        if (!home_of_user(home, sizeof home)) {
            return false;
        }
        from_env = home;
    }
    int len = snprintf(path, AEL_PROFILES_PATH_BYTES, "%s%s", from_env, below);
    return len > 0 && len < AEL_PROFILES_PATH_BYTES;
}

static bool path_of(const char *variable, const char *below, char path[static AEL_PROFILES_PATH_BYTES]) {
    const char *given = getenv(variable);
    if (given == NULL || given[0] == '\0') {
        return ael_profiles_home_path(below, path);
    }
    int len = snprintf(path, AEL_PROFILES_PATH_BYTES, "%s", given);
    return len < AEL_PROFILES_PATH_BYTES;
}

/* ---- loading ---- */

static enum ael_status check_lines(const struct ael_buf *content, const char *path, struct ael_error *err) {
    struct ael_ini_reader reader;
    struct ael_ini_item item;
    ael_ini_reader_init(&reader, ael_buf_view(content));
    do {
        item = ael_ini_next(&reader);
        if (item.kind == AEL_INI_BAD) {
            return ael_error_set(
                err, AEL_E_FORMAT, 0, k_component,
                "line %u of %.110s is neither a [section], a name = value, nor a # comment; mend it",
                item.line, path);
        }
    } while (item.kind != AEL_INI_END);
    return AEL_OK;
}

static enum ael_status load_file(
    const char *variable,
    const char *below,
    const char *what,
    struct ael_buf *content,
    struct ael_error *err) {
    char path[AEL_PROFILES_PATH_BYTES];
    if (!path_of(variable, below, path)) {
        return AEL_OK;
    }
    enum ael_status status = ael_file_read(path, what, AEL_PROFILES_FILE_MAX, content, err);
    if (status == AEL_E_UNSUPPORTED) {
        return AEL_OK;
    }
    return status == AEL_OK ? check_lines(content, path, err) : status;
}

/* see net/credentials/profiles.h */
enum ael_status ael_profiles_load(struct ael_profiles *profiles, struct ael_error *err) {
    *profiles = (struct ael_profiles){AEL_BUF_INIT, AEL_BUF_INIT};
    AEL_TRY(load_file("AWS_CONFIG_FILE", "/.aws/config", "the config file", &profiles->config, err));
    return load_file(
        "AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials", "the credentials file", &profiles->credentials,
        err);
}

/* see net/credentials/profiles.h */
void ael_profiles_clear(struct ael_profiles *profiles) {
    ael_buf_clear(&profiles->config);
    ael_buf_clear(&profiles->credentials);
}

/* ---- questions ---- */

static bool is_text(struct ael_bytes bytes, const char *text) {
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static bool is_text_in_any_case(struct ael_bytes bytes, const char *text) {
    return bytes.len == strlen(text) && strncasecmp((const char *)bytes.data, text, bytes.len) == 0;
}

/* Whether "[<kind> <name>]" is the section; an empty kind is none. The name may be quoted. */
static bool section_is(struct ael_bytes section, const char *kind, const char *name) {
    size_t kind_len = strlen(kind);
    if (kind_len > 0) {
        if (section.len <= kind_len || memcmp(section.data, kind, kind_len) != 0 ||
            (section.data[kind_len] != ' ' && section.data[kind_len] != '\t')) {
            return false;
        }
        while (kind_len < section.len && (section.data[kind_len] == ' ' || section.data[kind_len] == '\t')) {
            kind_len++;
        }
        section.data += kind_len;
        section.len -= kind_len;
    }
    if (section.len >= 2 && section.data[0] == '"' && section.data[section.len - 1] == '"') {
        section.data++;
        section.len -= 2;
    }
    return is_text(section, name);
}

/* One of the files, one kind of section in it. */
struct place {
    const struct ael_buf *file;
    const char *kind;
};

/* property NULL: tells whether there is such a section. */
static bool search(struct place place, const char *name, const char *property, struct ael_bytes *value) {
    struct ael_ini_reader reader;
    bool inside = false;
    bool found = false;
    ael_ini_reader_init(&reader, ael_buf_view(place.file));
    for (;;) {
        struct ael_ini_item item = ael_ini_next(&reader);
        if (item.kind == AEL_INI_END) {
            return found;
        }
        if (item.kind == AEL_INI_SECTION) {
            inside = section_is(item.name, place.kind, name);
            found = found || (inside && property == NULL);
        } else if (
            inside && property != NULL && is_text_in_any_case(item.name, property) && item.value.len > 0) {
            *value = item.value;
            found = true;
        }
    }
}

static bool search_profile(
    const struct ael_profiles *profiles, const char *profile, const char *property, struct ael_bytes *value) {
    bool is_default = strcmp(profile, "default") == 0;
    return search((struct place){&profiles->credentials, ""}, profile, property, value) ||
           search((struct place){&profiles->config, "profile"}, profile, property, value) ||
           (is_default && search((struct place){&profiles->config, ""}, profile, property, value));
}

/* see net/credentials/profiles.h */
bool ael_profiles_has(const struct ael_profiles *profiles, const char *profile) {
    return search_profile(profiles, profile, NULL, NULL);
}

/* see net/credentials/profiles.h */
bool ael_profiles_find(
    const struct ael_profiles *profiles, const char *profile, const char *property, struct ael_bytes *value) {
    return search_profile(profiles, profile, property, value);
}

/* see net/credentials/profiles.h */
bool ael_profiles_find_sso(
    const struct ael_profiles *profiles, const char *session, const char *property, struct ael_bytes *value) {
    return search((struct place){&profiles->config, "sso-session"}, session, property, value);
}

/* see net/credentials/profiles.h */
bool ael_text_copy(struct ael_bytes from, char *text, size_t cap) {
    if (from.len >= cap || (from.len > 0 && memchr(from.data, '\0', from.len) != NULL)) {
        return false;
    }
    if (from.len > 0) {
        memcpy(text, from.data, from.len);
    }
    text[from.len] = '\0';
    return true;
}
