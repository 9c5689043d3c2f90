/*
 * tests/unit/test_key_file.c - which files and texts are taken for a master key, and which are refused.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/key_file.h"

#include "base/alloc.h"
#include "tests/support/hex.h"
#include "tests/support/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_KEY "746869734973415374617469634d61737465724b6579466f7254657374696e67"

static const char k_text_key[] = "thisIsAStaticMasterKeyForTesting";

static char s_dir[64];
static char s_path[128];

static void begin_dir(void) {
    (void)snprintf(s_dir, sizeof s_dir, "/tmp/ael-key-file-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(s_dir));
    (void)snprintf(s_path, sizeof s_path, "%s/key", s_dir);
}

static void end_dir(void) {
    (void)unlink(s_path);
    CU_ASSERT_EQUAL(rmdir(s_dir), 0);
}

static void write_file(const void *bytes, size_t len, mode_t mode) {
    int fd = open(s_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, bytes, len), (ssize_t)len);
    CU_ASSERT_EQUAL(fchmod(fd, mode), 0);
    CU_ASSERT_EQUAL(close(fd), 0);
}

static void expect_key(struct ael_secret *secret, const void *bytes) {
    struct ael_secret_access access;
    CU_ASSERT_EQUAL_FATAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_EQUAL(access.bytes.len, 32);
    CU_ASSERT(memcmp(access.bytes.data, bytes, 32) == 0);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
}

static void expect_read(const void *bytes, unsigned flags) {
    struct ael_secret *key = NULL;
    struct ael_error err = {.status = AEL_OK};
    enum ael_status status = ael_key_file_read(s_path, flags, &key, &err);
    CU_ASSERT_EQUAL(status, AEL_OK);
    if (status == AEL_OK) {
        expect_key(key, bytes);
    } else {
        printf("\n    %s", err.detail);
    }
    ael_secret_release(key);
}

/* A refusal has its own sentence, with the word that makes it plain, and shows nothing of the content. */
static void expect_refused(const char *path, unsigned flags, const char *word) {
    struct ael_secret *key = NULL;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(ael_key_file_read(path, flags, &key, &err), AEL_E_KEY_FILE);
    CU_ASSERT_PTR_NULL(key);
    CU_ASSERT_EQUAL(err.status, AEL_E_KEY_FILE);
    CU_ASSERT_STRING_EQUAL(err.component, "kms/static");
    if (strstr(err.detail, word) == NULL) {
        printf("\n    \"%s\" is not in \"%s\"", word, err.detail);
        CU_FAIL("another sentence was expected");
    }
    CU_ASSERT_PTR_NULL(strstr(err.detail, "thisIs"));
    CU_ASSERT_PTR_NULL(strstr(err.detail, "7468"));
    CU_ASSERT_EQUAL(ael_key_file_read(path, flags, &key, NULL), AEL_E_KEY_FILE);
}

/* ---- what is taken ---- */

static void test_key_file_read__takes_32_bytes(void) {
    begin_dir();
    uint8_t bytes[32];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7); /* NUL and newline among them */
    }
    bytes[31] = '\n';
    write_file(bytes, sizeof bytes, 0600);
    expect_read(bytes, 0);
    write_file(k_text_key, 32, 0400);
    expect_read(k_text_key, 0);
    end_dir();
}

static void test_key_file_read__takes_64_hex_digits(void) {
    static const char k_upper[] = "746869734973415374617469634D61737465724B6579466F7254657374696E67\n";
    begin_dir();
    write_file(HEX_KEY, 64, 0600);
    expect_read(k_text_key, 0);
    write_file(HEX_KEY "\n", 65, 0600);
    expect_read(k_text_key, 0);
    write_file(k_upper, 65, 0600);
    expect_read(k_text_key, 0);
    end_dir();
}

static void test_key_file_read__decodes_every_digit(void) {
    static const char k_digits[] = "00112233445566778899aAbBcCdDeEfF0123456789abcdefFEDCBA9876543210";
    uint8_t wanted[32];
    begin_dir();
    CU_ASSERT_EQUAL(test_hex_decode(k_digits, wanted, sizeof wanted), sizeof wanted);
    write_file(k_digits, 64, 0600);
    expect_read(wanted, 0);
    end_dir();
}

/* ---- what is refused for its content ---- */

