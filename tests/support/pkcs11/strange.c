/*
 * tests/support/pkcs11/strange.c - a PKCS#11 module that does what none should; AEL_STRANGE tells what.
 *
 * A hang lasts until the process is killed. Where nothing is told it works, but that its encryption is none. AEL_STRANGE_FILE names
 * a file that its processes share.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);

static int is(const char *what) {
    const char *wanted = getenv("AEL_STRANGE");
    return wanted != NULL && strcmp(wanted, what) == 0;
}

static void crash(void) {
    __builtin_trap();
}

static void hang(void) {
    for (;;) {
        (void)pause();
    }
}

__attribute__((constructor)) static void load(void) {
    if (is("crash-on-load")) {
        crash();
    }
    if (is("hang-on-load")) {
        hang();
    }
}

static CK_RV initialize(void *args) {
    (void)args;
    if (is("show-children")) { /* whether a program that it starts has what came over the socket */
        return system("test -e /proc/self/fd/3") == 0 ? CKR_GENERAL_ERROR : CKR_OK;
    }
    return is("refuse-to-start") ? CKR_GENERAL_ERROR : CKR_OK;
}

static CK_RV get_slot_list(unsigned char present, CK_SLOT_ID *slots, unsigned long *count) {
    (void)present;
    *count = 1;
    slots[0] = 0;
    return CKR_OK;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    (void)slot;
    memset(info, 0, sizeof *info);
    memset(info->label, ' ', sizeof info->label);
    memcpy(info->label, "strange", 7);
    info->flags = CKF_TOKEN_INITIALIZED;
    return CKR_OK;
}

static CK_RV open_session(
    CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session) {
    (void)slot;
    (void)flags;
    (void)application;
    (void)notify;
    *session = 1;
    if (is("one-session")) {
        int file = open(getenv("AEL_STRANGE_FILE"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        return file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0 ? CKR_OK : CKR_SESSION_COUNT;
    }
    return CKR_OK;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, unsigned long len) {
    (void)session;
    (void)user;
    (void)pin;
    (void)len;
    if (getenv("AEL_STRANGE_FILE") != NULL) { /* a byte for each time that a PIN is shown */
        int file = open(getenv("AEL_STRANGE_FILE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        (void)!write(file, "1", 1);
        (void)close(file);
    }
    if (is("slow-at-login")) {
        (void)poll(NULL, 0, 500);
    }
    if (is("hang-at-login")) {
        hang();
    }
    return is("pin-locked")        ? CKR_PIN_LOCKED
           : is("gone-at-login")   ? CKR_DEVICE_REMOVED
           : is("failed-at-login") ? CKR_GENERAL_ERROR
                                   : CKR_OK;
}

static CK_RV find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted, unsigned long count) {
    (void)session;
    (void)wanted;
    (void)count;
    return CKR_OK;
}

static CK_RV
find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *found, unsigned long most, unsigned long *count) {
    (void)session;
    (void)most;
    found[0] = 1;
    *count = 1;
    return CKR_OK;
}

static CK_RV find_final(CK_SESSION_HANDLE session) {
    (void)session;
    return CKR_OK;
}

/* Whose child goes on as this process does. */
static void answer_twice(void) {
    static int s_done;
    if (s_done == 0) {
        s_done = 1;
        if (fork() > 0) {
            (void)poll(NULL, 0, 100);
        }
    }
}

static CK_RV init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
    static unsigned s_uses;
    (void)session;
    (void)mechanism;
    (void)key;
    if (is("crash-at-work")) {
        crash();
    }
    if (is("hang-at-work")) {
        hang();
    }
    if (is("exit-at-work")) {
        _exit(0);
    }
    if (is("fork-and-crash")) { /* the child has the socket */
        if (fork() == 0) {
            (void)poll(NULL, 0, 5000);
            _exit(0);
        }
        crash();
    }
    if (is("answer-twice")) {
        answer_twice();
    }
    if (is("slow") || is("one-session")) {
        (void)poll(NULL, 0, 30);
    }
    s_uses++;
    return is("general-error") || (is("sick") && s_uses > 2) ? CKR_GENERAL_ERROR : CKR_OK;
}

static CK_RV init_encrypt(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
    return is("only-decrypts") ? CKR_KEY_FUNCTION_NOT_PERMITTED : init(session, mechanism, key);
}

static CK_RV decrypt(
    CK_SESSION_HANDLE session,
    unsigned char *in,
    unsigned long len,
    unsigned char *out,
    unsigned long *out_len) {
    (void)session;
    (void)len;
    if (is("only-decrypts")) {
        return CKR_GENERAL_ERROR;
    }
    for (size_t i = 0; i < 32; i++) {
        out[i] = in[i] ^ 0x5a;
    }
    *out_len = 32;
    return CKR_OK;
}

static CK_RV work(
    CK_SESSION_HANDLE session,
    unsigned char *in,
    unsigned long len,
    unsigned char *out,
    unsigned long *out_len) {
    (void)session;
    memset(out, 0, *out_len);
    for (size_t i = 0; i < 32; i++) {
        out[i] = in[i] ^ (is("plain") ? 0 : is("noise") ? 0x11 : 0x5a);
    }
    *out_len = is("wrong-length") ? len : 48;
    return CKR_OK;
}

static CK_RV
create(CK_SESSION_HANDLE session, CK_ATTRIBUTE *of, unsigned long count, CK_OBJECT_HANDLE *made) {
    (void)session;
    (void)of;
    (void)count;
    (void)made;
    return CKR_MECHANISM_INVALID;
}

static CK_RV wrap(
    CK_SESSION_HANDLE session,
    CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE with,
    CK_OBJECT_HANDLE key,
    unsigned char *wrapped,
    unsigned long *len) {
    (void)session;
    (void)mechanism;
    (void)with;
    (void)key;
    (void)wrapped;
    (void)len;
    return CKR_MECHANISM_INVALID;
}

static CK_RV unwrap(
    CK_SESSION_HANDLE session,
    CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE with,
    unsigned char *wrapped,
    unsigned long len,
    CK_ATTRIBUTE *of,
    unsigned long count,
    CK_OBJECT_HANDLE *key) {
    (void)session;
    (void)mechanism;
    (void)with;
    (void)wrapped;
    (void)len;
    (void)of;
    (void)count;
    (void)key;
    return CKR_MECHANISM_INVALID;
}

static CK_RV destroy(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
    (void)session;
    (void)object;
    return CKR_OK;
}

static CK_RV
get_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *values, unsigned long count) {
    (void)session;
    (void)object;
    (void)values;
    (void)count;
    return CKR_OK;
}

static CK_FUNCTION_LIST s_functions = {
    .version = {2, 40},
    .C_Initialize = initialize,
    .C_GetSlotList = get_slot_list,
    .C_GetTokenInfo = get_token_info,
    .C_OpenSession = open_session,
    .C_Login = login,
    .C_FindObjectsInit = find_init,
    .C_FindObjects = find,
    .C_FindObjectsFinal = find_final,
    .C_EncryptInit = init_encrypt,
    .C_Encrypt = work,
    .C_DecryptInit = init,
    .C_Decrypt = decrypt,
    .C_CreateObject = create,
    .C_WrapKey = wrap,
    .C_UnwrapKey = unwrap,
    .C_DestroyObject = destroy,
    .C_GetAttributeValue = get_value,
};

/* The one function that is seen. */
__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
    *list = is("no-functions") ? NULL : &s_functions;
    return CKR_OK;
}
