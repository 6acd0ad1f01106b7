/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volume definitions as structs: construction, deep copies, destruction. A copy begins as a copy of
 * the struct, as in pool_def.c.
 */
#include <model/vol_def.h>

#include <string.h>

#include "perms.h"

CstVolDef *cst_vol_def_new(void)
{
    CstVolDef *def = g_new0(CstVolDef, 1);

    def->perms = (CstPerms)CST_PERMS_INIT;
    return def;
}

static void extent_free(gpointer data)
{
    CstVolExtent *extent = data;

    g_free(extent->path);
    g_free(extent);
}

void cst_vol_def_add_extent(CstVolDef *def, const char *path, uint64_t start, uint64_t end)
{
    CstVolExtent *extent = g_new0(CstVolExtent, 1);

    extent->path = g_strdup(path);
    extent->start = start;
    extent->end = end;
    if (!def->extents)
        def->extents = g_ptr_array_new_with_free_func(extent_free);
    g_ptr_array_add(def->extents, extent);
}

CstBackingDef *cst_backing_def_new(const char *path, const char *format)
{
    CstBackingDef *backing = g_new0(CstBackingDef, 1);

    backing->path = g_strdup(path);
    backing->format = g_strdup(format);
    backing->perms = (CstPerms)CST_PERMS_INIT;
    return backing;
}

static CstBackingDef *copy_backing(const CstBackingDef *backing)
{
    CstBackingDef *copy = cst_backing_def_new(backing->path, backing->format);

    cst_perms_copy(&copy->perms, &backing->perms);
    copy->times = g_memdup2(backing->times, sizeof(*backing->times));
    return copy;
}

void cst_backing_def_free(CstBackingDef *backing)
{
    if (!backing)
        return;
    g_free(backing->path);
    g_free(backing->format);
    g_free(backing->perms.label);
    g_free(backing->times);
    g_free(backing);
}

CstVolDef *cst_vol_def_copy(const CstVolDef *def)
{
    CstVolDef *copy = g_new0(CstVolDef, 1);

    *copy = *def;
    copy->name = g_strdup(def->name);
    copy->key = g_strdup(def->key);
    copy->extents = NULL;
    for (guint i = 0; def->extents && i < def->extents->len; i++) {
        const CstVolExtent *extent = g_ptr_array_index(def->extents, i);

        cst_vol_def_add_extent(copy, extent->path, extent->start, extent->end);
    }
    copy->path = g_strdup(def->path);
    copy->format = g_strdup(def->format);
    copy->mark = g_strdup(def->mark);
    cst_perms_copy(&copy->perms, &def->perms);
    copy->times = g_memdup2(def->times, sizeof(*def->times));
    if (def->encryption)
        copy->encryption = cst_encryption_copy(def->encryption);
    copy->compat = g_strdup(def->compat);
    if (def->backing)
        copy->backing = copy_backing(def->backing);
    copy->options = cst_options_copy(def->options);
    return copy;
}

void cst_vol_def_free(CstVolDef *def)
{
    if (!def)
        return;
    g_free(def->name);
    g_free(def->key);
    g_clear_pointer(&def->extents, g_ptr_array_unref);
    g_free(def->path);
    g_free(def->format);
    g_free(def->mark);
    g_free(def->perms.label);
    g_free(def->times);
    cst_encryption_free(def->encryption);
    g_free(def->compat);
    cst_backing_def_free(def->backing);
    g_clear_pointer(&def->options, g_ptr_array_unref);
    g_free(def);
}