static void test_key_file_read__refuses_other_lengths(void) {
    static const size_t k_lengths[] = {0, 1, 16, 31, 33, 48, 63, 66, 67, 1000};
    static char content[1000];
    begin_dir();
    memset(content, 'a', sizeof content);
    for (size_t i = 0; i < sizeof k_lengths / sizeof k_lengths[0]; i++) {
        char word[32];
        (void)snprintf(word, sizeof word, "holds %zu bytes", k_lengths[i] < 66 ? k_lengths[i] : 66);
        write_file(content, k_lengths[i], 0600);
        expect_refused(s_path, 0, word);
    }
    end_dir();
}

static void test_key_file_read__refuses_65_digits_and_other_line_ends(void) {
    begin_dir();
    write_file(HEX_KEY "0", 65, 0600);
    expect_refused(s_path, 0, "holds 65 bytes");
    write_file(HEX_KEY "\r", 65, 0600);
    expect_refused(s_path, 0, "holds 65 bytes");
    write_file(HEX_KEY "\n\n", 66, 0600);
    expect_refused(s_path, 0, "holds 66 bytes");
    write_file(HEX_KEY "\r\n", 66, 0600);
    expect_refused(s_path, 0, "holds 66 bytes");
    end_dir();
}

static void test_key_file_read__refuses_every_byte_that_is_no_digit(void) {
    char digits[] = HEX_KEY;
    begin_dir();
    for (unsigned byte = 0; byte < 256; byte++) {
        digits[byte % 64] = (char)byte;
        write_file(digits, 64, 0600);
        if (test_hex_digit((char)byte) < 0) {
            expect_refused(s_path, 0, "not hexadecimal digits");
        } else {
            uint8_t wanted[32];
            CU_ASSERT_EQUAL(test_hex_decode(digits, wanted, sizeof wanted), 32);
            expect_read(wanted, 0);
        }
        memcpy(digits, HEX_KEY, 64);
    }
    end_dir();
}

/* ---- what is refused for what it is ---- */

static void test_key_file_read__refuses_a_link(void) {
    char link[160];
    begin_dir();
    write_file(k_text_key, 32, 0600);
    (void)snprintf(link, sizeof link, "%s/link", s_dir);
    CU_ASSERT_EQUAL(symlink(s_path, link), 0);
    expect_refused(link, 0, "symbolic link");
    expect_refused(link, AEL_KEY_FILE_ALLOW_LOOSE_MODE, "symbolic link");
    CU_ASSERT_EQUAL(unlink(link), 0);
    end_dir();
}

static void test_key_file_read__refuses_loose_modes(void) {
    static const mode_t k_modes[] = {0604, 0640, 0644, 0620, 0602, 0610, 0601, 0666, 0777};
    begin_dir();
    for (size_t i = 0; i < sizeof k_modes / sizeof k_modes[0]; i++) {
        write_file(k_text_key, 32, k_modes[i]);
        expect_refused(s_path, 0, "chmod");
        expect_read(k_text_key, AEL_KEY_FILE_ALLOW_LOOSE_MODE);
    }
    end_dir();
}

static void test_key_file_read__refuses_another_owner(void) {
    if (geteuid() != 0) {
        return; /* only root can give files away */
    }
    begin_dir();
    write_file(k_text_key, 32, 0600);
    CU_ASSERT_EQUAL(chown(s_path, 4321, (gid_t)-1), 0);
    expect_refused(s_path, 0, "belongs to user 4321");
    expect_read(k_text_key, AEL_KEY_FILE_ALLOW_LOOSE_MODE);
    end_dir();
}

static void test_key_file_read__refuses_what_is_no_regular_file(void) {
    begin_dir();
    CU_ASSERT_EQUAL(mkfifo(s_path, 0600), 0);
    expect_refused(s_path, 0, "not a regular file"); /* and does not wait for a writer */
    expect_refused(s_path, AEL_KEY_FILE_ALLOW_LOOSE_MODE, "not a regular file");
    expect_refused(s_dir, 0, "not a regular file");
    expect_refused("/dev/zero", 0, "not a regular file");
    end_dir();
}

