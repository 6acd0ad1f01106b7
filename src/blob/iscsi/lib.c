/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loads libiscsi on first use. */
#include "initiator.h"

#include <base/error.h>
#include <base/foreign.h>
#include <base/i18n.h>

/* Written once, by libiscsi_load(); read-only from then on. */
static struct {
    IscsiLib table;
    CstForeign libraries;
} loaded;

static gpointer libiscsi_load(gpointer data)
{
    static const char *const names[] = {"libiscsi.so.7", NULL};

    cst_foreign_open(&loaded.libraries, names);
    if (loaded.libraries.problem)
        return NULL;
#define FIND(function) loaded.table.function = cst_foreign_find(&loaded.libraries, #function);
    ISCSI_FUNCTIONS(FIND)
#undef FIND
    return NULL;
}

const IscsiLib *iscsi_lib(GError **error)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, libiscsi_load, NULL);
    if (!loaded.libraries.problem)
        return &loaded.table;
    cst_fail(error, CST_ERROR_UNSUPPORTED, _("cannot load libiscsi (%s); install package '%s'"),
             loaded.libraries.problem, "libiscsi7");
    return NULL;
}
