/*
 * base/region_name.h - what may stand behind an id as the suffix of a region.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_REGION_NAME_H
#define AEL_BASE_REGION_NAME_H

#include <ael/bytes.h>
#include <stdbool.h>

/** Tells whether a text has the form of an AWS region: eu-west-1, us-gov-east-1, cn-northwest-1. Threads:
 * any. */
bool ael_is_region_name(struct ael_bytes text);

#endif /* AEL_BASE_REGION_NAME_H */