static void test_key_file_read__refuses_what_cannot_be_opened(void) {
    char beyond[160];
    char long_path[5000];
    begin_dir();
    expect_refused(s_path, 0, "does not exist");
    write_file(k_text_key, 32, 0600);
    (void)snprintf(beyond, sizeof beyond, "%s/below", s_path);
    expect_refused(beyond, 0, "cannot be opened");
    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    expect_refused(long_path, 0, "check the path");
    end_dir();
}

static void test_key_file_read__refuses_a_file_it_may_not_read(void) {
    if (geteuid() == 0) {
        return; /* root may read everything */
    }
    begin_dir();
    write_file(k_text_key, 32, 0);
    expect_refused(s_path, 0, "may not be read");
    end_dir();
}

static void test_key_file_read__refuses_bad_arguments(void) {
    struct ael_secret *key = NULL;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(ael_key_file_read(NULL, 0, &key, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_key_file_read("", 0, &key, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_key_file_read("/etc/hostname", 2, &key, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_key_file_read("/etc/hostname", ~0u, &key, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_PTR_NULL(key);
}

/* ---- texts ---- */

static void test_key_text_read__takes_exactly_64_digits(void) {
    static const char *const k_bad[] = {
        "", "00", HEX_KEY "\n", HEX_KEY "0", "thisIsAStaticMasterKeyForTesting"};
    struct ael_secret *key = NULL;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL_FATAL(ael_key_text_read(ael_bytes_from_text(HEX_KEY), "the text", &key, &err), AEL_OK);
    expect_key(key, k_text_key);
    ael_secret_release(key);
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        CU_ASSERT_EQUAL(
            ael_key_text_read(ael_bytes_from_text(k_bad[i]), "the text", &key, &err), AEL_E_KEY_FILE);
        CU_ASSERT_PTR_NULL(key);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "the text holds"));
    }
    CU_ASSERT_EQUAL(
        ael_key_text_read(
            ael_bytes_from_text("0x6869734973415374617469634d61737465724b6579466f7254657374696e67"), "t",
            &key, &err),
        AEL_E_KEY_FILE);
    CU_ASSERT_PTR_NULL(key);
}

static int fail_at(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

static void test_key_file_read__fails_without_memory(void) {
    begin_dir();
    write_file(HEX_KEY, 64, 0600);
    expect_read(k_text_key, 0); /* protected memory is set up */
    enum ael_status status = AEL_E_NO_MEMORY;
    for (int nth = 0; nth < 20 && status != AEL_OK; nth++) {
        struct ael_secret *key = NULL;
        struct ael_error err = {.status = AEL_OK};
        int left = nth;
        ael_alloc_set_fault(fail_at, &left);
        status = ael_key_file_read(s_path, 0, &key, &err);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT(nth > 0 || status == AEL_E_NO_MEMORY);
        CU_ASSERT_EQUAL(err.status, status);
        CU_ASSERT(status == AEL_OK || key == NULL);
        ael_secret_release(key);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    end_dir();
}

static const struct test_case k_cases[] = {
    {"32 bytes are a key", test_key_file_read__takes_32_bytes},
    {"64 hexadecimal digits and a newline are a key", test_key_file_read__takes_64_hex_digits},
    {"every digit is decoded", test_key_file_read__decodes_every_digit},
    {"other lengths are refused", test_key_file_read__refuses_other_lengths},
    {"65 digits and other line ends are refused", test_key_file_read__refuses_65_digits_and_other_line_ends},
    {"every byte that is no digit is refused", test_key_file_read__refuses_every_byte_that_is_no_digit},
    {"a symbolic link is refused", test_key_file_read__refuses_a_link},
    {"loose modes are refused unless allowed", test_key_file_read__refuses_loose_modes},
    {"another owner is refused unless allowed", test_key_file_read__refuses_another_owner},
    {"a pipe, a folder and a device are refused", test_key_file_read__refuses_what_is_no_regular_file},
    {"what cannot be opened is refused", test_key_file_read__refuses_what_cannot_be_opened},
    {"a file that may not be read is refused", test_key_file_read__refuses_a_file_it_may_not_read},
    {"bad arguments are refused", test_key_file_read__refuses_bad_arguments},
    {"a text is exactly 64 digits", test_key_text_read__takes_exactly_64_digits},
    {"no memory is a status", test_key_file_read__fails_without_memory},
};

TEST_SUITE_MAIN("key_file", k_cases)
