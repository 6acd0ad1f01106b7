/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks and the definition that all moves to another pool share. */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "core/scan.h"
#include "dependency/depth.h"
#include "dependency/guard.h"
#include "move.h"
#include "volume/create/plan.h"
#include "volume/protect.h"
#include "volume/running/commit.h"

gboolean volume_move_keeps_format(const CstVolMove *how, const CstVolume *volume)
{
    return !how->format || cst_volume_same_format(how->format, volume->format);
}

gboolean volume_move_check_place(CstPool *pool, const char *name, CstPool *to,
                                 const CstVolMove *how, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(CstVolume) volume = NULL;

    if (pool != to)
        return TRUE;
    state = pool_state_get(pool, error);
    volume = state ? pool_volume(pool, state, name, error) : NULL;
    if (!volume)
        return FALSE;
    return (how->name && strcmp(how->name, name) != 0 && !volume_move_keeps_format(how, volume)) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("volume '%s' is in pool '%s' already; give it another name with vol-rename, "
                      "or another format and name with --format and --name"),
                    name, cst_pool_name(pool));
}

gboolean volume_move_check(const VolumeClaim *claim, GError **error)
{
    return volume_not_protected(claim->pool, claim->name, error) &&
           running_commit_is_settled(claim, error) &&
           cst_pool_state_check_delete(claim->state, error) && volume_not_needed(claim, error);
}

/* A relative reference would identify another file from the other pool. */
gboolean volume_move_check_reference(const ImageChain *chain, CstPool *to, GError **error)
{
    const char *backing = cst_chain_info(chain->chain, 0)->backing;

    if (!backing || g_path_is_absolute(backing))
        return TRUE;
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("volume '%s' names its backing file as '%s', which is another file from pool "
                      "'%s'; let it refer to the path first (vol-rebase --unsafe), or make the "
                      "volume independent (vol-flatten)"),
                    image_chain_link(chain, 0)->claim.name, backing, cst_pool_name(to));
}

/* Returns the requested format; else the original's format, if the pool supports it; else raw. */
static const char *move_format(const CstVolume *original, CstPool *to, const CstVolMove *how)
{
    const char *format = original->format;

    if (how->format)
        return how->format;
    return format && cst_pool_volume_format_ok(to->def->type, format) ? format : "raw";
}

static gboolean move_define_format(CstVolDef *def, const CstImageFormat *format, CstPool *to,
                                   GError **error)
{
    const char *name = cst_image_format_name(format);

    if (cst_pool_volume_format_ok(to->def->type, name))
        def->format = g_strdup(name);
    else if (!cst_image_format_is_plain(format))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("pools of type '%s' hold no volumes of format '%s'"),
                        cst_pool_type_name(to->def->type), name);
    return TRUE;
}

CstVolDef *volume_move_define(const CstVolume *original, CstPool *to, const CstVolMove *how,
                              gboolean with_backing, const CstImageFormat **ret_format,
                              CstImageOptions *ret_options, GError **error)
{
    const CstVolumeExtra *extra = original->extra;
    CstVolDef *def;

    if (!volume_copy_options(move_format(original, to, how), NULL, ret_format, ret_options, error))
        return NULL;
    def = cst_vol_def_new();
    def->name = g_strdup(how->name ? how->name : original->name);
    def->type = cst_pool_new_volume_type(to->def->type);
    def->capacity = original->capacity;
    if (with_backing && extra && extra->backing_path)
        def->backing = cst_backing_def_new(extra->backing_path, extra->backing_format);
    if ((!def->backing || chain_check_new(to, def->name, def->backing->path, error)) &&
        move_define_format(def, *ret_format, to, error))
        return def;
    cst_vol_def_free(def);
    return NULL;
}
