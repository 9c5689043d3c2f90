/*
 * tests/support/pkcs11/counted.c - another PKCS#11 module (AEL_COUNTED_MODULE), whose encrypts and decrypts are counted, and held up
 * while a test wants it.
 *
 * Each call is a letter at the end of the file AEL_COUNTED_CALLS, "e" or "d", and goes on when
 * nobody has the file AEL_COUNTED_GATE locked.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);

static CK_FUNCTION_LIST s_mine;
static const CK_FUNCTION_LIST *s_theirs;

/* A call arrives. */
static void arrive(const char *letter) {
    int calls = open(getenv("AEL_COUNTED_CALLS"), O_WRONLY | O_APPEND | O_CLOEXEC);
    int gate = open(getenv("AEL_COUNTED_GATE"), O_RDONLY | O_CLOEXEC);
    if (calls < 0 || write(calls, letter, 1) != 1 || gate < 0 || flock(gate, LOCK_SH) != 0) {
        _exit(1); /* the test sees it */
    }
    (void)close(calls);
    (void)close(gate);
}

static CK_RV encrypt(
    CK_SESSION_HANDLE session,
    unsigned char *data,
    unsigned long len,
    unsigned char *encrypted,
    unsigned long *encrypted_len) {
    arrive("e");
    return s_theirs->C_Encrypt(session, data, len, encrypted, encrypted_len);
}

static CK_RV decrypt(
    CK_SESSION_HANDLE session,
    unsigned char *encrypted,
    unsigned long len,
    unsigned char *data,
    unsigned long *data_len) {
    arrive("d");
    return s_theirs->C_Decrypt(session, encrypted, len, data, data_len);
}

/* The one function that is seen. */
__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
    CK_FUNCTION_LIST *theirs = NULL;
    void *module = dlopen(getenv("AEL_COUNTED_MODULE"), RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get = NULL;
    if (module == NULL) {
        return CKR_GENERAL_ERROR;
    }
    *(void **)&get = dlsym(module, "C_GetFunctionList");
    if (get == NULL || get(&theirs) != CKR_OK) {
        return CKR_GENERAL_ERROR;
    }
    s_theirs = theirs;
    s_mine = *theirs;
    s_mine.C_Encrypt = encrypt;
    s_mine.C_Decrypt = decrypt;
    *list = &s_mine;
    return CKR_OK;
}
