/*
 * ael/ael.h - every header that callers of the library need.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_AEL_H
#define AEL_AEL_H

#include <ael/bytes.h>
#include <ael/call.h>
#include <ael/hardening.h>
#include <ael/hooks.h>
#include <ael/kms.h>
#include <ael/kms_chain.h>
#include <ael/memory.h>
#include <ael/metastore.h>
#include <ael/metrics.h>
#include <ael/policy.h>
#include <ael/record.h>
#include <ael/rewrap.h>
#include <ael/secret.h>
#include <ael/session.h>
#include <ael/session_batch.h>
#include <ael/session_try.h>
#include <ael/status.h>
#include <ael/version.h>

#endif /* AEL_AEL_H */
