/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records the declarations of a volume's content when the volume is created, changed or deleted
 * through this service. Also records declarations by the administrator. core/trust.c has the rules,
 * and docs/security-model.md the reasons. The volume is claimed in all cases.
 *
 * Order relative to the content: a draft is declared before it gets its name. A volume is
 * restricted durably before the first byte of a client is written to it. A deleted volume's record
 * is removed after its file. So a crash in between never leaves content with too much trust.
 */
#include "declare.h"

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/url.h>
#include <image/image.h>
#include <service/trust.h>
#include <store/declarations.h>

#include "core/claim.h"
#include "core/job.h"
#include "core/overlays.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/table.h"
#include "core/trust.h"
#include "core/trust_device.h"
#include "volume/image/image_record.h"

static CstDeclarations *declare_declarations(const CstPool *pool)
{
    return pool->service->declarations;
}

/* --- new volumes ------------------------------------------------------------------------------ */

/*
 * Returns the image engine's name of a format, which is recorded. Documents may use another name.
 */
static const char *engine_name(const char *name)
{
    const CstImageFormat *format = cst_image_format_find(name ? name : "raw", NULL);

    return format ? cst_image_format_name(format) : name;
}

CstDeclaration *trust_of_definition(const CstVolDef *def)
{
    CstDeclaration *declaration = cst_declaration_new(engine_name(def->format), FALSE);

    if (def->backing)
        cst_declaration_set_backing(declaration, def->backing->path, def->backing->format);
    return declaration;
}

CstDeclaration *trust_of_copy(const CstVolDef *def, const CstVolume *source)
{
    CstDeclaration *declaration = trust_of_definition(def);

    /* A user who can write the source may change it during the copy. */
    declaration->restricted = (source->flags & (CST_VOLUME_SHARED | CST_VOLUME_RESTRICTED)) != 0;
    if (!trust_has_backing(source))
        cst_declaration_set_backing(declaration, NULL, NULL);
    return declaration;
}

/* Returns whether @path is not a volume of an active pool. */
static gboolean is_outside(const CstPool *pool, const char *path)
{
    g_autoptr(CstPool) owner = NULL;
    g_autofree char *name = NULL;

    return !cst_service_volume_by_path(pool->service, path, &owner, &name, NULL);
}

/*
 * Returns whether the new file needs a record in addition to its location. Plain bytes could be
 * mistaken for an image. The location declares no references if other users can write
 * (draft->shared), and never declares a backing file outside of all pools.
 */
static gboolean needs_record(const CstPool *pool, const CstVolDraft *draft,
                             const CstDeclaration *declaration)
{
    /* A file with only the guest's bytes has no header with a format. */
    gboolean plain = cst_image_name_is_plain(declaration->format);

    return draft->shared || declaration->restricted || plain ||
           (declaration->backing && is_outside(pool, declaration->backing));
}

/* Replaces the record of an earlier volume of this name that was removed by another program. */
static gboolean keep_format(const VolumeClaim *claim, const CstDeclaredFile *file,
                            const char *format, GError **error)
{
    g_autoptr(CstDeclaration) seen = cst_declaration_new(NULL, FALSE);

    seen->seen_format = g_strdup(format);
    return cst_declarations_set(declare_declarations(claim->pool), file, seen, FALSE, error);
}

gboolean trust_declare_draft(const VolumeClaim *claim, const CstVolDraft *draft,
                             const CstDeclaration *declaration, GError **error)
{
    const CstDeclaredFile file = trust_file(claim->state, claim->name, draft->id);
    g_autoptr(CstDeclaration) kept = NULL;
    gboolean carried;

    if (!draft->blob || !trust_applies(claim->state))
        return TRUE;
    if (!cst_may_change(error))
        return FALSE;
    if (!needs_record(claim->pool, draft, declaration))
        return keep_format(claim, &file, declaration->format, error);
    kept = cst_declaration_copy(declaration);
    /* In a directory that other users can write, an image's references are declared one by one. */
    kept->restricted |= draft->shared;
    carried = cst_pool_state_vol_declare(claim->state, draft->blob, kept);
    return cst_declarations_set(declare_declarations(claim->pool), &file, kept, !carried, error);
}

/* --- changes ---------------------------------------------------------------------------------- */

