/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/residency/reader.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20, BUFFER_BYTES = CHUNK_BYTES + RESIDENCY_NEEDLE_MAX_BYTES };

/* see tools/residency/reader.h */
bool residency_reader_init(struct residency_reader *reader) {
    void *chunk = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    reader->chunk = chunk == MAP_FAILED ? NULL : chunk;
    return reader->chunk != NULL;
}

/* see tools/residency/reader.h */
void residency_reader_clear(struct residency_reader *reader) {
    if (reader->chunk != NULL) {
        explicit_bzero(reader->chunk, BUFFER_BYTES);
        (void)munmap(reader->chunk, BUFFER_BYTES);
        reader->chunk = NULL;
    }
}

/* see tools/residency/reader.h */
bool residency_reader_owns(const struct residency_reader *reader, uint64_t start, uint64_t end) {
    uint64_t chunk = (uint64_t)(uintptr_t)reader->chunk;
    return start < chunk + BUFFER_BYTES && end > chunk;
}

static enum residency_place place_of(const struct residency_reader *reader, uint64_t address) {
    const struct residency_start_area *area = &reader->area;
    if (reader->mapping->dontdump && reader->mapping->dontcopy) {
        return RESIDENCY_PROTECTED;
    }
    if (address >= area->environ_start && address < area->environ_end) {
        return RESIDENCY_ENVIRON;
    }
    return address >= area->argv_start && address < area->argv_end ? RESIDENCY_ARGV : RESIDENCY_OUTSIDE;
}

static void report(void *context, const struct residency_needle *needle, size_t offset) {
    struct residency_reader *reader = context;
    uint64_t address = reader->chunk_address + offset;
    struct residency_hit hit = {place_of(reader, address), reader->mapping, address, needle};
    reader->result->hits[hit.place]++;
    if (reader->hit != NULL) {
        reader->hit(reader->context, &hit);
    }
}

static void scan_chunk(struct residency_reader *reader, size_t starts, size_t got) {
    starts = starts < got ? starts : got;
    reader->result->bytes_scanned += starts;
    if (!residency_search(reader->needles, reader->chunk, starts, got, report, reader)) {
        reader->failed = true;
    }
}

/* see tools/residency/reader.h */
void residency_reader_scan(
    struct residency_reader *reader,
    const struct residency_mapping *mapping,
    uint64_t address,
    uint64_t len,
    uint64_t offset,
    uint64_t end) {
    reader->mapping = mapping;
    for (uint64_t done = 0; done < len; done += CHUNK_BYTES) {
        size_t starts = len - done < CHUNK_BYTES ? (size_t)(len - done) : CHUNK_BYTES;
        uint64_t left = end - offset - done;
        size_t want = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        want = want < starts + RESIDENCY_NEEDLE_MAX_BYTES ? want : starts + RESIDENCY_NEEDLE_MAX_BYTES;
        ssize_t got = pread(reader->fd, reader->chunk, want, (off_t)(offset + done));
        reader->chunk_address = address + done;
        if (got > 0) {
            scan_chunk(reader, starts, (size_t)got);
        }
        size_t had = got > 0 ? (size_t)got : 0;
        reader->result->bytes_refused += had < starts ? starts - had : 0;
    }
}

/* see tools/residency/scan.h */
const char *residency_place_name(enum residency_place place) {
    static const char *const k_names[RESIDENCY_PLACES] = {"outside", "protected", "environ", "argv"};
    return place < RESIDENCY_PLACES ? k_names[place] : "unknown";
}
