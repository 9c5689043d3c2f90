/*
 * base/utf8.h - is this valid UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF)?
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_UTF8_H
#define AEL_BASE_UTF8_H

#include "base/component_api.h"

#include <ael/bytes.h>

/** True for valid UTF-8; the empty text is valid. NUL is a valid character: see ael_id_is_text. */
AEL_COMPONENT_API bool ael_utf8_is_valid(struct ael_bytes text);

/** True for text that may be an id: valid UTF-8 without NUL. */
bool ael_id_is_text(struct ael_bytes id);

#endif /* AEL_BASE_UTF8_H */
