/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/pkcs11/token.h"

#include "base/wipe.h"

#include <string.h>

enum { MOST_SLOTS = 256 };

static bool ends(const char *text, size_t room) {
    return memchr(text, '\0', room) != NULL;
}

/* see kms/pkcs11/token.h */
bool ael_pkcs11_place_is_whole(const struct ael_pkcs11_place *place) {
    return place->version == AEL_PKCS11_WIRE_VERSION && place->id_len <= sizeof place->id &&
           ends(place->module, sizeof place->module) && ends(place->token, sizeof place->token) &&
           ends(place->label, sizeof place->label) && ends(place->serial, sizeof place->serial) &&
           place->module[0] == '/';
}

/* ---- statuses of the module ---- */

static bool is_gone(CK_RV code) {
    switch (code) {
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_DEVICE_REMOVED:
    case CKR_DEVICE_ERROR:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_KEY_HANDLE_INVALID:
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
        return true;
    default:
        return false;
    }
}

static enum ael_pkcs11_result told(struct ael_pkcs11_token *token, CK_RV code, enum ael_pkcs11_result else_) {
    token->code = code;
    if (code == CKR_OK) {
        return AEL_PKCS11_DONE;
    }
    return is_gone(code) ? AEL_PKCS11_GONE : else_;
}

/* ---- opening ---- */

/* Padded with blanks. */
static bool is_padded(const uint8_t *text, size_t room, const char *wanted) {
    size_t len = strlen(wanted);
    if (len > room || memcmp(text, wanted, len) != 0) {
        return false;
    }
    while (len < room && text[len] == ' ') {
        len++;
    }
    return len == room;
}

static bool is_wanted(struct ael_pkcs11_token *token, CK_SLOT_ID slot) {
    const struct ael_pkcs11_place *place = &token->place;
    CK_TOKEN_INFO info;
    memset(&info, 0, sizeof info);
    return (place->has_slot == 0 || slot == place->slot) &&
           token->functions->C_GetTokenInfo(slot, &info) == CKR_OK &&
           (info.flags & CKF_TOKEN_INITIALIZED) != 0 &&
           is_padded(info.label, sizeof info.label, place->token) &&
           (place->serial[0] == '\0' ||
            is_padded(info.serialNumber, sizeof info.serialNumber, place->serial));
}

/* Asked first how many there are: only then a module looks for tokens that were put in since. */
static enum ael_pkcs11_result find_slot(struct ael_pkcs11_token *token, CK_SLOT_ID *slot) {
    CK_SLOT_ID slots[MOST_SLOTS];
    CK_ULONG count = 0;
    unsigned found = 0;
    token->code = token->functions->C_GetSlotList(CK_TRUE, NULL, &count);
    if (token->code == CKR_OK) {
        count = MOST_SLOTS;
        token->code = token->functions->C_GetSlotList(CK_TRUE, slots, &count);
    }
    if (token->code != CKR_OK || count > MOST_SLOTS) {
        return AEL_PKCS11_NO_TOKEN;
    }
    for (CK_ULONG i = 0; i < count; i++) {
        if (is_wanted(token, slots[i])) {
            *slot = slots[i];
            found++;
        }
    }
    return found == 1 ? AEL_PKCS11_DONE : found == 0 ? AEL_PKCS11_NO_TOKEN : AEL_PKCS11_TWO_TOKENS;
}

/* see kms/pkcs11/token.h */
enum ael_pkcs11_result
ael_pkcs11_token_open(struct ael_pkcs11_token *token, const struct ael_pkcs11_place *place) {
    CK_SLOT_ID slot = 0;
    if (token->module != NULL) {
        return AEL_PKCS11_PROTOCOL;
    }
    token->place = *place;
    enum ael_pkcs11_result result = ael_pkcs11_module_acquire(place->module, &token->module, &token->code);
    if (result == AEL_PKCS11_DONE) {
        token->functions = ael_pkcs11_module_functions(token->module);
        result = find_slot(token, &slot);
    }
    if (result != AEL_PKCS11_DONE) {
        return result;
    }
    token->code = token->functions->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &token->session);
    token->is_open = token->code == CKR_OK;
    return token->is_open ? AEL_PKCS11_DONE : AEL_PKCS11_NO_SESSION;
}

