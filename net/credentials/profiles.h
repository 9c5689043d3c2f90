/*
 * net/credentials/profiles.h - the profiles of the shared config and credentials files of AWS.
 *
 * Both files are kept as they are, in memory that is wiped, and searched at each question: there are a few.
 * What stands in the credentials file wins; of several lines with one name in a file the last one does.
 * Layer: net. Threads: any, once it is loaded.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_CREDENTIALS_PROFILES_H
#define AEL_NET_CREDENTIALS_PROFILES_H

#include <ael/bytes.h>
#include <ael/sys/error.h>

struct ael_profiles {
    struct ael_buf config;
    struct ael_buf credentials;
};

enum { AEL_PROFILES_PATH_BYTES = 1024, AEL_PROFILES_FILE_MAX = 1 << 20 };

/**
 * Writes a path below the home folder ($HOME, else the user's entry).
 *
 * @param below  "/.aws/config". @return false: no home folder, or a path too long.
 */
bool ael_profiles_home_path(const char *below, char path[static AEL_PROFILES_PATH_BYTES]);

/**
 * Reads AWS_CONFIG_FILE (or ~/.aws/config) and AWS_SHARED_CREDENTIALS_FILE (or ~/.aws/credentials); a file
 * that does not exist is empty.
 *
 * @param profiles  overwritten; clear it, also after a failure.
 * @return AEL_OK; AEL_E_FORMAT (a line that is neither section, property nor comment: the sentence names it);
 *         AEL_E_SYSTEM; AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status ael_profiles_load(struct ael_profiles *profiles, struct ael_error *err);

void ael_profiles_clear(struct ael_profiles *profiles);

/** Tells whether a profile has a section in one of the files. */
bool ael_profiles_has(const struct ael_profiles *profiles, const char *profile);

/** Finds a property; false when it is missing or empty. Borrows the profiles. */
bool ael_profiles_find(
    const struct ael_profiles *profiles, const char *profile, const char *property, struct ael_bytes *value);

/** The same in "[sso-session <name>]" of the config file. */
bool ael_profiles_find_sso(
    const struct ael_profiles *profiles, const char *session, const char *property, struct ael_bytes *value);

/** Copies a view to a text; false when it does not fit or holds a NUL. */
bool ael_text_copy(struct ael_bytes from, char *text, size_t cap);

#endif /* AEL_NET_CREDENTIALS_PROFILES_H */
