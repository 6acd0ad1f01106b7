/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes an overlay's reference when its base is renamed. During the change the base has both
 * names (CstBackend.vol_link), so the guest-visible content is the same before and after. One write
 * of the header switches the overlay. This code uses neither claims nor tables, because the replay
 * after a crash calls it as well (rename.c).
 */
#include "relink.h"

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/url.h>
#include <blob/dry.h>
#include <image/backing.h>
#include <store/declarations.h>

#include "core/service.h"
#include "core/trust.h"
#include "dependency/guard.h"

void relink_clear(Relink *link)
{
    g_clear_pointer(&link->from, g_free);
    g_clear_pointer(&link->to, g_free);
    g_clear_pointer(&link->format, g_free);
}

/*
 * Returns @reference with its last component @name replaced. Returns NULL if @name is not its last
 * component.
 */
static char *replace_name(const char *reference, const char *name, const char *new_name)
{
    const char *slash = strrchr(reference, '/');
    const char *last = slash ? slash + 1 : reference;

    return strcmp(last, name) == 0
               ? g_strdup_printf("%.*s%s", (int)(last - reference), reference, new_name)
               : NULL;
}

/* Inspects the image, using the format in the pool's record. */
static gboolean relink_inspect_image(const CstVolume *volume, CstBlob *blob, CstImageInfo *ret_info,
                                     GError **error)
{
    const CstImageFormat *format = cst_image_format_find(volume->format, error);

    if (!format || !cst_image_inspect(blob, format, ret_info, error))
        return FALSE;
    return !ret_info->problem || cst_fail(error, CST_ERROR_CORRUPT, _("volume '%s': %s"),
                                          volume->name, ret_info->problem);
}

/* The guest's bytes are neither read nor written, so no other file is opened. */
static gboolean set_reference(CstBlob *blob, const CstImageFormat *format, const char *reference,
                              const char *backing_format, GError **error)
{
    const CstImageOpen how = {.flags =
                                  CST_IMAGE_WRITE | CST_IMAGE_SAME_CONTENT | CST_IMAGE_NO_DATA};
    g_autoptr(CstImage) image = cst_image_open_as(blob, format, &how, error);

    return image && cst_image_set_backing(image, reference, backing_format, NULL, error);
}

/* --- plan ------------------------------------------------------------------------------------- */

static gboolean relink_check_format(const CstVolume *overlay, const CstImageFormat *format,
                                    GError **error)
{
    return (cst_image_format_can_rebase(format) && !cst_image_format_minds_changes(format)) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("the backing file of an image of format '%s' cannot be changed in one step"),
                    overlay->format);
}

/* The header may have no room for the name, so the change is tried in memory. */
static gboolean try_in_memory(CstBlob *blob, const CstVolume *overlay, const Relink *link,
                              GError **error)
{
    g_autoptr(CstBlob) layer = cst_blob_dry_new(cst_blob_ref(blob), overlay->name);

    return set_reference(layer, cst_image_format_find(overlay->format, NULL), link->to,
                         link->format, error);
}

gboolean relink_plan(CstPoolState *state, const CstVolume *overlay, const CstVolume *base,
                     const char *new_name, Relink *ret_link, GError **error)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(state, overlay->name, FALSE, error);
    g_auto(CstImageInfo) info = {0};

    if (!blob || !volume_backing_not_kept(state, overlay, NULL, error) ||
        !relink_inspect_image(overlay, blob, &info, error) ||
        !relink_check_format(overlay, info.format, error))
        return FALSE;
    ret_link->from = g_strdup(info.backing);
    ret_link->to = info.backing ? replace_name(info.backing, base->name, new_name) : NULL;
    ret_link->format = g_strdup(info.backing_format ? info.backing_format : base->format);
    if (!ret_link->to) {
        g_autofree char *shown = cst_reference_shown(info.backing ? info.backing : "");

        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("it refers to '%s', in another way than by that name"), shown);
    }
    return try_in_memory(blob, overlay, ret_link, error);
}

/* --- the change ------------------------------------------------------------------------------- */

/* Returns the path in a record for reference @to. @path: the path in a record for @from. */
static char *path_after(const char *path, const Relink *link)
{
    g_autofree char *old = g_path_get_basename(link->from);
    g_autofree char *new = g_path_get_basename(link->to);
    char *changed = replace_name(path, old, new);

    return changed ? changed : g_strdup(path);
}

/* Computes the paths of both references from the overlay's present one. */
static void find_paths(const CstVolume *overlay, const Relink *link, gboolean follows, char **from,
                       char **to)
{
    const Relink back = {.from = link->to, .to = link->from};
    const char *path = overlay->extra->backing_path;

    *from = follows ? path_after(path, &back) : g_strdup(path);
    *to = follows ? g_strdup(path) : path_after(path, link);
}

/*
 * Changes the declaration of the old reference to the new one. Failures are returned, because an
 * undeclared reference would not be followed.
 */
static gboolean relink_update_declaration(CstService *service, CstPoolState *state,
                                          const CstVolume *overlay, CstBlob *blob, const char *from,
                                          const char *to, GError **error)
{
    const CstDeclaredFile file = trust_file(state, overlay->name, cst_volume_file_id(overlay));
    g_autoptr(CstDeclaration) declared = NULL;
    g_autofree char *format = NULL;

    if (!trust_applies(state))
        return TRUE;
    if (!cst_declarations_find(service->declarations, &file, FALSE, &declared, error))
        return FALSE;
    if (!declared || g_strcmp0(declared->backing, from) != 0)
        return TRUE;
    format = g_strdup(declared->backing_format);
    cst_declaration_set_backing(declared, to, format);
    cst_pool_state_vol_declare(state, blob, declared);
    return cst_declarations_set(service->declarations, &file, declared, TRUE, error);
}

gboolean relink_overlay(CstService *service, CstPoolState *state, const char *name,
                        const Relink *link, GError **error)
{
    g_autoptr(CstVolume) overlay = NULL;
    g_autoptr(CstBlob) blob = NULL;
    g_auto(CstImageInfo) info = {0};
    g_autofree char *from = NULL, *to = NULL;
    gboolean follows;

    if (!cst_pool_state_scan_one(state, name, NULL, &overlay, error))
        return FALSE;
    if (!overlay)
        return TRUE;
    blob = cst_pool_state_vol_open(state, name, TRUE, error);
    if (!blob || !relink_inspect_image(overlay, blob, &info, error))
        return FALSE;
    follows = g_strcmp0(info.backing, link->to) == 0;
    if (!follows && g_strcmp0(info.backing, link->from) != 0) {
        g_autofree char *shown = info.backing ? cst_reference_shown(info.backing) : NULL;

        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("volume '%s' is based on '%s' by now, and not on '%s'"), name,
                        shown ? shown : _("nothing"), link->from);
    }
    find_paths(overlay, link, follows, &from, &to);
    return (follows || set_reference(blob, info.format, link->to, link->format, error)) &&
           relink_update_declaration(service, state, overlay, blob, from, to, error);
}

gboolean relink_restore_name(CstPoolState *state, const char *name, const char *new_name,
                             GError **error)
{
    g_autoptr(CstVolume) still = NULL;

    return cst_pool_state_scan_any(state, name, NULL, &still, error) &&
           (still || cst_pool_state_link(state, new_name, name, error));
}
