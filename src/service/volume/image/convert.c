/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates a volume with the guest-visible content of another one, in any format that can be
 * created. The source's whole chain is read, so the new volume has no backing file.
 *
 * The content of a running guest's disk may be read from a live snapshot instead (core/live.c).
 *
 * The chain is claimed for reading until the end. The new volume is a transaction (transaction.c):
 * it appears complete, or not at all.
 */
#include <service/images.h>

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <image/convert.h>
#include <image/options.h>

#include "core/copy_turn.h"
#include "core/job.h"
#include "core/pool.h"
#include "volume/create/copy_source.h"
#include "volume/create/plan.h"
#include "volume/create/transaction.h"

typedef struct {
    const CstVolConvert *how;
    const CstImageFormat *format;
    CstImageOptions options;
    CstVolDef *def; /* of the new volume */
    const LiveSet
        *live; /* read its snapshot instead of the volume; borrowed; NULL: read the volume */
    guint live_index;
    CstTask *task;
} Conversion;

static void vol_conversion_clear(Conversion *conversion)
{
    cst_image_options_clear(&conversion->options);
    g_clear_pointer(&conversion->def, cst_vol_def_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Conversion, vol_conversion_clear)

/*
 * Returns whether the pool fills existing volumes instead of creating new ones. Such a volume
 * accepts any bytes; users have to know that they are an image.
 */
static gboolean fills_volumes(CstPool *pool)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);

    return state && !cst_pool_state_check_create(state, NULL);
}

/*
 * Sets type and format of the new volume's definition, as in documents of the pool. If these have
 * no format, only raw volumes can be created.
 */
static gboolean conversion_set_format(CstPool *pool, Conversion *conversion, GError **error)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(pool->def->type);
    const char *name = cst_image_format_name(conversion->format);

    conversion->def->type = cst_pool_new_volume_type(pool->def->type);
    if (cst_pool_volume_format_ok(pool->def->type, name))
        conversion->def->format = g_strdup(name);
    else if (!cst_image_format_is_plain(conversion->format) && !fills_volumes(pool))
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("pools of type '%s' hold no volumes of format '%s'"), info->name, name);
    return TRUE;
}

static gboolean conversion_write_image(CstBlob *guest, const VolumeTxn *txn, Conversion *conversion,
                                       GError **error)
{
    unsigned flags =
        (conversion->how->flags & CST_VOL_CONVERT_COMPRESS ? CST_CONVERT_COMPRESS : 0) |
        (conversion->how->flags & CST_VOL_CONVERT_DROP_SECTOR_SIZE ? CST_CONVERT_DROP_SECTOR_SIZE
                                                                   : 0) |
        (txn->draft.zeroed ? CST_CONVERT_TARGET_ZERO : 0);

    conversion->options.create.file_name = conversion->how->name;
    return cst_image_convert(guest, txn->draft.blob, conversion->format,
                             &conversion->options.create, flags, conversion->task, error);
}

/*
 * Claims the volume whose live snapshot is read, so that it keeps its name. Otherwise its chain is
 * claimed when it is opened.
 */
static gboolean conversion_claim_live(const Conversion *conversion, VolumeClaim *claim,
                                      CstPool *pool, const char *name, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;

    return !conversion->live || volume_claim_now(claim, pool, name, CLAIM_READ, &volume, error);
}

static gboolean conversion_run(CstPool *pool, CstPool *source_pool, const char *source_name,
                               Conversion *conversion, GError **error)
{
    g_auto(VolumeClaim) claim = {.task = conversion->task};
    g_auto(CopySource) source = {
        .chain = {.task = conversion->task,
                  .at_rest = !(conversion->how->flags & CST_VOL_CONVERT_FORCE_SHARE)},
        .live = conversion->live,
        .live_index = conversion->live_index,
    };
    g_auto(VolumeTxn) txn = {
        .claim.task = conversion->task,
        .copies = TRUE,
        .overwrite = (conversion->how->flags & CST_VOL_CONVERT_OVERWRITE) != 0,
        .image = !cst_image_format_is_plain(conversion->format),
        .content = cst_image_format_name(conversion->format),
    };
    CstVolDef *def = conversion->def = cst_vol_def_new();
    CstBlob *guest;

    def->name = g_strdup(conversion->how->name);
    guest = conversion_set_format(pool, conversion, error) &&
                    conversion_claim_live(conversion, &claim, source_pool, source_name, error)
                ? copy_source_open(&source, source_pool, source_name, NULL, error)
                : NULL;
    if (!guest)
        return FALSE;
    txn.claim.after = conversion->live ? &claim : image_chain_last_claim(&source.chain);
    /* The result of the compression is not known in advance. */
    if (!(conversion->how->flags & CST_VOL_CONVERT_COMPRESS))
        txn.copy =
            (SpaceCopy){.from = guest, .whole = image_takes_all_space(&conversion->options.create)};
    return cst_blob_get_size(guest, &def->capacity, error) &&
           volume_txn_begin(&txn, pool, def, "convert", error) &&
           copy_source_end(&source, conversion_write_image(guest, &txn, conversion, error),
                           error) &&
           volume_txn_commit(&txn, def, error);
}

static gboolean convert_volume(CstPool *pool, CstPool *source_pool, const char *source,
                               Conversion *conversion, GError **error)
{
    const CstVolConvert *how = conversion->how;
    g_autoptr(CstPoolState) state = NULL;

    if (!cst_flags_check(how->flags,
                         CST_VOL_CONVERT_COMPRESS | CST_VOL_CONVERT_FORCE_SHARE |
                             CST_VOL_CONVERT_OVERWRITE | CST_VOL_CONVERT_DROP_SECTOR_SIZE,
                         "storageVolConvert", error) ||
        !cst_name_check(how->name, _("volume"), error))
        return FALSE;
    state = pool_state_get(pool, error);
    return state &&
           volume_copy_options(how->format, how->options, &conversion->format, &conversion->options,
                               error) &&
           conversion_run(pool, source_pool, source, conversion, error);
}

gboolean cst_vol_convert(CstPool *pool, CstPool *source_pool, const char *source,
                         const CstVolConvert *how, CstTask *task, GError **error)
{
    g_auto(Conversion) conversion = {.how = how};
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};

    job_begin(&job, pool, "convert", how->name, &task);
    conversion.task = task;
    copy_turn_offer(&turn, pool, task);
    return job_end(&job, convert_volume(pool, source_pool, source, &conversion, error), error);
}

gboolean cst_vol_convert_live(CstPool *pool, CstPool *source_pool, const char *source,
                              const CstVolConvert *how, CstLiveSnapshots *live, CstTask *task,
                              GError **error)
{
    g_auto(Conversion) conversion = {.how = how};
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};
    g_autoptr(LiveSet) set =
        live_snapshots_find(live, source_pool, source, &conversion.live_index, error);

    if (!set)
        return FALSE;
    conversion.live = set;
    job_begin(&job, pool, "convert", how->name, &task);
    conversion.task = task;
    copy_turn_offer(&turn, pool, task);
    return job_end(&job, convert_volume(pool, source_pool, source, &conversion, error), error);
}
