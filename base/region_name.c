/* SPDX-License-Identifier: Apache-2.0 */
#include "base/region_name.h"

#include <stddef.h>

static size_t count_letters(struct ael_bytes bytes, size_t at) {
    size_t end = at;
    while (end < bytes.len && bytes.data[end] >= 'a' && bytes.data[end] <= 'z') {
        end++;
    }
    return end - at;
}

static bool is_number(struct ael_bytes bytes, size_t at) {
    size_t digits = bytes.len - at;
    for (size_t i = at; i < bytes.len; i++) {
        if (bytes.data[i] < '0' || bytes.data[i] > '9') {
            return false;
        }
    }
    return digits >= 1 && digits <= 2;
}

/* see base/region_name.h. Two letters, one or two words, one or two digits: see the endpoints table of the
 * AWS general reference. */
bool ael_is_region_name(struct ael_bytes bytes) {
    size_t at = count_letters(bytes, 0);
    if (at != 2) {
        return false;
    }
    for (int words = 0; at < bytes.len && bytes.data[at] == '-'; words++) {
        size_t letters = count_letters(bytes, at + 1);
        if (letters == 0) {
            return words >= 1 && is_number(bytes, at + 1);
        }
        if (words == 2) {
            return false;
        }
        at += 1 + letters;
    }
    return false;
}
