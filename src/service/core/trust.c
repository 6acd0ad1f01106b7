/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * References of images to other files. The author of the image chose these names: the
 * administrator, or a user who uploaded the image or can write in its directory. Therefore a
 * reference is followed only if it is declared, and a declared format does not change with the
 * content.
 *
 * A record (store/declarations.h) contains facts that the file and its directory do not show:
 *
 * - that a volume of plain bytes (raw, iso) is plain, because its guest can write an image header
 *   at its start;
 * - the detected format of an image, because it must not become a raw disk if its header is lost;
 * - that a volume is restricted because of an upload; written before the first byte of the upload;
 * - all declarations, in a directory that other users can write;
 * - references that lead outside of all pools.
 *
 * An image that root created where only root can write needs no record: its location declares its
 * references (CST_TRUST_PLACE), and other tools may change it there. The loss of a record only
 * removes declarations. The exceptions are raw volumes and uploads, whose declarations are also
 * stored with the content (CstBackend.vol_declare).
 */
#include "trust.h"

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/url.h>
#include <image/image.h>
#include <store/declarations.h>

#include "pool.h"
#include "service.h"

CstDeclaredFile trust_file(const CstPoolState *state, const char *name, CstFileId id)
{
    return (CstDeclaredFile){.dir = state->def->target_path, .name = name, .id = id};
}

static CstDeclarations *trust_declarations(const CstPool *pool)
{
    return pool->service->declarations;
}

/* Records are keyed by directory (target_path), so pools without a directory have no records. */
gboolean trust_applies(CstPoolState *state)
{
    return state->def->target_path && cst_pool_state_holds_images(state);
}

/*
 * Uses one query for all @count volumes, because a scan of ten thousand files would otherwise make
 * as many queries. If the database cannot be read, all volumes count as restricted, so that no
 * reference is followed.
 */
void trust_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                    CstDeclaration **ret_declarations, gpointer data)
{
    const CstService *service = data;
    g_autofree CstDeclaredLookup *lookups = g_new0(CstDeclaredLookup, count);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < count; i++) {
        const CstVolume *volume = volumes[i];

        lookups[i].file = trust_file(state, volume->name, cst_volume_file_id(volume));
        lookups[i].by_name = (volume->flags & CST_VOLUME_SHARED) != 0;
    }
    if (!cst_declarations_find_many(service->declarations, lookups, count, &error))
        cst_log(CST_LOG_WARNING, "volumes in '%s': %s", state->def->target_path, error->message);
    for (guint i = 0; i < count; i++) {
        if (error)
            lookups[i].declaration = cst_declaration_unread(error->message);
        ret_declarations[i] = lookups[i].declaration;
    }
}

/* --- files created by other tools ------------------------------------------------------------- */

/*
 * Returns the record that a scan creates for @volume, which the caller frees. Returns NULL if the
 * present record is up to date.
 *
 * A plain volume keeps its format, because a guest could make it look like an image. An image keeps
 * its detected format, in case its header is destroyed. An image with references is restricted in a
 * directory that other users can write.
 */
static CstDeclaration *declaration_to_pin(const CstVolume *volume)
{
    const CstVolumeExtra *extra = volume->extra;
    gboolean declared = (volume->flags & CST_VOLUME_DECLARED) != 0;
    gboolean restricted;
    CstDeclaration *declaration;

    /* A tool may be about to write to an empty file. */
    if (volume->type != CST_VOL_FILE || volume->stamp.size == 0 || volume->stamp.inode == 0 ||
        (extra && extra->problem))
        return NULL;
    if (cst_image_name_is_plain(volume->format))
        return declared ? NULL : cst_declaration_new(volume->format, FALSE);
    restricted = !declared && (volume->flags & CST_VOLUME_SHARED) && extra &&
                 (extra->backing_path || extra->data_file);
    if ((volume->flags & CST_VOLUME_FORMAT_KEPT) && !restricted)
        return NULL;
    declaration = cst_declaration_new(NULL, restricted);
    declaration->seen_format = g_strdup(volume->format);
    return declaration;
}

/*
 * Writes all records in one transaction. @volumes are not published yet, so they may be marked. If
 * a record cannot be written, the next scan that reads the file anew writes it.
 */
void trust_pin(CstPool *pool, const CstPoolState *state, CstVolume *const *volumes, guint count)
{
    g_autoptr(GArray) records = g_array_new(FALSE, FALSE, sizeof(CstDeclaredRecord));
    g_autoptr(GPtrArray) declarations =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_declaration_free);
    g_autoptr(GError) error = NULL;

    if (cst_dry_run())
        return;
    for (guint i = 0; i < count; i++) {
        CstVolume *volume = volumes[i];
        CstDeclaration *declaration = declaration_to_pin(volume);
        CstDeclaredRecord record = {
            .file = trust_file(state, volume->name, cst_volume_file_id(volume)),
            .declaration = declaration,
        };

        if (!declaration)
            continue;
        g_ptr_array_add(declarations, declaration);
        g_array_append_val(records, record);
        volume->flags |= CST_VOLUME_FORMAT_KEPT |
                         (cst_declaration_declares(declaration) ? CST_VOLUME_DECLARED : 0);
    }
    if (records->len > 0 &&
        !cst_declarations_add_many(trust_declarations(pool), (gpointer)records->data, records->len,
                                   &error))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
}

