/*
 * net/credentials/answer.h - credentials out of the answers of services and programs: JSON, and the XML of
 * STS.
 * Layer: net.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_CREDENTIALS_ANSWER_H
#define AEL_NET_CREDENTIALS_ANSWER_H

#include "net/credentials/credentials.h"

/**
 * Reads {"AccessKeyId", "SecretAccessKey", "Token" or "SessionToken", "Expiration"}, as instance and
 * container services answer and credential_process prints. Members of other names are passed over. The SSO
 * portal answers the same one level down, in "roleCredentials", with small first letters and "expiration" in
 * milliseconds.
 *
 * @param source    static; stands in the credentials and in sentences.
 * @param must_end  whether an answer without an expiry is refused.
 * @return AEL_OK; AEL_E_FORMAT (no such JSON); AEL_E_BACKEND ("Code" is not "Success": its word is in the
 *         sentence); or as ael_credentials_new. Nothing of the secret is in the sentence.
 */
AEL_MUST_CHECK enum ael_status ael_credentials_from_json(
    struct ael_bytes json,
    const char *source,
    bool must_end,
    struct ael_credentials **out,
    struct ael_error *err);

/** The same from STS's XML: the elements AccessKeyId, SecretAccessKey, SessionToken and Expiration. */
AEL_MUST_CHECK enum ael_status ael_credentials_from_xml(
    struct ael_bytes xml, const char *source, struct ael_credentials **out, struct ael_error *err);

enum { AEL_ANSWER_WORD_BYTES = 64 };

/** Finds the error's name in an answer, XML's <Code> or JSON's "__type", "code", "Code" or "error"; "" when
 * there is none that is a plain word. */
void ael_answer_error_word(struct ael_bytes body, char word[static AEL_ANSWER_WORD_BYTES]);

#endif /* AEL_NET_CREDENTIALS_ANSWER_H */
