/*
 * tests/support/corpus.h - visits the small files of a folder.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_CORPUS_H
#define TESTS_SUPPORT_CORPUS_H

#include <ael/bytes.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { TEST_CORPUS_FILE_BYTES = 8192 };

/* Hands every file to visit; returns how many there were, 0 as well when one cannot be read or is longer than 8 KiB. */
static inline size_t
test_corpus_visit(const char *folder, void (*visit)(const char *name, struct ael_bytes content)) {
    static uint8_t content[TEST_CORPUS_FILE_BYTES];
    size_t count = 0;
    bool failed = false;
    DIR *listing = opendir(folder);
    struct dirent *entry = NULL;
    while (listing != NULL && !failed && (entry = readdir(listing)) != NULL) {
        char path[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        size_t len = file != NULL ? fread(content, 1, sizeof(content), file) : sizeof(content);
        failed = len == sizeof(content);
        if (!failed) {
            visit(entry->d_name, (struct ael_bytes){content, len});
            count++;
        }
        if (file != NULL) {
            (void)fclose(file);
        }
    }
    if (listing != NULL) {
        (void)closedir(listing);
    }
    return failed ? 0 : count;
}

#endif /* TESTS_SUPPORT_CORPUS_H */
