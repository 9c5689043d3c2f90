/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/pkcs11/serve.h"

#include "base/wipe.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static enum ael_pkcs11_result
open_place(struct ael_pkcs11_service *service, const uint8_t *data, size_t len) {
    struct ael_pkcs11_place place;
    if (len != sizeof place) {
        return AEL_PKCS11_PROTOCOL;
    }
    memcpy(&place, data, sizeof place);
    if (!ael_pkcs11_place_is_whole(&place)) {
        return AEL_PKCS11_PROTOCOL;
    }
    enum ael_pkcs11_result result = ael_pkcs11_token_open(&service->token, &place);
    if (result == AEL_PKCS11_DONE && service->opened != NULL) {
        service->opened();
    }
    return result;
}

/* The lengths of what an op takes and gives; OPEN and LOGIN look at theirs themselves. */
static bool lengths(uint8_t op, size_t *takes, size_t *gives) {
    static const struct {
        size_t takes;
        size_t gives;
    } k_lengths[] = {
        [AEL_PKCS11_ENCRYPT] = {AEL_PKCS11_NONCE + AEL_PKCS11_KEY, AEL_PKCS11_BLOB},
        [AEL_PKCS11_DECRYPT] = {AEL_PKCS11_BLOB, AEL_PKCS11_KEY},
        [AEL_PKCS11_WRAP] = {AEL_PKCS11_KEY, AEL_PKCS11_WRAPPED},
        [AEL_PKCS11_UNWRAP] = {AEL_PKCS11_WRAPPED, AEL_PKCS11_KEY},
    };
    if (op < AEL_PKCS11_ENCRYPT || op > AEL_PKCS11_UNWRAP) {
        return false;
    }
    *takes = k_lengths[op].takes;
    *gives = k_lengths[op].gives;
    return true;
}

static enum ael_pkcs11_result
work(struct ael_pkcs11_token *token, uint8_t op, uint8_t *data, size_t len, uint8_t *out, size_t *out_len) {
    size_t takes = 0;
    size_t gives = 0;
    if (!lengths(op, &takes, &gives) || len != takes) {
        return AEL_PKCS11_PROTOCOL;
    }
    enum ael_pkcs11_result result = AEL_PKCS11_PROTOCOL;
    if (op == AEL_PKCS11_ENCRYPT) {
        result = ael_pkcs11_token_encrypt(token, data, data + AEL_PKCS11_NONCE, out);
    } else if (op == AEL_PKCS11_DECRYPT) {
        result = ael_pkcs11_token_decrypt(token, data, out);
    } else if (op == AEL_PKCS11_WRAP) {
        result = ael_pkcs11_token_wrap(token, data, out);
    } else {
        result = ael_pkcs11_token_unwrap(token, data, out);
    }
    *out_len = result == AEL_PKCS11_DONE ? gives : 0;
    return result;
}

static enum ael_pkcs11_result dispatch(struct ael_pkcs11_service *service, size_t len, size_t *out_len) {
    struct ael_pkcs11_room *room = service->room;
    struct ael_pkcs11_token *token = &service->token;
    uint8_t *data = room->question + AEL_PKCS11_ASKS;
    token->code = 0;
    token->spare = room->spare;
    if (room->question[0] == AEL_PKCS11_OPEN) {
        return open_place(service, data, len);
    }
    if (room->question[0] == AEL_PKCS11_LOGIN) {
        return len <= AEL_PKCS11_PIN_MAX ? ael_pkcs11_token_login(token, data, len) : AEL_PKCS11_PROTOCOL;
    }
    return work(token, room->question[0], data, len, room->answer + AEL_PKCS11_HEAD, out_len);
}

/* see kms/pkcs11/serve.h */
bool ael_pkcs11_serve(struct ael_pkcs11_service *service) {
    struct ael_pkcs11_room *room = service->room;
    size_t out_len = 0;
    ssize_t got = recv(service->socket, room->question, sizeof room->question, MSG_TRUNC);
    if (got <= 0) {
        return got < 0 && errno == EINTR;
    }
    enum ael_pkcs11_result result = AEL_PKCS11_PROTOCOL;
    if ((size_t)got >= AEL_PKCS11_ASKS && (size_t)got <= sizeof room->question) {
        result = dispatch(service, (size_t)got - AEL_PKCS11_ASKS, &out_len);
    }
    uint32_t code = (uint32_t)service->token.code;
    room->answer[0] = (uint8_t)result;
    memcpy(room->answer + 1, &code, sizeof code);
    memcpy(room->answer + 1 + sizeof code, room->question + 1, AEL_PKCS11_HEAD - 1 - sizeof code);
    ssize_t sent = send(service->socket, room->answer, AEL_PKCS11_HEAD + out_len, MSG_NOSIGNAL);
    ael_wipe(room, sizeof *room);
    return sent >= 0;
}
