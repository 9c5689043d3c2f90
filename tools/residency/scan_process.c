/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/residency/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGES_A_READ = 4096, PATH_BYTES = 64 };

#define LARGEST_MAPPING (UINT64_C(1) << 40)
#define KERNEL_HALF     (UINT64_C(1) << 63)
#define PAGE_IS_THERE   (UINT64_C(3) << 62) /* present or swapped out */

struct mappings {
    struct residency_mapping *list;
    size_t count;
    size_t cap;
};

/* -- what there is -- */

static struct residency_mapping *one_more(struct mappings *mappings) {
    if (mappings->count == mappings->cap) {
        size_t cap = mappings->cap == 0 ? 256 : 2 * mappings->cap;
        struct residency_mapping *list = realloc(mappings->list, cap * sizeof *list);
        if (list == NULL) {
            return NULL;
        }
        mappings->list = list;
        mappings->cap = cap;
    }
    return &mappings->list[mappings->count++];
}

static bool has_flag(const char *flags, const char *flag) {
    const char *at = strstr(flags, flag);
    return at != NULL && at[-1] == ' ' && (at[2] == ' ' || at[2] == '\n' || at[2] == '\0');
}

/* What smaps says of the last mapping; false for a line that is about none. */
static bool read_detail(struct mappings *mappings, const char *line) {
    struct residency_mapping *mapping = mappings->count > 0 ? &mappings->list[mappings->count - 1] : NULL;
    uint64_t kib = 0;
    if (mapping == NULL) {
        return false;
    }
    if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1) {
        mapping->held_kib = kib; /* comes before Swap */
    } else if (sscanf(line, "Swap: %" SCNu64 " kB", &kib) == 1) {
        mapping->held_kib += kib;
    } else if (strncmp(line, "VmFlags: ", 9) == 0) {
        mapping->dontdump = has_flag(line + 9, "dd");
        mapping->dontcopy = has_flag(line + 9, "dc");
    } else {
        return false;
    }
    return true;
}

/* A line of smaps (or maps): the head of a mapping, or something about the last one. False without memory. */
static bool read_line(struct mappings *mappings, char *line) {
    struct residency_mapping read = {.held_kib = UINT64_MAX};
    int name = 0;
    if (read_detail(mappings, line) || sscanf(
                                           line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %" SCNu64 " %n",
                                           &read.start, &read.end, read.flags, &read.inode, &name) != 4) {
        return true;
    }
    line[strcspn(line, "\n")] = '\0';
    snprintf(read.name, sizeof read.name, "%s", line + name);
    struct residency_mapping *mapping = one_more(mappings);
    if (mapping != NULL) {
        *mapping = read;
    }
    return mapping != NULL;
}

static FILE *open_of(pid_t pid, const char *what) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    return fopen(path, "re");
}

static bool read_mappings(pid_t pid, struct mappings *mappings) {
    FILE *file = open_of(pid, "smaps");
    char *line = NULL;
    size_t cap = 0;
    bool good = true;
    if (file == NULL && errno == ENOENT) {
        file = open_of(pid, "maps"); /* a kernel without smaps: nothing counts as protected then */
    }
    while (file != NULL && good && getline(&line, &cap, file) > 0) {
        good = read_line(mappings, line);
    }
    free(line);
    if (file != NULL) {
        fclose(file);
    }
    return file != NULL && good;
}

