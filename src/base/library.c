/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading of libraries on first use. A load counts as a use (base/foreign.h), so that a process
 * that ends during a load skips the destructors.
 */
#include <base/library.h>

#include <dlfcn.h>

#include <base/error.h>
#include <base/foreign.h>
#include <base/i18n.h>

/* Finds all names. Return: NULL, or the reason of the failure, which the caller frees. */
static char *library_find(CstLibrary *library)
{
    void *handle = dlopen(library->file, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);

    if (!handle) {
        const char *why = dlerror();

        return g_strdup(why ? why : library->file);
    }
    for (guint i = 0; library->names[i]; i++) {
        library->found[i] = dlsym(handle, library->names[i]);
        if (!library->found[i])
            return g_strdup_printf("%s: no function %s", library->file, library->names[i]);
    }
    return NULL;
}

gboolean cst_library_load(CstLibrary *library, GError **error)
{
    g_autofree char *problem = NULL;

    if (g_atomic_int_get(&library->loaded))
        return TRUE;
    cst_foreign_enter();
    g_mutex_lock(&library->lock);
    if (!library->loaded) {
        problem = library_find(library);
        g_atomic_int_set(&library->loaded, problem == NULL);
    }
    g_mutex_unlock(&library->lock);
    cst_foreign_leave();
    return !problem || cst_fail(error, CST_ERROR_UNSUPPORTED,
                                _("cannot load a library (%s); install package '%s'"), problem,
                                library->package);
}

void cst_library_need(CstLibrary *library)
{
    g_autoptr(GError) error = NULL;

    if (!cst_library_load(library, &error))
        g_error("%s", error->message);
}
