/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dates.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct parts {
    int64_t year;
    int64_t month; /* 1 .. 12 */
    int64_t day;
    int64_t hour;
    int64_t minute;
    int64_t second; /* 60 is a leap second */
};

/* What is left of a text that is read from its start; failed sticks. */
struct cursor {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static void expect(struct cursor *cursor, const char *text) {
    size_t len = strlen(text);
    if (cursor->failed || cursor->left < len || memcmp(cursor->at, text, len) != 0) {
        cursor->failed = true;
        return;
    }
    cursor->at += len;
    cursor->left -= len;
}

static int64_t read_number(struct cursor *cursor, size_t digits) {
    int64_t number = 0;
    for (size_t i = 0; i < digits; i++) {
        if (cursor->failed || cursor->left == 0 || cursor->at[0] < '0' || cursor->at[0] > '9') {
            cursor->failed = true;
            return 0;
        }
        number = 10 * number + (cursor->at[0] - '0');
        cursor->at++;
        cursor->left--;
    }
    return number;
}

/* One of names, each of three letters; its index. */
static int64_t read_name(struct cursor *cursor, const char *names) {
    for (size_t i = 0; !cursor->failed && cursor->left >= 3 && names[3 * i] != '\0'; i++) {
        if (memcmp(cursor->at, names + 3 * i, 3) == 0) {
            cursor->at += 3;
            cursor->left -= 3;
            return (int64_t)i;
        }
    }
    cursor->failed = true;
    return 0;
}

static void read_clock(struct cursor *cursor, struct parts *parts) {
    parts->hour = read_number(cursor, 2);
    expect(cursor, ":");
    parts->minute = read_number(cursor, 2);
    expect(cursor, ":");
    parts->second = read_number(cursor, 2);
}

static bool is_leap(int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t days_in(int64_t year, int64_t month) {
    static const int8_t k_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return k_days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

static bool are_possible(const struct parts *parts) {
    return parts->year >= 1 && parts->month >= 1 && parts->month <= 12 && parts->day >= 1 &&
           parts->day <= days_in(parts->year, parts->month) && parts->hour <= 23 && parts->minute <= 59 &&
           parts->second <= 60;
}

/* Whole days since 1970-01-01, by counting years from March, so that a leap day is the last of its year. */
static int64_t days_of(const struct parts *parts) {
    int64_t year = parts->year - (parts->month <= 2 ? 1 : 0);
    int64_t month = (parts->month + 9) % 12;
    int64_t day_of_year = (153 * month + 2) / 5 + parts->day - 1;
    return 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

static int64_t seconds_of(const struct parts *parts) {
    return ((days_of(parts) * 24 + parts->hour) * 60 + parts->minute) * 60 + parts->second;
}

/* see net/dates.h */
bool ael_date_from_http(struct ael_bytes text, int64_t *time_s) {
    struct cursor cursor = {text.data, text.len, text.data == NULL};
    struct parts parts = {0};
    (void)read_name(&cursor, "MonTueWedThuFriSatSun");
    expect(&cursor, ", ");
    parts.day = read_number(&cursor, 2);
    expect(&cursor, " ");
    parts.month = read_name(&cursor, "JanFebMarAprMayJunJulAugSepOctNovDec") + 1;
    expect(&cursor, " ");
    parts.year = read_number(&cursor, 4);
    expect(&cursor, " ");
    read_clock(&cursor, &parts);
    expect(&cursor, " GMT");
    if (cursor.failed || cursor.left != 0 || !are_possible(&parts)) {
        return false;
    }
    *time_s = seconds_of(&parts);
    return true;
}

static void skip_fraction(struct cursor *cursor) {
    if (cursor->left == 0 || cursor->at[0] != '.') {
        return;
    }
    expect(cursor, ".");
    (void)read_number(cursor, 1);
    while (cursor->left > 0 && cursor->at[0] >= '0' && cursor->at[0] <= '9') {
        cursor->at++;
        cursor->left--;
    }
}

/* "Z", or "+hh:mm" or "-hh:mm" in seconds. */
static int64_t read_offset(struct cursor *cursor) {
    if (cursor->left == 0 || (cursor->at[0] != '+' && cursor->at[0] != '-')) {
        expect(cursor, "Z");
        return 0;
    }
    int64_t sign = cursor->at[0] == '+' ? 1 : -1;
    expect(cursor, sign > 0 ? "+" : "-");
    int64_t hours = read_number(cursor, 2);
    expect(cursor, ":");
    int64_t minutes = read_number(cursor, 2);
    cursor->failed = cursor->failed || hours > 23 || minutes > 59;
    return sign * (hours * 60 + minutes) * 60;
}

/* see net/dates.h */
bool ael_date_from_iso(struct ael_bytes text, int64_t *time_s) {
    struct cursor cursor = {text.data, text.len, text.data == NULL};
    struct parts parts = {0};
    parts.year = read_number(&cursor, 4);
    expect(&cursor, "-");
    parts.month = read_number(&cursor, 2);
    expect(&cursor, "-");
    parts.day = read_number(&cursor, 2);
    expect(&cursor, "T");
    read_clock(&cursor, &parts);
    skip_fraction(&cursor);
    int64_t offset_s = read_offset(&cursor);
    if (cursor.failed || cursor.left != 0 || !are_possible(&parts)) {
        return false;
    }
    *time_s = seconds_of(&parts) - offset_s;
    return true;
}

/* see net/dates.h */
bool ael_date_to_basic(int64_t time_s, char out[static AEL_DATE_BASIC_BYTES]) {
    time_t time = (time_t)time_s;
    struct tm utc;
    if (gmtime_r(&time, &utc) == NULL || utc.tm_year < 0 || utc.tm_year > 9999 - 1900) {
        return false;
    }
    return strftime(out, AEL_DATE_BASIC_BYTES, "%Y%m%dT%H%M%SZ", &utc) == AEL_DATE_BASIC_BYTES - 1;
}