/* see kms/pkcs11/token.h */
void ael_pkcs11_token_close(struct ael_pkcs11_token *token) {
    if (token->is_open) {
        (void)token->functions->C_CloseSession(token->session);
    }
    ael_pkcs11_module_release(token->module);
    memset(token, 0, sizeof *token);
}

/* ---- logging in ---- */

static enum ael_pkcs11_result find_key(struct ael_pkcs11_token *token) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_OBJECT_HANDLE found[2] = {0, 0};
    CK_ULONG count = 0;
    CK_ATTRIBUTE wanted[4] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}};
    CK_ULONG attributes = 2;
    if (token->place.label[0] != '\0') {
        wanted[attributes++] =
            (CK_ATTRIBUTE){CKA_LABEL, token->place.label, (CK_ULONG)strlen(token->place.label)};
    }
    if (token->place.id_len != 0) {
        wanted[attributes++] = (CK_ATTRIBUTE){CKA_ID, token->place.id, token->place.id_len};
    }
    token->code = token->functions->C_FindObjectsInit(token->session, wanted, attributes);
    if (token->code != CKR_OK) {
        return told(token, token->code, AEL_PKCS11_FAILED);
    }
    token->code = token->functions->C_FindObjects(token->session, found, 2, &count);
    CK_RV finished = token->functions->C_FindObjectsFinal(token->session);
    if (token->code != CKR_OK || finished != CKR_OK) {
        return told(token, token->code != CKR_OK ? token->code : finished, AEL_PKCS11_FAILED);
    }
    if (count != 1) {
        return count == 0 ? AEL_PKCS11_NO_KEY : AEL_PKCS11_TWO_KEYS;
    }
    token->key = found[0];
    token->has_key = true;
    return AEL_PKCS11_DONE;
}

/* see kms/pkcs11/token.h */
enum ael_pkcs11_result ael_pkcs11_token_login(struct ael_pkcs11_token *token, uint8_t *pin, size_t pin_len) {
    if (!token->is_open || token->has_key) {
        return AEL_PKCS11_PROTOCOL;
    }
    bool not_looked_at = false;
    if (pin_len != 0) {
        token->code = token->functions->C_Login(token->session, CKU_USER, pin, (CK_ULONG)pin_len);
        if (token->code != CKR_OK && token->code != CKR_USER_ALREADY_LOGGED_IN) {
            return told(token, token->code, AEL_PKCS11_NO_LOGIN);
        }
        not_looked_at = token->code == CKR_USER_ALREADY_LOGGED_IN;
    }
    enum ael_pkcs11_result result = find_key(token);
    if (not_looked_at && token->code == CKR_OK) {
        token->code = CKR_USER_ALREADY_LOGGED_IN;
    }
    return result;
}

/* ---- AES-GCM ---- */

static CK_GCM_PARAMS with_nonce(uint8_t *nonce) {
    return (CK_GCM_PARAMS){
        .pIv = nonce,
        .ulIvLen = AEL_PKCS11_NONCE,
        .ulIvBits = 8UL * AEL_PKCS11_NONCE,
        .ulTagBits = 8UL * AEL_PKCS11_TAG,
    };
}

static enum ael_pkcs11_result
seal(struct ael_pkcs11_token *token, uint8_t *nonce, uint8_t *key, uint8_t *blob) {
    uint8_t *sealed = token->spare;
    CK_ULONG len = AEL_PKCS11_ROOM;
    CK_GCM_PARAMS params = with_nonce(nonce);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof params};
    CK_RV code = token->functions->C_EncryptInit(token->session, &mechanism, token->key);
    if (code == CKR_OK) {
        code = token->functions->C_Encrypt(token->session, key, AEL_PKCS11_KEY, sealed, &len);
    }
    enum ael_pkcs11_result result = told(token, code, AEL_PKCS11_FAILED);
    if (result == AEL_PKCS11_DONE &&
        (len != AEL_PKCS11_KEY + AEL_PKCS11_TAG || ael_equal_constant_time(sealed, key, AEL_PKCS11_KEY))) {
        result = AEL_PKCS11_WRONG_LENGTH;
    }
    if (result == AEL_PKCS11_DONE) {
        memcpy(blob, sealed, (size_t)len);
        memcpy(blob + len, nonce, AEL_PKCS11_NONCE);
    }
    ael_wipe(sealed, AEL_PKCS11_ROOM); /* the key may be there, whatever the module says */
    return result;
}

