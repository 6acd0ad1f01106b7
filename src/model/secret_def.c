/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secret definitions as structs, and the names of usage types. */
#include <model/secret_def.h>

#include "xml_read.h"

static const char *const usage_names[] = {"none", "volume", "ceph", "iscsi", "tls", "vtpm", NULL};

const char *cst_secret_usage_name(CstSecretUsage usage)
{
    return (unsigned)usage < G_N_ELEMENTS(usage_names) - 1 ? usage_names[usage] : NULL;
}

gboolean cst_secret_usage_parse(const char *name, CstSecretUsage *ret_usage)
{
    int usage = name ? cst_name_index(usage_names, name) : -1;

    if (usage < 0)
        return FALSE;
    *ret_usage = usage;
    return TRUE;
}

CstSecretDef *cst_secret_def_new(void)
{
    return g_new0(CstSecretDef, 1);
}

CstSecretDef *cst_secret_def_copy(const CstSecretDef *def)
{
    CstSecretDef *copy = g_memdup2(def, sizeof(*def));

    copy->description = g_strdup(def->description);
    copy->usage_id = g_strdup(def->usage_id);
    return copy;
}

void cst_secret_def_free(CstSecretDef *def)
{
    if (!def)
        return;
    g_free(def->description);
    g_free(def->usage_id);
    g_free(def);
}
