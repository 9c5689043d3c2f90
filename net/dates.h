/*
 * net/dates.h - points in time as HTTP and cloud services write them.
 * Layer: net. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_DATES_H
#define AEL_NET_DATES_H

#include <ael/bytes.h>

/** Reads "Tue, 15 Nov 1994 08:12:31 GMT" (RFC 9110, 5.6.7; the two obsolete forms are not read). @return
 * false: not one. */
bool ael_date_from_http(struct ael_bytes text, int64_t *time_s);

/** Reads "2015-08-30T12:36:00Z" (RFC 3339), with a fraction, which is cut, or an offset. @return false: not
 * one. */
bool ael_date_from_iso(struct ael_bytes text, int64_t *time_s);

enum { AEL_DATE_BASIC_BYTES = 17 };

/** Writes "20150830T123600Z" and a NUL. @return false: no year of four digits. */
bool ael_date_to_basic(int64_t time_s, char out[static AEL_DATE_BASIC_BYTES]);

#endif /* AEL_NET_DATES_H */