/*
 * Returns the present declaration of a volume, with the references declared by location as explicit
 * ones.
 */
static CstDeclaration *declared_now(const CstVolume *volume)
{
    CstDeclaration *declaration = cst_declaration_new(volume->format, TRUE);
    const CstVolumeExtra *extra = volume->extra;

    if (trust_has_backing(volume))
        cst_declaration_set_backing(declaration, extra->backing_path, extra->backing_format);
    if (extra && extra->data_file && extra->data_trust != CST_TRUST_NONE)
        declaration->data_file = g_strdup(extra->data_file);
    return declaration;
}

/*
 * Records a declaration durably. A draft is different, because its sync covers the record in its
 * attributes. Here the restriction must be durable before the untrusted bytes are.
 */
static gboolean declaration_record(const VolumeClaim *claim, const CstVolume *volume, CstBlob *blob,
                                   const CstDeclaration *declaration, GError **error)
{
    const CstDeclaredFile file = trust_file(claim->state, claim->name, cst_volume_file_id(volume));

    if (!cst_declarations_set(declare_declarations(claim->pool), &file, declaration, TRUE, error))
        return FALSE;
    /*
     * Set the attribute after the database. Otherwise a failed call would restrict the volume by
     * its attribute.
     */
    if (blob)
        cst_pool_state_vol_declare(claim->state, blob, declaration);
    return TRUE;
}

gboolean trust_restrict(const VolumeClaim *claim, const CstVolume *volume, CstBlob *blob,
                        GError **error)
{
    g_autoptr(CstDeclaration) declaration = NULL;

    if (!trust_applies(claim->state) || volume->type != CST_VOL_FILE)
        return TRUE;
    declaration = declared_now(volume);
    return declaration_record(claim, volume, blob, declaration, error);
}

/*
 * Scans the volume as a new one. Its declaration has changed and its stamp has not, so the backend
 * would otherwise return the old record.
 */
static CstVolume *rescan_as_new(const VolumeClaim *claim)
{
    g_autoptr(CstVolume) known = pool_table_found(claim->pool, claim->name);
    CstVolume *volume = NULL;

    overlays_note(claim->pool, claim->state, known, NULL);
    pool_table_remove(claim->pool, claim->name);
    pool_scan_volume(claim->pool, claim->state, claim->name, &volume, NULL);
    return volume;
}

/*
 * A file with another identity has no record. If its attributes contain no declaration, the
 * previous one, found by name, is recorded for it. Failures are logged: the volume is then
 * restricted.
 */
void trust_keep_for_new_file(const VolumeClaim *claim)
{
    CstDeclaredFile file = trust_file(claim->state, claim->name, (CstFileId){0});
    g_autoptr(CstDeclaration) before = NULL;
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) error = NULL;

    if (!trust_applies(claim->state) ||
        !cst_declarations_find(declare_declarations(claim->pool), &file, TRUE, &before, &error))
        return;
    /* If the earlier file has a record in its attributes, the scan now uses it. */
    cst_declarations_remove(declare_declarations(claim->pool), file.dir, file.name, NULL);
    volume = rescan_as_new(claim);
    if (!volume || !before || (volume->flags & CST_VOLUME_DECLARED))
        return;
    file.id = cst_volume_file_id(volume);
    if (!cst_declarations_set(declare_declarations(claim->pool), &file, before, TRUE, &error))
        cst_log(CST_LOG_WARNING, "volume '%s/%s': %s", file.dir, file.name, error->message);
    g_clear_pointer(&volume, cst_volume_unref);
    volume = rescan_as_new(claim);
}

/*
 * An image with references that are declared by location needs no record. Failures are logged: the
 * reference is then not followed until it is declared.
 */
void trust_note_backing(const VolumeClaim *claim, const char *path, const char *format)
{
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(CstDeclaration) declaration = NULL;
    g_autoptr(GError) error = NULL;

    if (cst_dry_run() || !trust_applies(claim->state))
        return;
    volume = rescan_as_new(claim);
    if (!volume || !(volume->flags & (CST_VOLUME_SHARED | CST_VOLUME_RESTRICTED)))
        return;
    declaration = declared_now(volume);
    cst_declaration_set_backing(declaration, path, format);
    if (!declaration_record(claim, volume, NULL, declaration, &error))
        cst_log(CST_LOG_WARNING, "pool '%s': volume '%s': %s", claim->pool->name, claim->name,
                error->message);
    g_clear_pointer(&volume, cst_volume_unref);
    volume = rescan_as_new(claim);
}

