/*
 * tests/fuzz/standalone.c - replays corpus folders through a fuzz target, for compilers without libFuzzer.
 *
 *     fuzz_record tests/fuzz/corpus/record [<more folders or files>...]
 *
 * Fails when a file cannot be read, or when none was.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_BYTES = 4096 };

/* Returns how many files were run: 1, or -1 after a failure. The copy has no slack, so that overreads show. */
static long run_file(const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = file != NULL ? malloc(size > 0 ? size : 1) : NULL;
    long count = -1;
    if (data != NULL && fread(data, 1, size, file) == size) {
        (void)LLVMFuzzerTestOneInput(data, size);
        count = 1;
    } else {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    }
    free(data);
    if (file != NULL) {
        (void)fclose(file);
    }
    return count;
}

static long run_folder(const char *path);

static long run_path(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    return S_ISDIR(info.st_mode) ? run_folder(path) : run_file(path, (size_t)info.st_size);
}

static long run_folder(const char *path) {
    DIR *folder = opendir(path);
    long total = folder != NULL ? 0 : -1;
    struct dirent *entry = NULL;
    while (total >= 0 && (entry = readdir(folder)) != NULL) {
        char child[PATH_BYTES];
        if (entry->d_name[0] == '.') {
            continue;
        }
        int len = snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        long count = len > 0 && (size_t)len < sizeof(child) ? run_path(child) : -1;
        total = count < 0 ? -1 : total + count;
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return total;
}

int main(int argc, char **argv) {
    long total = 0;
    for (int i = 1; i < argc; i++) {
        long count = run_path(argv[i]);
        if (count < 0) {
            return EXIT_FAILURE;
        }
        total += count;
    }
    printf("%ld files\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
