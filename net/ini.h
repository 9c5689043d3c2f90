/*
 * net/ini.h - reads the shared config and credentials files of AWS: sections of "name = value" lines.
 *
 *     [profile one]          # a comment: at the start of a line, or behind a blank
 *     region = eu-west-1
 *     s3 =
 *       addressing_style = path      (starts with a blank: belongs to the property before, passed over)
 *
 * Walks the text once; views borrow it. Nothing in a file stops the reading: a line that is none of these is
 * an item of its own, so that callers can refuse it by its number.
 * Layer: net. Threads: one at a time per reader.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_INI_H
#define AEL_NET_INI_H

#include <ael/bytes.h>

enum ael_ini_kind { AEL_INI_END, AEL_INI_SECTION, AEL_INI_PROPERTY, AEL_INI_BAD };

struct ael_ini_item {
    enum ael_ini_kind kind;
    struct ael_bytes name;  /* of a section, between the brackets, or of a property; not empty */
    struct ael_bytes value; /* of a property; may be empty */
    unsigned line;          /* from 1 */
};

struct ael_ini_reader {
    struct ael_bytes text;
    size_t at;
    unsigned line;
};

void ael_ini_reader_init(struct ael_ini_reader *reader, struct ael_bytes text);

/** Gives the next item; AEL_INI_END again and again at the end. */
struct ael_ini_item ael_ini_next(struct ael_ini_reader *reader);

#endif /* AEL_NET_INI_H */