/*
 * In a directory that other users can write, a later file of the name inherits a record, also in
 * another process. Such a record is removed at once. A hidden name of the trash is not used again.
 */
static gboolean record_may_wait(const VolumeClaim *claim, const CstVolume *volume)
{
    const CstFileId id = cst_volume_file_id(volume);

    return id.inode && id.btime_ns &&
           (!(volume->flags & CST_VOLUME_SHARED) || cst_name_is_trash(claim->name));
}

/* The sweep drops a record that could not be removed (core/trust_sweep.c). */
void trust_forget(const VolumeClaim *claim, const CstVolume *volume)
{
    const CstDeclaredFile file = trust_file(claim->state, claim->name, cst_volume_file_id(volume));

    trust_device_declare(claim->pool, claim->state, volume, NULL, NULL);
    if (!trust_applies(claim->state))
        return;
    if (record_may_wait(claim, volume))
        cst_declarations_forget(declare_declarations(claim->pool), &file, NULL);
    else
        cst_declarations_remove(declare_declarations(claim->pool), file.dir, file.name, NULL);
}

/* --- declarations by the administrator -------------------------------------------------------- */

/* Checks that the content is an image of the declared format with the declared backing file. */
static gboolean check_declared(const CstVolume *volume, const CstDeclaration *wanted,
                               GError **error)
{
    const CstVolumeExtra *extra = volume->extra;
    const char *backing = extra ? extra->backing_path : NULL;
    g_autofree char *named = backing ? cst_reference_shown(backing) : NULL;
    g_autofree char *said = wanted->backing ? cst_reference_shown(wanted->backing) : NULL;

    if (extra && extra->problem)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the content of volume '%s' is no %s image: %s"), volume->name,
                        wanted->format, extra->problem);
    if (g_strcmp0(wanted->backing, backing) == 0)
        return TRUE;
    return cst_fail(error, CST_ERROR_MISMATCH,
                    _("volume '%s' was said to be based on '%s', but its content names '%s'; that "
                      "is not followed"),
                    volume->name, said ? said : _("nothing"), named ? named : _("nothing"));
}

/*
 * Returns the requested declaration. A backing name that is not a path is a volume of the same
 * pool.
 */
static CstDeclaration *declaration_wanted(const VolumeClaim *claim, const CstVolume *volume,
                                          const CstVolDeclare *how)
{
    CstDeclaration *wanted =
        cst_declaration_new(how->format ? engine_name(how->format) : volume->format, TRUE);
    g_autofree char *path = NULL;

    if (how->backing)
        path = g_path_is_absolute(how->backing)
                   ? g_strdup(how->backing)
                   : cst_pool_state_vol_path(claim->state, how->backing);
    cst_declaration_set_backing(wanted, path, how->backing_format);
    return wanted;
}

/* Returns the path or URL that a scan records for @reference. The caller frees it. */
static char *resolved_reference(CstPoolState *state, const char *reference)
{
    const char *dir = state->def->target_path;
    g_autofree char *path = cst_reference_resolve(dir, reference);
    /* Several URLs may identify the same file. */
    g_autofree char *name = strstr(dir, "://") ? cst_pool_state_vol_resolve(state, path) : NULL;

    return name ? cst_pool_state_vol_path(state, name) : g_steal_pointer(&path);
}

/*
 * Reads the references in the content, using the declared format. Adopts them as declared
 * (CST_VOL_DECLARE_CONTENT), or checks that they equal the declared ones.
 */