/* What the module gives is in room, which the caller wipes. */
static enum ael_pkcs11_result
decrypt_into(struct ael_pkcs11_token *token, uint8_t *blob, uint8_t *room, CK_ULONG *len) {
    const size_t sealed = AEL_PKCS11_KEY + AEL_PKCS11_TAG;
    CK_GCM_PARAMS params = with_nonce(blob + sealed);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof params};
    CK_RV code = token->functions->C_DecryptInit(token->session, &mechanism, token->key);
    if (code != CKR_OK) {
        return told(token, code, AEL_PKCS11_FAILED);
    }
    code = token->functions->C_Decrypt(token->session, blob, sealed, room, len);
    return told(token, code, AEL_PKCS11_REFUSED);
}

/* Tells whether it gives the key back: a blob that nobody can decrypt would be a lost key. A token may take a
 * nonce of its own and keep it to itself. */
static enum ael_pkcs11_result gives_back(struct ael_pkcs11_token *token, uint8_t *blob, const uint8_t *key) {
    uint8_t *room = token->spare;
    CK_ULONG len = AEL_PKCS11_ROOM;
    enum ael_pkcs11_result result = decrypt_into(token, blob, room, &len);
    if (result == AEL_PKCS11_REFUSED ||
        (result == AEL_PKCS11_DONE &&
         (len != AEL_PKCS11_KEY || !ael_equal_constant_time(room, key, AEL_PKCS11_KEY)))) {
        result = AEL_PKCS11_WRONG_LENGTH;
    }
    ael_wipe(room, AEL_PKCS11_ROOM);
    return result;
}

/* see kms/pkcs11/token.h */
enum ael_pkcs11_result ael_pkcs11_token_encrypt(
    struct ael_pkcs11_token *token,
    uint8_t nonce[static AEL_PKCS11_NONCE],
    uint8_t key[static AEL_PKCS11_KEY],
    uint8_t *blob) {
    if (!token->has_key) {
        return AEL_PKCS11_PROTOCOL;
    }
    enum ael_pkcs11_result result = seal(token, nonce, key, blob);
    return result == AEL_PKCS11_DONE ? gives_back(token, blob, key) : result;
}

/* Modules say "general error" of what is not authentic, and of everything else: only one that works refuses.
 * Under a key that may not encrypt, that cannot be tried out. */
static enum ael_pkcs11_result refusal_or_failure(struct ael_pkcs11_token *token) {
    uint8_t nonce[AEL_PKCS11_NONCE] = {0};
    uint8_t none[AEL_PKCS11_KEY] = {0};
    uint8_t blob[AEL_PKCS11_BLOB];
    CK_RV code = token->code;
    enum ael_pkcs11_result result = ael_pkcs11_token_encrypt(token, nonce, none, blob);
    bool may_not = token->code == CKR_KEY_FUNCTION_NOT_PERMITTED;
    token->code = code;
    return result == AEL_PKCS11_DONE || may_not ? AEL_PKCS11_REFUSED : AEL_PKCS11_GONE;
}

/* see kms/pkcs11/token.h */
enum ael_pkcs11_result
ael_pkcs11_token_decrypt(struct ael_pkcs11_token *token, uint8_t blob[static AEL_PKCS11_BLOB], uint8_t *key) {
    CK_ULONG len = AEL_PKCS11_ROOM;
    if (!token->has_key) {
        return AEL_PKCS11_PROTOCOL;
    }
    enum ael_pkcs11_result result = decrypt_into(token, blob, key, &len);
    if (result == AEL_PKCS11_REFUSED) {
        return refusal_or_failure(token);
    }
    if (result == AEL_PKCS11_DONE && len != AEL_PKCS11_KEY) {
        return AEL_PKCS11_WRONG_LENGTH;
    }
    return result;
}

