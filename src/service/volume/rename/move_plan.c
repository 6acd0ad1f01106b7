/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks and the definition that all moves to another pool share. */
#include <base/error.h>
#include <base/i18n.h>

#include "dependency/guard.h"
#include "move.h"
#include "volume/protect.h"

gboolean volume_move_keeps_format(const CstVolMove *how, const CstVolume *volume)
{
    return !how->format || cst_volume_same_format(how->format, volume->format);
}

gboolean volume_move_check(const VolumeClaim *claim, GError **error)
{
    return volume_not_protected(claim->pool, claim->name, error) &&
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

static gboolean move_define_format(CstVolDef *def, const char *wanted, CstPool *to, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(wanted, error);

    if (!format)
        return FALSE;
    if (cst_pool_volume_format_ok(to->def->type, cst_image_format_name(format)))
        def->format = g_strdup(cst_image_format_name(format));
    else if (!cst_image_format_is_plain(format))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("pools of type '%s' hold no volumes of format '%s'"),
                        cst_pool_type_name(to->def->type), wanted);
    return TRUE;
}

CstVolDef *volume_move_define(const CstVolume *original, CstPool *to, const CstVolMove *how,
                              gboolean with_backing, const char **ret_format, GError **error)
{
    const CstVolumeExtra *extra = original->extra;
    const char *format = original->format;
    CstVolDef *def = cst_vol_def_new();

    *ret_format = how->format                                                  ? how->format
                  : format && cst_pool_volume_format_ok(to->def->type, format) ? format
                                                                               : "raw";
    def->name = g_strdup(how->name ? how->name : original->name);
    def->type = cst_pool_new_volume_type(to->def->type);
    def->capacity = original->capacity;
    if (with_backing && extra && extra->backing_path)
        def->backing = cst_backing_def_new(extra->backing_path, extra->backing_format);
    if (move_define_format(def, *ret_format, to, error))
        return def;
    cst_vol_def_free(def);
    return NULL;
}