/* --- access checks ---------------------------------------------------------------------------- */

gboolean trust_check_header(const CstVolume *volume, GError **error)
{
    return !cst_volume_header_is_lost(volume) ||
           cst_fail(error, CST_ERROR_CORRUPT, _("cannot use volume '%s': %s"), volume->name,
                    cst_volume_problem(volume));
}

gboolean trust_has_backing(const CstVolume *volume)
{
    return volume->extra && volume->extra->backing_path &&
           volume->extra->backing_trust != CST_TRUST_NONE;
}

static gboolean trust_fail_undeclared(const CstVolume *volume, const char *reference,
                                      GError **error)
{
    g_autofree char *shown = cst_reference_shown(reference);

    if (cst_volume_problem(volume))
        return cst_fail(error, CST_ERROR_DENIED,
                        _("volume '%s' names the file '%s', which is not followed: %s"),
                        volume->name, shown, cst_volume_problem(volume));
    if (volume->type != CST_VOL_FILE)
        return cst_fail(
            error, CST_ERROR_DENIED,
            _("volume '%s' names the file '%s'; references of images on devices are not followed"),
            volume->name, shown);
    return cst_fail(error, CST_ERROR_DENIED,
                    _("volume '%s' names the file '%s', and only its content says so: it was "
                      "uploaded, or lies in a directory that other users can write; if that is "
                      "intended, declare it (vol-trust %s)"),
                    volume->name, shown, volume->name);
}

/*
 * Checks whether @reference of @volume may be followed, in the order of docs/security-model.md.
 * Undeclared references are never followed, references declared by name always. For references
 * declared by location the pool's follow policy decides. @outside: the file is not a volume of an
 * active pool.
 */
static gboolean trust_check_reference(CstPool *pool, const CstVolume *volume, const char *reference,
                                      CstTrust trust, gboolean outside, GError **error)
{
    g_autofree char *shown = cst_reference_shown(reference);
    CstFollow follow = CST_FOLLOW_POOLS;

    if (trust == CST_TRUST_NONE)
        return trust_fail_undeclared(volume, reference, error);
    if (trust == CST_TRUST_NAMED)
        return TRUE;
    if (!cst_declarations_follow(trust_declarations(pool), pool->def->target_path, &follow, error))
        return FALSE;
    if (follow == CST_FOLLOW_NONE)
        return cst_fail(
            error, CST_ERROR_DENIED,
            _("volume '%s' names the file '%s', which pool '%s' follows only when it is "
              "declared (vol-trust %s)"),
            volume->name, shown, pool->name, volume->name);
    if (outside && *reference == '/' && !g_file_test(reference, G_FILE_TEST_EXISTS))
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("volume '%s' is based on '%s', which does not exist"), volume->name,
                        shown);
    if (outside && follow != CST_FOLLOW_ANYWHERE)
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("volume '%s' is based on '%s', which is no volume of an active pool; "
                          "define and start a pool that holds it, or declare it (vol-trust %s)"),
                        volume->name, shown, volume->name);
    return TRUE;
}

gboolean trust_follows_outside(CstPool *pool, CstTrust trust)
{
    CstFollow follow = CST_FOLLOW_POOLS;

    return trust == CST_TRUST_NAMED ||
           (trust == CST_TRUST_PLACE &&
            cst_declarations_follow(trust_declarations(pool), pool->def->target_path, &follow,
                                    NULL) &&
            follow == CST_FOLLOW_ANYWHERE);
}

gboolean trust_check_backing(CstPool *pool, const CstVolume *volume, gboolean outside,
                             GError **error)
{
    const CstVolumeExtra *extra = volume->extra;

    return trust_check_reference(pool, volume, extra->backing_path, extra->backing_trust, outside,
                                 error);
}

gboolean trust_check_part(CstPool *pool, const CstVolume *volume, const char *part, GError **error)
{
    const CstVolumeExtra *extra = volume->extra;
    CstTrust trust = extra ? extra->data_trust : CST_TRUST_NONE;

    /* A declaration by name covers one file. An image in several files references further files. */
    if (trust == CST_TRUST_NAMED && g_strcmp0(extra->data_file, part) != 0)
        trust = CST_TRUST_NONE;
    return trust_check_reference(pool, volume, part, trust, FALSE, error);
}
