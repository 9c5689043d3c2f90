/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/pkcs11/module.h"

#include "base/alloc.h"
#include "base/fork.h"
#include "base/sync.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

struct ael_pkcs11_module {
    void *handle; /* the same for the same file, by whatever path */
    CK_FUNCTION_LIST *functions;
    unsigned users;
    uint32_t forks; /* of the process whose users these are */
    bool changing;  /* a thread is starting or ending it */
    bool ours;      /* to be ended here */
    struct ael_pkcs11_module *next;
    char path[AEL_PKCS11_PATH]; /* the first that it was loaded by */
};

static struct ael_mutex s_lock = AEL_MUTEX_INIT; /* guards what follows, and all members that change */
static struct ael_cond s_changed;
static struct ael_pkcs11_module *s_modules; /* none is ever taken out */
static unsigned s_loading;                  /* threads that are loading one */
static uint32_t s_loading_forks;            /* of the process whose threads these are */

enum { LOOK_NS = 1000000000 };

/* ---- loading ---- */

static bool has_what_is_used(const CK_FUNCTION_LIST *list) {
    return list != NULL && list->C_Initialize != NULL && list->C_Finalize != NULL &&
           list->C_GetSlotList != NULL && list->C_GetTokenInfo != NULL && list->C_OpenSession != NULL &&
           list->C_CloseSession != NULL && list->C_Login != NULL && list->C_FindObjectsInit != NULL &&
           list->C_FindObjects != NULL && list->C_FindObjectsFinal != NULL && list->C_EncryptInit != NULL &&
           list->C_Encrypt != NULL && list->C_DecryptInit != NULL && list->C_Decrypt != NULL &&
           list->C_CreateObject != NULL && list->C_WrapKey != NULL && list->C_UnwrapKey != NULL &&
           list->C_DestroyObject != NULL && list->C_GetAttributeValue != NULL;
}

static enum ael_pkcs11_result
load(const char *path, void **handle, CK_FUNCTION_LIST **functions, CK_RV *code) {
    CK_C_GetFunctionList get = NULL;
    *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (*handle == NULL) {
        return AEL_PKCS11_NO_MODULE;
    }
    *(void **)&get = dlsym(*handle, "C_GetFunctionList");
    if (get == NULL) {
        return AEL_PKCS11_NO_FUNCTIONS;
    }
    *code = get(functions);
    return *code == CKR_OK && has_what_is_used(*functions) ? AEL_PKCS11_DONE : AEL_PKCS11_NO_FUNCTIONS;
}

/* With the lock held. NULL: no memory. */
static struct ael_pkcs11_module *find_or_add(const char *path, void *handle, CK_FUNCTION_LIST *functions) {
    struct ael_pkcs11_module *module = s_modules;
    while (module != NULL && module->handle != handle) {
        module = module->next;
    }
    if (module != NULL) {
        return module;
    }
    module = ael_alloc(sizeof *module);
    if (module != NULL) {
        *module = (struct ael_pkcs11_module){.handle = handle, .functions = functions, .next = s_modules};
        (void)snprintf(module->path, sizeof module->path, "%s", path);
        s_modules = module;
    }
    return module;
}

/* ---- starting and ending ---- */

/* With the lock held. */
static bool is_of_another_process(const struct ael_pkcs11_module *module) {
    return (module->users > 0 || module->changing) && module->forks != ael_fork_count();
}

/* With the lock held. Which one a thread of another process was loading is half made here, and the loader
 * takes it for whole. */
static bool another_process_loads(void) {
    return s_loading > 0 && s_loading_forks != ael_fork_count();
}

static bool begin_loading(void) {
    ael_mutex_lock(&s_lock);
    bool may = !another_process_loads();
    if (may) {
        s_loading++;
        s_loading_forks = ael_fork_count();
    }
    ael_mutex_unlock(&s_lock);
    return may;
}

/* With the lock held, which is given back meanwhile. */
static enum ael_pkcs11_result start(struct ael_pkcs11_module *module, CK_RV *code) {
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    module->changing = true;
    module->forks = ael_fork_count();
    ael_mutex_unlock(&s_lock);
    *code = module->functions->C_Initialize(&args);
    ael_mutex_lock(&s_lock);
    bool started = *code == CKR_OK || *code == CKR_CRYPTOKI_ALREADY_INITIALIZED;
    module->changing = false;
    module->ours = *code == CKR_OK;
    module->users = started ? 1 : 0;
    ael_cond_broadcast(&s_changed);
    return started ? AEL_PKCS11_DONE : AEL_PKCS11_NOT_STARTED;
}

/* With the lock held. */
static enum ael_pkcs11_result use(struct ael_pkcs11_module *module, CK_RV *code) {
    while (module->changing && !is_of_another_process(module)) {
        ael_cond_wait_for(&s_changed, &s_lock, LOOK_NS);
    }
    if (is_of_another_process(module)) {
        return AEL_PKCS11_FORKED;
    }
    if (module->users == 0) {
        return start(module, code);
    }
    module->users++;
    return AEL_PKCS11_DONE;
}

/* see kms/pkcs11/module.h */
enum ael_pkcs11_result
ael_pkcs11_module_acquire(const char *path, struct ael_pkcs11_module **module, CK_RV *code) {
    void *handle = NULL;
    CK_FUNCTION_LIST *functions = NULL;
    struct ael_pkcs11_module *found = NULL;
    *module = NULL;
    if (!begin_loading()) {
        return AEL_PKCS11_FORKED;
    }
    enum ael_pkcs11_result result = load(path, &handle, &functions, code);
    ael_mutex_lock(&s_lock);
    s_loading--;
    if (result == AEL_PKCS11_DONE) {
        found = find_or_add(path, handle, functions);
        result = found == NULL ? AEL_PKCS11_NO_ROOM : use(found, code);
    }
    ael_mutex_unlock(&s_lock);
    *module = result == AEL_PKCS11_DONE ? found : NULL;
    return result;
}

/* see kms/pkcs11/module.h */
bool ael_pkcs11_module_is_forked(const char *path) {
    ael_mutex_lock(&s_lock);
    bool forked = another_process_loads();
    for (const struct ael_pkcs11_module *module = s_modules; module != NULL && !forked;
         module = module->next) {
        forked = strcmp(module->path, path) == 0 && is_of_another_process(module);
    }
    ael_mutex_unlock(&s_lock);
    return forked;
}

/* see kms/pkcs11/module.h */
const CK_FUNCTION_LIST *ael_pkcs11_module_functions(const struct ael_pkcs11_module *module) {
    return module->functions;
}

/* see kms/pkcs11/module.h */
void ael_pkcs11_module_release(struct ael_pkcs11_module *module) {
    if (module == NULL) {
        return;
    }
    ael_mutex_lock(&s_lock);
    module->users--;
    if (module->users == 0 && module->ours) {
        module->changing = true;
        ael_mutex_unlock(&s_lock);
        (void)module->functions->C_Finalize(NULL);
        ael_mutex_lock(&s_lock);
        module->changing = false;
        ael_cond_broadcast(&s_changed);
    }
    ael_mutex_unlock(&s_lock);
}
