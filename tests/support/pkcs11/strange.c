/*
 * tests/support/pkcs11/strange.c - a PKCS#11 module that does what none should; AEL_STRANGE tells what.
 *
 * A hang lasts until the process is killed, or something else is told. Where nothing is told it works, but that its encryption is none. AEL_STRANGE_FILE names
 * a file that its processes share. A test that has it in its own process tells it by strange_do, and reads the counts.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#define SEEN __attribute__((visibility("default")))

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);
void strange_do(const char *what);

SEEN extern _Atomic int strange_started; /* how often */
SEEN extern _Atomic int strange_ended;
SEEN extern _Atomic int strange_sessions;       /* that are open */
SEEN extern _Atomic int strange_inside;         /* who hang */
SEEN extern _Atomic int strange_logins;         /* how often a PIN was shown */
SEEN extern void *_Atomic strange_left;         /* a key on the stack */
SEEN extern void *_Atomic strange_encrypted_to; /* where the caller had it, last */
SEEN extern void *_Atomic strange_decrypted_to;
_Atomic int strange_started;
_Atomic int strange_ended;
_Atomic int strange_sessions;
_Atomic int strange_inside;
_Atomic int strange_logins;
void *_Atomic strange_left;
void *_Atomic strange_encrypted_to;
void *_Atomic strange_decrypted_to;

static const char *_Atomic s_told;
static _Atomic int s_is_started;

/* In the place of AEL_STRANGE. The text stays. */
SEEN void strange_do(const char *what) {
    s_told = what;
}

static int is(const char *what) {
    const char *told = s_told;
    const char *wanted = told != NULL ? told : getenv("AEL_STRANGE");
    return wanted != NULL && strcmp(wanted, what) == 0;
}

static void crash(void) {
    __builtin_trap();
}

static void hang(const char *what) {
    strange_inside++;
    while (is(what)) {
        (void)poll(NULL, 0, 5);
    }
    strange_inside--;
}

__attribute__((constructor)) static void load(void) {
    if (is("crash-on-load")) {
        crash();
    }
    if (is("hang-on-load")) {
        hang("hang-on-load");
    }
    while (is("load-without-file") && access(getenv("AEL_STRANGE_FILE"), F_OK) == 0) {
        (void)poll(NULL, 0, 5);
    }
}

static CK_RV initialize(void *args) {
    (void)args;
    if (is("show-children")) { /* whether a program that it starts has what came over the socket */
        return system("test -e /proc/self/fd/3") == 0 ? CKR_GENERAL_ERROR : CKR_OK;
    }
    if (is("refuse-to-start")) {
        return CKR_GENERAL_ERROR;
    }
    if (s_is_started) {
        return CKR_CRYPTOKI_ALREADY_INITIALIZED;
    }
    s_is_started = 1;
    strange_started++;
    return CKR_OK;
}

static CK_RV finalize(void *args) {
    (void)args;
    s_is_started = 0;
    strange_ended++;
    return CKR_OK;
}

/* One, 0; or of the same label 7 and 8. */
static CK_RV get_slot_list(unsigned char present, CK_SLOT_ID *slots, unsigned long *count) {
    unsigned long most = *count;
    (void)present;
    *count = is("two-tokens") ? 2 : 1;
    if (slots == NULL) {
        return CKR_OK;
    }
    for (unsigned long i = 0; i < *count && i < most; i++) {
        slots[i] = is("two-tokens") ? 7 + i : 0;
    }
    return *count <= most ? CKR_OK : CKR_BUFFER_TOO_SMALL;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    memset(info, 0, sizeof *info);
    memset(info->label, ' ', sizeof info->label);
    memcpy(info->label, "strange", 7);
    memset(info->serialNumber, ' ', sizeof info->serialNumber);
    memcpy(info->serialNumber, slot == 8 ? "0008" : "0007", 4);
    info->flags = CKF_TOKEN_INITIALIZED;
    return CKR_OK;
}

