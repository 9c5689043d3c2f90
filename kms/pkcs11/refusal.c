/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/pkcs11/refusal.h"

#include <p11-kit/pkcs11.h>

static const char k_component[] = "kms/pkcs11";

/* see kms/pkcs11/refusal.h */
bool ael_pkcs11_is_told_of_pin(uint32_t code) {
    switch (code) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_LOCKED:
    case CKR_PIN_EXPIRED:
    case CKR_USER_PIN_NOT_INITIALIZED:
        return true;
    default:
        return false;
    }
}

/* see kms/pkcs11/refusal.h */
bool ael_pkcs11_left_pin_unseen(uint32_t code) {
    return code == CKR_USER_ALREADY_LOGGED_IN || code == CKR_USER_ANOTHER_ALREADY_LOGGED_IN ||
           code == CKR_USER_TOO_MANY_TYPES;
}

static const char *login_remedy(uint32_t code) {
    switch (code) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
        return "the PIN is wrong; it is not tried again, lest the token lock: correct it";
    case CKR_PIN_LOCKED:
        return "the PIN is locked after wrong tries; have the security officer set a new one";
    case CKR_PIN_EXPIRED:
        return "the PIN has expired; set a new one";
    case CKR_USER_PIN_NOT_INITIALIZED:
        return "the token has no user's PIN yet; have the security officer set one";
    case CKR_USER_ANOTHER_ALREADY_LOGGED_IN:
    case CKR_USER_TOO_MANY_TYPES:
        return "another user, such as the security officer, is logged in to the token; log out there";
    default:
        return "the log-in failed; see the module's log";
    }
}

static const char *work_remedy(uint32_t code) {
    switch (code) {
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
        return "the key may not do this; make one with CKA_ENCRYPT and CKA_DECRYPT (or CKA_WRAP and "
               "CKA_UNWRAP)";
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
        return "the token has not this mechanism; choose the other one (option mechanism)";
    case CKR_KEY_SIZE_RANGE:
    case CKR_KEY_TYPE_INCONSISTENT:
        return "the key is none of AES for this mechanism; name another";
    default:
        return "the token failed; see the module's log";
    }
}

static enum ael_status
failed(struct ael_error *err, enum ael_status status, uint32_t code, const char *what, const char *name) {
    return ael_error_set(
        err, status, (int32_t)code, k_component, "%.60s: %s (0x%x)", name, what, (unsigned)code);
}

/* see kms/pkcs11/refusal.h */
enum ael_status ael_pkcs11_refusal(
    enum ael_pkcs11_result result,
    uint32_t code,
    const struct ael_pkcs11_place *place,
    struct ael_error *err) {
    switch (result) {
    case AEL_PKCS11_NO_MODULE:
        return failed(
            err, AEL_E_UNREACHABLE, code,
            "the module cannot be loaded; check the path, and that ldd finds all it needs", place->module);
    case AEL_PKCS11_NO_FUNCTIONS:
        return failed(
            err, AEL_E_UNREACHABLE, code, "this is no PKCS#11 module; check the path", place->module);
    case AEL_PKCS11_NOT_STARTED:
        return failed(
            err, AEL_E_UNREACHABLE, code,
            "the module does not start; does it need a variable (option environment) or its configuration?",
            place->module);
    case AEL_PKCS11_NO_TOKEN:
        return failed(
            err, AEL_E_UNREACHABLE, code,
            "no slot holds a token of this label (and serial, slot); plug it in, or see pkcs11-tool "
            "--list-slots",
            place->token);
    case AEL_PKCS11_TWO_TOKENS:
        return failed(
            err, AEL_E_KMS, code,
            "several tokens have this label; name one by its serial number or slot (serial, slot-id in a "
            "URI)",
            place->token);
    case AEL_PKCS11_FORKED:
        return failed(
            err, AEL_E_FORKED, code,
            "the module was in use in this process before it forked; use it after the fork only, or not in "
            "process",
            place->module);
    case AEL_PKCS11_NO_ROOM:
        return failed(err, AEL_E_NO_MEMORY, code, "no memory", place->module);
    case AEL_PKCS11_NO_SESSION:
        return failed(
            err, AEL_E_UNREACHABLE, code, "the token opens no session; lower max_sessions", place->token);
    case AEL_PKCS11_NO_LOGIN:
        return failed(
            err, ael_pkcs11_is_told_of_pin(code) ? AEL_E_KMS : AEL_E_UNREACHABLE, code, login_remedy(code),
            place->token);
    case AEL_PKCS11_NO_KEY:
        return failed(
            err, AEL_E_KMS, code,
            "the token has no such AES key that can be seen; check label, id and that there is a log-in",
            place->label);
    case AEL_PKCS11_TWO_KEYS:
        return failed(err, AEL_E_KMS, code, "several keys are called so; name one by its id", place->label);
    case AEL_PKCS11_REFUSED:
        return failed(
            err, AEL_E_KMS, code, "the encrypted key is of another key of a token, or was damaged",
            place->label);
    case AEL_PKCS11_GONE:
        return failed(
            err, AEL_E_UNREACHABLE, code, "the token or its session is gone; put it back", place->token);
    case AEL_PKCS11_WRONG_LENGTH:
        return failed(
            err, AEL_E_BACKEND, code,
            "the module gave what cannot be right; another length, or no encryption that can be undone",
            place->module);
    case AEL_PKCS11_PROTOCOL:
        return failed(
            err, AEL_E_BACKEND, code, "the helper does not know the question; is it of another release?",
            "ael-pkcs11-helper");
    case AEL_PKCS11_DONE:
    case AEL_PKCS11_FAILED:
    case AEL_PKCS11_RESULTS:
        break;
    }
    return failed(
        err, code == CKR_KEY_FUNCTION_NOT_PERMITTED ? AEL_E_KMS : AEL_E_BACKEND, code, work_remedy(code),
        place->token);
}
