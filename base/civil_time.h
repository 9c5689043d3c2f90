/*
 * base/civil_time.h - an instant as a date and a time of day in UTC, without the C library's table of time
 * zones and its lock, which take longer than to find a row.
 * Layer: base. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_CIVIL_TIME_H
#define AEL_BASE_CIVIL_TIME_H

#include <stdint.h>

struct ael_civil_time {
    unsigned year;
    unsigned month; /* 1 .. 12 */
    unsigned day;   /* 1 .. 31 */
    unsigned hour;
    unsigned minute;
    unsigned second;
};

/* Of March 1 in the year 0, from where years are counted; 400 of them have as many days as any other 400. */
enum { AEL_CIVIL_DAYS_TO_1970 = 719468, AEL_CIVIL_DAYS_OF_400_YEARS = 146097 };

/**
 * The date and time of an instant. Years are counted from March, so that the leap day is a year's last: of
 * five months from there on, 153 days, each fifth begins anew.
 *
 * @param seconds  since 1970 in UTC, 0 .. 253402300799 (the end of 9999).
 */
static inline struct ael_civil_time ael_civil_time_of(int64_t seconds) {
    uint32_t day = (uint32_t)(seconds / 86400) + AEL_CIVIL_DAYS_TO_1970;
    uint32_t second = (uint32_t)(seconds % 86400);
    uint32_t of_400 = day % AEL_CIVIL_DAYS_OF_400_YEARS;
    uint32_t leap_days = of_400 / 1460 - of_400 / 36524 + of_400 / (AEL_CIVIL_DAYS_OF_400_YEARS - 1);
    uint32_t year = (of_400 - leap_days) / 365;
    uint32_t of_year = of_400 - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * of_year + 2) / 153;
    uint32_t is_next_year = month >= 10 ? 1 : 0;
    return (struct ael_civil_time){
        .year = year + day / AEL_CIVIL_DAYS_OF_400_YEARS * 400 + is_next_year,
        .month = is_next_year != 0 ? month - 9 : month + 3,
        .day = of_year - (153 * month + 2) / 5 + 1,
        .hour = second / 3600,
        .minute = second / 60 % 60,
        .second = second % 60,
    };
}

#endif /* AEL_BASE_CIVIL_TIME_H */
