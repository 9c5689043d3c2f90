/*
 * kms/pkcs11/module.h - a PKCS#11 module in this process: loaded, started once for all who use it, ended
 * by the last.
 *
 * Whoever started it before (the host) ends it, too. A child of a process that used it cannot: PKCS#11 leaves
 * open what its state is there, and C_Finalize would end the parent's sessions at some tokens. It stays
 * loaded for the life of the process, for modules leave threads and handlers behind.
 * Layer: kms. Threads: any; a lock inside, not held while the module is called.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_MODULE_H
#define AEL_KMS_PKCS11_MODULE_H

#include "kms/pkcs11/wire.h"

#include <stdbool.h>

#include <p11-kit/pkcs11.h>

struct ael_pkcs11_module;

/**
 * Loads and starts it, or counts one user more.
 *
 * @param code  what the module said last. @return AEL_PKCS11_DONE; AEL_PKCS11_NO_MODULE;
 *         AEL_PKCS11_NO_FUNCTIONS; AEL_PKCS11_NOT_STARTED; AEL_PKCS11_FORKED; AEL_PKCS11_NO_ROOM. *module is
 *         NULL on failure.
 * May hang, as what it calls.
 */
enum ael_pkcs11_result
ael_pkcs11_module_acquire(const char *path, struct ael_pkcs11_module **module, CK_RV *code);

/** Tells whether a module of that path is in use by the process that this one was forked from, or one was
 * being loaded there, so that it could not be acquired. Calls nothing of it, and no loader: by another path
 * only ael_pkcs11_module_acquire knows. */
bool ael_pkcs11_module_is_forked(const char *path);

/** The functions that are used here are all there. */
const CK_FUNCTION_LIST *ael_pkcs11_module_functions(const struct ael_pkcs11_module *module);

/** Ends it after its last user, if it was started here. NULL is accepted. May hang. */
void ael_pkcs11_module_release(struct ael_pkcs11_module *module);

#endif /* AEL_KMS_PKCS11_MODULE_H */
