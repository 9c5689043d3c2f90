/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ini.h"

#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

/* Everything in one line: "[name]", "name=value", "?line". */
static const char *read_all(const char *text) {
    static char out[1024];
    struct ael_ini_reader reader;
    size_t len = 0;
    ael_ini_reader_init(&reader, ael_bytes_from_text(text));
    out[0] = '\0';
    for (;;) {
        struct ael_ini_item item = ael_ini_next(&reader);
        const char *name = item.name.len == 0 ? "" : (const char *)item.name.data;
        const char *value = item.value.len == 0 ? "" : (const char *)item.value.data;
        if (item.kind == AEL_INI_END) {
            return out;
        }
        if (item.kind == AEL_INI_SECTION) {
            len += (size_t)snprintf(out + len, sizeof out - len, "[%.*s]", (int)item.name.len, name);
        } else if (item.kind == AEL_INI_PROPERTY) {
            len += (size_t)snprintf(
                out + len, sizeof out - len, "%.*s=%.*s|", (int)item.name.len, name, (int)item.value.len,
                value);
        } else {
            len += (size_t)snprintf(out + len, sizeof out - len, "?%u|", item.line);
        }
    }
}

static void test_ini_next__reads_sections_and_properties(void) {
    CU_ASSERT_STRING_EQUAL(read_all(""), "");
    CU_ASSERT_STRING_EQUAL(read_all("[a]\nb=c\n"), "[a]b=c|");
    CU_ASSERT_STRING_EQUAL(read_all("[ profile  a ] # x\r\nb = c d \r\n"), "[profile  a]b=c d|");
    CU_ASSERT_STRING_EQUAL(read_all("a=b=c"), "a=b=c|");
    CU_ASSERT_STRING_EQUAL(read_all("a="), "a=|");
    CU_ASSERT_STRING_EQUAL(read_all("a =  "), "a=|");
    CU_ASSERT_STRING_EQUAL(read_all("[a]x"), "?1|");
    CU_ASSERT_STRING_EQUAL(read_all("[a];x"), "[a]");
}

static void test_ini_next__passes_over_comments_and_nested_lines(void) {
    CU_ASSERT_STRING_EQUAL(
        read_all("# a\n; b\n\n  \n[s]\na=1 # c\nb=2 ; d\nc=3#4;5\n"), "[s]a=1|b=2|c=3#4;5|");
    CU_ASSERT_STRING_EQUAL(read_all("s3 =\n  x = 1\n\ty = 2\nz = 3"), "s3=|z=3|");
    CU_ASSERT_STRING_EQUAL(read_all("a=#b"), "a=#b|");
    CU_ASSERT_STRING_EQUAL(read_all("a= #b"), "a=|");
}

static void test_ini_next__gives_the_line_of_what_it_cannot_read(void) {
    CU_ASSERT_STRING_EQUAL(read_all("[a\nb\n=c\n[]\n[ ]\nd=e"), "?1|?2|?3|?4|?5|d=e|");
    struct ael_ini_reader reader;
    ael_ini_reader_init(&reader, (struct ael_bytes){(const uint8_t *)"a=\0b\nc=d", 8});
    CU_ASSERT_EQUAL(ael_ini_next(&reader).kind, AEL_INI_BAD);
    CU_ASSERT_EQUAL(ael_ini_next(&reader).line, 2);
    CU_ASSERT_EQUAL(ael_ini_next(&reader).kind, AEL_INI_END);
    CU_ASSERT_EQUAL(ael_ini_next(&reader).kind, AEL_INI_END);
}

static const struct test_case k_cases[] = {
    {"sections and properties are read", test_ini_next__reads_sections_and_properties},
    {"comments and nested lines are passed over", test_ini_next__passes_over_comments_and_nested_lines},
    {"what cannot be read is named by its line", test_ini_next__gives_the_line_of_what_it_cannot_read},
};
TEST_SUITE_MAIN("ini", k_cases)