/* Fields 48 to 51 of stat; what stands before them may hold spaces, in parentheses. */
static void read_start_area(pid_t pid, struct residency_start_area *area) {
    char text[2048];
    FILE *file = open_of(pid, "stat");
    size_t len = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 48; field++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL || sscanf(
                          at, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &area->argv_start,
                          &area->argv_end, &area->environ_start, &area->environ_end) != 4) {
        *area = (struct residency_start_area){0, 0, 0, 0};
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* -- reading it -- */

static void scan_part(
    struct residency_reader *reader, const struct residency_mapping *mapping, uint64_t start, uint64_t end) {
    residency_reader_scan(reader, mapping, start, end - start, start, mapping->end);
}

/* Runs of pages that are there; all of what the kernel tells nothing about. */
static void
scan_present(struct residency_reader *reader, int pagemap, const struct residency_mapping *mapping) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t run = mapping->start; /* where the present run began */
    for (uint64_t at = mapping->start; at < mapping->end;) {
        uint64_t entries[PAGES_A_READ];
        uint64_t left = (mapping->end - at) / page;
        size_t want = left < PAGES_A_READ ? (size_t)left : PAGES_A_READ;
        ssize_t got =
            pread(pagemap, entries, want * sizeof entries[0], (off_t)(at / page * sizeof entries[0]));
        if (got != (ssize_t)(want * sizeof entries[0])) {
            break;
        }
        for (size_t i = 0; i < want; i++, at += page) {
            if ((entries[i] & PAGE_IS_THERE) == 0) {
                scan_part(reader, mapping, run, at);
                reader->result->bytes_absent += page;
                run = at + page;
            }
        }
    }
    scan_part(reader, mapping, run, mapping->end);
}

static void
scan_mapping(struct residency_reader *reader, int pagemap, const struct residency_mapping *mapping) {
    if (mapping->start >= KERNEL_HALF) {
        return; /* [vsyscall], the same in every process */
    }
    if (mapping->inode == 0 && mapping->held_kib == 0) {
        reader->result->bytes_absent += mapping->end - mapping->start;
        return; /* reserved, never written */
    }
    if (mapping->end - mapping->start > LARGEST_MAPPING) {
        reader->result->bytes_left_out += mapping->end - mapping->start;
        return;
    }
    uint64_t before = reader->result->bytes_scanned;
    if (mapping->inode == 0 && pagemap >= 0) {
        scan_present(reader, pagemap, mapping);
    } else {
        scan_part(reader, mapping, mapping->start, mapping->end);
    }
    reader->result->mappings_scanned += reader->result->bytes_scanned > before;
}

static void scan_all(struct residency_reader *reader, pid_t pid, bool self, const struct mappings *mappings) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)pid);
    int pagemap = open(path, O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < mappings->count; i++) {
        const struct residency_mapping *mapping = &mappings->list[i];
        if (!self || !residency_reader_owns(reader, mapping->start, mapping->end)) {
            scan_mapping(reader, pagemap, mapping);
        }
    }
    if (pagemap >= 0) {
        close(pagemap);
    }
}

static bool scan(
    pid_t pid,
    bool self,
    struct residency_needles *needles,
    residency_hit_fn hit,
    void *context,
    struct residency_result *result) {
    struct residency_reader reader = {
        .fd = -1, .needles = needles, .hit = hit, .context = context, .result = result};
    struct mappings mappings = {NULL, 0, 0};
    char path[PATH_BYTES];

    *result = (struct residency_result){.bytes_scanned = 0};
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    reader.fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = reader.fd >= 0 && residency_reader_init(&reader) && read_mappings(pid, &mappings);
    if (good) {
        read_start_area(pid, &reader.area);
        scan_all(&reader, pid, self, &mappings);
    }
    int problem = errno;
    residency_reader_clear(&reader);
    free(mappings.list);
    if (reader.fd >= 0) {
        close(reader.fd);
    }
    bool nothing = good && result->bytes_scanned == 0; /* the kernel refused it all, or the process is gone */
    errno = reader.failed ? ENOMEM : nothing ? EACCES : problem;
    return good && !nothing && !reader.failed;
}

/* see tools/residency/scan.h */
bool residency_scan_process(
    pid_t pid,
    struct residency_needles *needles,
    residency_hit_fn hit,
    void *context,
    struct residency_result *result) {
    return scan(pid, pid == getpid(), needles, hit, context, result);
}

/* see tools/residency/scan.h */
bool residency_scan_self(
    struct residency_needles *needles, residency_hit_fn hit, void *context, struct residency_result *result) {
    return scan(getpid(), true, needles, hit, context, result);
}