/* For some seconds. */
static void hang_at_end_of_thread(void *unused) {
    (void)unused;
    strange_inside++;
    for (int i = 0; i < 6000 && is("hang-at-end-of-thread"); i++) {
        (void)poll(NULL, 0, 5);
    }
    strange_inside--;
}

static void hang_when_this_thread_ends(void) {
    static pthread_key_t s_key;
    static int s_has_key;
    s_has_key = s_has_key || pthread_key_create(&s_key, hang_at_end_of_thread) == 0;
    (void)pthread_setspecific(s_key, &s_key);
}

static CK_RV open_session(
    CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session) {
    (void)flags;
    (void)application;
    (void)notify;
    *session = 1 + slot;
    if (is("one-session")) {
        int file = open(getenv("AEL_STRANGE_FILE"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        return file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0 ? CKR_OK : CKR_SESSION_COUNT;
    }
    if (is("hang-at-end-of-thread")) {
        hang_when_this_thread_ends();
    }
    strange_sessions++;
    return CKR_OK;
}

static CK_RV close_session(CK_SESSION_HANDLE session) {
    (void)session;
    strange_sessions--;
    return CKR_OK;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, unsigned long len) {
    (void)session;
    (void)user;
    (void)pin;
    (void)len;
    strange_logins++;
    if (getenv("AEL_STRANGE_FILE") != NULL) { /* a byte for each time that a PIN is shown */
        int file = open(getenv("AEL_STRANGE_FILE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        (void)!write(file, "1", 1);
        (void)close(file);
    }
    if (is("slow-at-login")) {
        (void)poll(NULL, 0, 500);
    }
    if (is("hang-at-login")) {
        hang("hang-at-login");
    }
    return is("pin-locked")        ? CKR_PIN_LOCKED
           : is("gone-at-login")   ? CKR_DEVICE_REMOVED
           : is("failed-at-login") ? CKR_GENERAL_ERROR
           : is("logged-in")       ? CKR_USER_ALREADY_LOGGED_IN
           : is("logged-out")      ? CKR_GENERAL_ERROR
           : is("other-logged-in") ? CKR_USER_ANOTHER_ALREADY_LOGGED_IN
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
    static _Atomic unsigned s_uses;
    (void)session;
    (void)mechanism;
    (void)key;
    if (is("crash-at-work")) {
        crash();
    }
    if (is("hang-at-work")) {
        hang("hang-at-work");
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
    if (is("logged-out")) {
        return CKR_USER_NOT_LOGGED_IN;
    }
    return is("general-error") || is("hang-at-end-of-thread") || (is("sick") && s_uses > 2)
               ? CKR_GENERAL_ERROR
               : CKR_OK;
}

static CK_RV init_encrypt(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
    return is("only-decrypts") ? CKR_KEY_FUNCTION_NOT_PERMITTED : init(session, mechanism, key);
}

/* Far below the caller's frame. */
__attribute__((noinline)) static void leave_on_stack(const unsigned char *key) {
    volatile unsigned char frame[65536];
    for (size_t i = 0; i < 32; i++) {
        frame[i] = key[i];
    }
    strange_left = (void *)(size_t)frame;
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
    strange_decrypted_to = out;
    for (size_t i = 0; i < 32; i++) {
        out[i] = in[i] ^ 0x5a;
    }
    *out_len = 32;
    if (is("deep-stack")) {
        leave_on_stack(out);
    }
    return CKR_OK;
}

static CK_RV work(
    CK_SESSION_HANDLE session,
    unsigned char *in,
    unsigned long len,
    unsigned char *out,
    unsigned long *out_len) {
    (void)session;
    strange_encrypted_to = out;
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
    .C_Finalize = finalize,
    .C_GetSlotList = get_slot_list,
    .C_GetTokenInfo = get_token_info,
    .C_OpenSession = open_session,
    .C_CloseSession = close_session,
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

SEEN CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
    *list = is("no-functions") ? NULL : &s_functions;
    return CKR_OK;
}
