/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/residency/reader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
#if __SIZEOF_POINTER__ == 8
    OUR_CLASS = ELFCLASS64,
#else
    OUR_CLASS = ELFCLASS32,
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    OUR_DATA = ELFDATA2LSB,
#else
    OUR_DATA = ELFDATA2MSB,
#endif
};

/* A core of more segments than a half word counts tells their number in the first section header. */
static bool count_segments(int fd, const ElfW(Ehdr) * head, size_t *count) {
    ElfW(Shdr) section;
    *count = head->e_phnum;
    if (head->e_phnum != PN_XNUM) {
        return true;
    }
    bool good = pread(fd, &section, sizeof section, (off_t)head->e_shoff) == (ssize_t)sizeof section;
    *count = good ? section.sh_info : 0;
    return good;
}

static bool read_head(int fd, ElfW(Ehdr) * head, size_t *count) {
    return pread(fd, head, sizeof *head, 0) == (ssize_t)sizeof *head &&
           memcmp(head->e_ident, ELFMAG, SELFMAG) == 0 && head->e_ident[EI_CLASS] == OUR_CLASS &&
           head->e_ident[EI_DATA] == OUR_DATA && head->e_type == ET_CORE &&
           head->e_phentsize == sizeof(ElfW(Phdr)) && count_segments(fd, head, count);
}

static void scan_segment(struct residency_reader *reader, const ElfW(Phdr) * segment) {
    struct residency_mapping mapping = {
        .start = segment->p_vaddr, .end = segment->p_vaddr + segment->p_memsz, .flags = "core"};
    if (segment->p_type == PT_NOTE) {
        mapping.start = segment->p_offset;
        mapping.end = segment->p_offset + segment->p_filesz;
        memcpy(mapping.name, "[notes]", sizeof "[notes]");
    } else if (segment->p_type != PT_LOAD) {
        return;
    }
    if (segment->p_filesz > 0) {
        residency_reader_scan(
            reader, &mapping, mapping.start, segment->p_filesz, segment->p_offset,
            segment->p_offset + segment->p_filesz);
        reader->result->mappings_scanned++;
    }
}

static bool scan_segments(struct residency_reader *reader, const ElfW(Ehdr) * head, size_t count) {
    bool good = count > 0;
    for (size_t i = 0; good && i < count; i++) {
        ElfW(Phdr) segment;
        off_t at = (off_t)(head->e_phoff + i * sizeof segment);
        good = pread(reader->fd, &segment, sizeof segment, at) == (ssize_t)sizeof segment;
        if (good) {
            scan_segment(reader, &segment);
        }
    }
    return good &&
           reader->result->bytes_refused == 0; /* bytes that the segments promise and the file has not */
}

/* see tools/residency/scan.h */
bool residency_scan_core(
    const char *path,
    struct residency_needles *needles,
    residency_hit_fn hit,
    void *context,
    struct residency_result *result) {
    struct residency_reader reader = {
        .fd = -1, .needles = needles, .hit = hit, .context = context, .result = result};
    ElfW(Ehdr) head;
    size_t count = 0;

    *result = (struct residency_result){.bytes_scanned = 0};
    reader.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader.fd < 0) {
        return false;
    }
    bool good = residency_reader_init(&reader);
    if (good) {
        errno = 0;
        good = read_head(reader.fd, &head, &count) && scan_segments(&reader, &head, count);
        errno = reader.failed ? ENOMEM : errno != 0 ? errno : EINVAL;
    }
    int problem = errno;
    residency_reader_clear(&reader);
    close(reader.fd);
    errno = problem;
    return good && !reader.failed;
}
