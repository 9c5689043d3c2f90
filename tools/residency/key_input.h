/*
 * tools/residency/key_input.h - where the program's secrets come from: lines of hexadecimal digits, and what they open.
 *
 * Layer: tools.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_TOOLS_RESIDENCY_KEY_INPUT_H
#define AEL_TOOLS_RESIDENCY_KEY_INPUT_H

#include "tools/residency/needles.h"
#include "tools/residency/options.h"

/** Reads all secrets that the options name and adds them. Says on stderr what is wrong, without showing a secret. */
bool residency_read_secrets(const struct residency_options *options, struct residency_needles *needles);

#endif /* AEL_TOOLS_RESIDENCY_KEY_INPUT_H */