static gboolean complete_wanted(const VolumeClaim *claim, const CstVolume *before, CstBlob *blob,
                                unsigned flags, CstDeclaration *wanted, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(wanted->format, error);
    g_auto(CstImageInfo) info = {0};
    g_autoptr(CstVolume) image = NULL;
    CstVolumeExtra *extra;

    if (!format)
        return FALSE;
    if (flags & CST_VOL_DECLARE_NOTHING)
        return TRUE;
    if (!cst_image_inspect(blob, format, &info, error))
        return FALSE;
    image = image_record_new(before->name, before->type, NULL, &info);
    extra = cst_volume_extra(image);
    g_free(extra->backing_path);
    extra->backing_path = info.backing ? resolved_reference(claim->state, info.backing) : NULL;
    if (!(flags & CST_VOL_DECLARE_CONTENT))
        return check_declared(image, wanted, error);
    cst_declaration_set_backing(wanted, extra->backing_path, extra->backing_format);
    wanted->data_file = g_strdup(extra->data_file);
    return TRUE;
}

/* A device's content has a format, and no references that are followed (core/trust_device.h). */
static gboolean declare_device(const VolumeClaim *claim, const CstVolume *volume,
                               const CstVolDeclare *how, GError **error)
{
    const CstVolDeclare nothing = {.format = how->format};
    g_autoptr(CstDeclaration) wanted = NULL;
    g_autoptr(CstVolume) image = NULL;

    if (how->backing)
        return cst_fail(
            error, CST_ERROR_UNSUPPORTED,
            _("volume '%s' is no file, and references of images on devices are not followed"),
            claim->name);
    if (how->flags & CST_VOL_DECLARE_NOTHING)
        return trust_device_declare(claim->pool, claim->state, volume, NULL, error);
    if (!how->format)
        return cst_fail(
            error, CST_ERROR_INVALID,
            _("volume '%s' is no file, so its format is not detected; give its format (--format)"),
            claim->name);
    wanted = declaration_wanted(claim, volume, &nothing);
    image = image_record_as(claim->state, volume, how->format, error);
    if (!image)
        return FALSE;
    g_clear_pointer(&image->extra->backing_path, g_free);
    return check_declared(image, wanted, error) &&
           trust_device_declare(claim->pool, claim->state, volume, wanted->format, error);
}

static gboolean vol_declare_claimed(const VolumeClaim *claim, const CstVolDeclare *how,
                                    GError **error)
{
    g_autoptr(CstVolume) before = pool_volume_now(claim->pool, claim->state, claim->name, error);
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(CstDeclaration) wanted = NULL;
    g_autoptr(CstBlob) blob = NULL;

    if (!before)
        return FALSE;
    if (trust_device_applies(claim->state, before))
        return declare_device(claim, before, how, error);
    if (before->type != CST_VOL_FILE || !trust_applies(claim->state))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' is no image file, so no reference of it can be declared"),
                        claim->name);
    wanted = declaration_wanted(claim, before, how);
    blob = cst_pool_state_vol_open(claim->state, claim->name, FALSE, error);
    /* The record is the only change, so that a failed call keeps the previous declaration. */
    if (!blob || !complete_wanted(claim, before, blob, how->flags, wanted, error) ||
        !cst_may_change(error) || !declaration_record(claim, before, blob, wanted, error))
        return FALSE;
    volume = rescan_as_new(claim);
    return TRUE;
}

gboolean cst_vol_declare(CstPool *pool, const char *name, const CstVolDeclare *how, CstTask *task,
                         GError **error)
{
    g_auto(Job) job = {0};
    g_auto(VolumeClaim) claim = {0};

    if (!cst_flags_check(how->flags, CST_VOL_DECLARE_CONTENT | CST_VOL_DECLARE_NOTHING,
                         "cisternVolDeclare", error))
        return FALSE;
    job_begin(&job, pool, "declare", name, &task);
    claim.task = task;
    return job_end(&job,
                   volume_claim(&claim, pool, name, CLAIM_WRITE, error) &&
                       vol_declare_claimed(&claim, how, error),
                   error);
}

gboolean cst_pool_get_follow(CstPool *pool, CstFollow *ret_follow, GError **error)
{
    if (!pool->def->target_path)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("volumes of pool '%s' name no other files"),
                        pool->name);
    return cst_declarations_follow(declare_declarations(pool), pool->def->target_path, ret_follow,
                                   error);
}

gboolean cst_pool_set_follow(CstPool *pool, CstFollow follow, GError **error)
{
    CstFollow before;

    return cst_pool_get_follow(pool, &before, error) && cst_may_change(error) &&
           cst_declarations_set_follow(declare_declarations(pool), pool->def->target_path, follow,
                                       error);
}
