/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Libiscsi, loaded on first use: hosts without iSCSI need not install it, and no program pays for
 * it at its start.
 */
#include "initiator.h"

#include <dlfcn.h>

#include <base/error.h>
#include <base/i18n.h>

/* Written once, by load(); read-only from then on. */
static struct {
    IscsiLib table;
    char *problem; /* why loading failed; NULL: it did not */
} loaded;

static void *resolve(void *library, const char *name)
{
    void *found = dlsym(library, name);

    if (!found && !loaded.problem)
        loaded.problem = g_strdup_printf("no function %s", name);
    return found;
}

static gpointer load(gpointer data)
{
    void *library = dlopen("libiscsi.so.7", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (!library) {
        const char *why = dlerror();

        loaded.problem = g_strdup(why ? why : "");
        return NULL;
    }
#define FIND(function) loaded.table.function = resolve(library, #function);
    ISCSI_FUNCTIONS(FIND)
#undef FIND
    return NULL;
}

const IscsiLib *iscsi_lib(GError **error)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, load, NULL);
    if (!loaded.problem)
        return &loaded.table;
    cst_fail(error, CST_ERROR_UNSUPPORTED, _("cannot load libiscsi (%s); install package '%s'"),
             loaded.problem, "libiscsi7");
    return NULL;
}