/* ---- AES key wrap: the key is an object of the session meanwhile ---- */

static enum ael_pkcs11_result wrap(struct ael_pkcs11_token *token, uint8_t *key, uint8_t *wrapped) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE made_of[] = {
        {CKA_CLASS, &class, sizeof class},   {CKA_KEY_TYPE, &type, sizeof type}, {CKA_TOKEN, &no, sizeof no},
        {CKA_EXTRACTABLE, &yes, sizeof yes}, {CKA_VALUE, key, AEL_PKCS11_KEY},
    };
    CK_MECHANISM mechanism = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG len = AEL_PKCS11_ROOM;
    CK_RV code = token->functions->C_CreateObject(
        token->session, made_of, sizeof made_of / sizeof made_of[0], &object);
    if (code == CKR_OK) {
        code = token->functions->C_WrapKey(token->session, &mechanism, token->key, object, wrapped, &len);
        CK_RV destroyed = token->functions->C_DestroyObject(token->session, object);
        code = code == CKR_OK ? destroyed : code;
    }
    if (code == CKR_OK && len != AEL_PKCS11_WRAPPED) {
        return AEL_PKCS11_WRONG_LENGTH;
    }
    return told(token, code, AEL_PKCS11_FAILED);
}

/* see kms/pkcs11/token.h */
enum ael_pkcs11_result ael_pkcs11_token_unwrap(
    struct ael_pkcs11_token *token, uint8_t wrapped[static AEL_PKCS11_WRAPPED], uint8_t *key) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE made_of[] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},  {CKA_TOKEN, &no, sizeof no},
        {CKA_SENSITIVE, &no, sizeof no},   {CKA_EXTRACTABLE, &yes, sizeof yes},
    };
    CK_ATTRIBUTE value = {CKA_VALUE, key, AEL_PKCS11_ROOM};
    CK_MECHANISM mechanism = {CKM_AES_KEY_WRAP, NULL, 0};
    CK_OBJECT_HANDLE object = 0;
    if (!token->has_key) {
        return AEL_PKCS11_PROTOCOL;
    }
    CK_RV code = token->functions->C_UnwrapKey(
        token->session, &mechanism, token->key, wrapped, AEL_PKCS11_WRAPPED, made_of,
        sizeof made_of / sizeof made_of[0], &object);
    if (code != CKR_OK) {
        return told(token, code, AEL_PKCS11_REFUSED);
    }
    code = token->functions->C_GetAttributeValue(token->session, object, &value, 1);
    CK_RV destroyed = token->functions->C_DestroyObject(token->session, object);
    if (code == CKR_OK && value.ulValueLen != AEL_PKCS11_KEY) {
        return AEL_PKCS11_WRONG_LENGTH;
    }
    return told(token, code == CKR_OK ? destroyed : code, AEL_PKCS11_FAILED);
}

/* see kms/pkcs11/token.h */
enum ael_pkcs11_result
ael_pkcs11_token_wrap(struct ael_pkcs11_token *token, uint8_t key[static AEL_PKCS11_KEY], uint8_t *wrapped) {
    uint8_t *room = token->spare;
    if (!token->has_key) {
        return AEL_PKCS11_PROTOCOL;
    }
    enum ael_pkcs11_result result = wrap(token, key, wrapped);
    if (result == AEL_PKCS11_DONE) {
        result = ael_pkcs11_token_unwrap(token, wrapped, room);
        if (result == AEL_PKCS11_REFUSED ||
            (result == AEL_PKCS11_DONE && !ael_equal_constant_time(room, key, AEL_PKCS11_KEY))) {
            result = AEL_PKCS11_WRONG_LENGTH;
        }
    }
    ael_wipe(room, AEL_PKCS11_ROOM);
    return result;
}
