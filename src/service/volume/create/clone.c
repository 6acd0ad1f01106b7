/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates a volume with the content of another volume, or of a snapshot of it. If no property of
 * the image changes, its stored bytes are copied, or shared by the pool's technology. Otherwise a
 * new image is filled with the guest-visible content of the source's whole chain, and has no
 * backing file.
 *
 * The content of a running guest's disk may be read from a live snapshot instead (core/live.c).
 * Then the image is always a new one without a backing file.
 *
 * The source is claimed for reading until the end. The clone is a transaction (transaction.c): it
 * appears complete, or not at all. A byte copy has at most the declarations of its source. A linked
 * clone stores no data of its own: it is an overlay, or shares content by the pool's technology.
 */
#include "clone.h"

#include <string.h>

#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <image/convert.h>
#include <image/snapshot.h>
#include <service/volumes.h>

#include "copy_source.h"
#include "core/claim.h"
#include "core/copy_turn.h"
#include "core/job.h"
#include "core/pool.h"
#include "core/service.h"
#include "core/trust.h"
#include "core/trust_device.h"
#include "dependency/guard.h"
#include "plan.h"
#include "transaction.h"
#include "volume/declare.h"
#include "volume/image/image_record.h"

#define LINKED_FORMAT "qcow2" /* of overlays: the best supported format of QEMU and other tools */

gboolean volume_keeps_snapshots(const CstVolume *volume)
{
    const CstImageFormat *format = volume->format && volume->type != CST_VOL_DIR
                                       ? cst_image_format_find(volume->format, NULL)
                                       : NULL;

    return format && cst_image_format_has_snapshots(format);
}

/* Returns whether the source has the wanted property (NULL: any). */
static gboolean clone_property_fits(const char *wanted, const char *have)
{
    return !wanted || g_strcmp0(wanted, have) == 0;
}

/*
 * Documents and the engine may use different names for a format. A document without a format means
 * raw.
 */
static gboolean clone_format_fits(const char *asked, const char *have)
{
    const CstImageFormat *format = cst_image_format_find(have, NULL);
    const char *wanted = asked ? asked : "raw";

    return g_strcmp0(wanted, have) == 0 ||
           (format && g_strcmp0(wanted, cst_image_format_xml_name(format)) == 0);
}

/* Returns whether the stored bytes can be copied, because no property of the image changes. */
static gboolean bytes_will_do(const VolumeClone *clone)
{
    const CstVolumeExtra *extra = clone->source->extra;
    const CstVolDef *def = clone->def;
    const char *backing = extra ? extra->backing_path : NULL;

    /* Two volumes with the same data file would overwrite each other's data. */
    if (clone->live || (extra && extra->data_file))
        return FALSE;
    if (!clone_format_fits(def->format, clone->source->format) || (extra && extra->problem) ||
        (clone->snapshot && !clone->in_pool && volume_keeps_snapshots(clone->source)))
        return FALSE;
    return g_strcmp0(def->backing ? def->backing->path : NULL, backing) == 0 &&
           clone_property_fits(def->compat, extra ? extra->compat : NULL) &&
           (!def->cluster_size || (extra && def->cluster_size == extra->cluster_size));
}

/* @zeroed: unwritten parts of @to read as zeroes. */
static gboolean copy_whole(CstBlob *from, CstBlob *to, gboolean zeroed, const VolumeClone *clone,
                           GError **error)
{
    unsigned flags = (zeroed ? CST_COPY_DST_ZERO : 0) |
                     (clone->flags & CST_VOL_CREATE_REFLINK ? CST_COPY_SHARE_ONLY : 0);
    uint64_t size;

    if (!cst_blob_get_size(from, &size, error))
        return FALSE;
    cst_task_add_total(clone->task, size);
    return cst_blob_copy(from, 0, to, 0, size, flags, clone->task, error);
}

/* NO_BARRIERS: no other volume depends on a draft, and the commit syncs it. */
static gboolean grow_to_capacity(CstBlob *blob, const VolumeClone *clone, GError **error)
{
    const CstImageFormat *format;
    g_autoptr(CstImage) image = NULL;

    /* A draft without a blob was created by the pool's technology in its full size. */
    if (!blob || clone->def->capacity <= clone->source->capacity)
        return TRUE;
    format = cst_image_format_find(clone->source->format, error);
    image = format
                ? cst_image_open(blob, format, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, error)
                : NULL;
    if (!image)
        return FALSE;
    /* A draft on a device was created in its full size. */
    return cst_image_capacity(image) >= clone->def->capacity ||
           (cst_image_resize(image, clone->def->capacity, CST_PREALLOC_OFF, clone->task, error) &&
            cst_image_flush(image, error));
}

static CstBlob *open_bytes(const VolumeClone *clone, GError **error)
{
    const char *name = clone->source->name;

    return clone->snapshot
               ? cst_pool_state_snapshot_open(clone->from->state, name, clone->snapshot, error)
               : cst_pool_state_vol_open(clone->from->state, name, FALSE, error);
}

/*
 * Opens the source before the copy begins, so that a lack of space in a pool of files is detected
 * first. *ret_from stays NULL if the technology of @pool may share the content, so that no bytes
 * are needed.
 */
static gboolean open_for_room(CstPool *pool, const VolumeClone *clone, CstBlob **ret_from,
                              GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);

    if (!state)
        return FALSE;
    if (!cst_pool_state_holds_images(state) || (clone->flags & CST_VOL_CREATE_REFLINK))
        return TRUE;
    *ret_from = open_bytes(clone, error);
    return *ret_from != NULL;
}

/*
 * Fails with BUSY while a process writes to the source, unless the caller has permitted that. The
 * bytes of a snapshot do not change.
 */
static gboolean clone_check_at_rest(const VolumeClone *clone, CstBlob *from, GError **error)
{
    return clone->snapshot || (clone->flags & CST_VOL_CREATE_FORCE_SHARE) ||
           volume_not_written(clone->from, clone->source, from, error);
}

/*
 * A clone has the present content of its source, without its snapshots. If the clone cannot be
 * opened as an image, it is kept unchanged, because its bytes are complete.
 */
static gboolean drop_snapshots_inside(CstBlob *blob, const VolumeClone *clone, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(clone->source->format, NULL);
    unsigned flags = CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS;
    g_autoptr(CstImage) image = NULL;
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!volume_keeps_snapshots(clone->source))
        return TRUE;
    image = cst_image_open(blob, format, flags, NULL, NULL);
    snapshots = image ? cst_image_snapshot_list(image, NULL) : NULL;
    if (!snapshots || snapshots->len == 0)
        return TRUE;
    for (guint i = 0; i < snapshots->len; i++)
        if (!cst_image_snapshot_delete(
                image, ((const CstImageSnapshot *)g_ptr_array_index(snapshots, i))->name,
                clone->task, error))
            return FALSE;
    return cst_image_flush(image, error);
}

/* As in libvirt, a change of the volume during a copy is not an error. */
static gboolean watches_source(const VolumeClone *clone)
{
    return !clone->snapshot && !(clone->flags & CST_VOL_CREATE_FORCE_SHARE) &&
           !clone->from->pool->service->like_libvirt;
}

static gboolean clone_copy_bytes(const VolumeTxn *txn, const VolumeClone *clone, GError **error)
{
    g_autoptr(CstBlob) from = NULL;
    CstFileStamp stamp = {0};

    if (!txn->shared) {
        from = txn->copy.from ? cst_blob_ref(txn->copy.from) : open_bytes(clone, error);
        if (!from || !clone_check_at_rest(clone, from, error))
            return FALSE;
        if (watches_source(clone))
            stamp = cst_image_stamp(from);
        if (!copy_whole(from, txn->draft.blob, txn->draft.zeroed, clone, error) ||
            !cst_image_is_as_before(from, &stamp, clone->source->name, error))
            return FALSE;
    }
    return drop_snapshots_inside(txn->draft.blob, clone, error) &&
           grow_to_capacity(txn->draft.blob, clone, error);
}

/* Copies the guest-visible content, for another format or other properties. */
static gboolean clone_copy_content(CstBlob *from, const CstVolDraft *draft,
                                   const VolumeClone *clone, GError **error)
{
    g_autoptr(CstBlob) to = NULL;
    CstImageCreate options = clone->plan.options;
    CstImage *image;
    gboolean zeroed;

    /* The new image contains the data of the whole chain, so it needs no backing file. */
    options.backing = options.backing_format = NULL;
    if (!cst_image_keep_sector_size(from, clone->plan.format, &options, 0, error) ||
        !cst_image_create(draft->blob, clone->plan.format, &options, clone->task, error))
        return FALSE;
    image = cst_image_open(draft->blob, clone->plan.format, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS,
                           NULL, error);
    if (!image)
        return FALSE;
    to = cst_image_guest_blob(image);
    /* A new image reads as zeroes. Raw bytes on a device have their former content. */
    zeroed = draft->zeroed || !cst_image_format_is_plain(clone->plan.format);
    return copy_whole(from, to, zeroed, clone, error) && cst_blob_flush(to, error);
}

/* Copies the stored bytes. Works for any format. */
static gboolean clone_bytes(CstPool *pool, VolumeClone *clone, GError **error)
{
    g_auto(VolumeTxn) txn = {.claim.task = clone->task,
                             .claim.after = clone->from,
                             .copies = TRUE,
                             .overwrite = (clone->flags & CST_VOL_CREATE_OVERWRITE) != 0};
    g_autoptr(CstBlob) from = NULL;

    /*
     * A raw volume has no backing file of its own. If its pool shares data with another volume,
     * reading it returns all bytes. So the copy has no dependencies.
     */
    if (cst_image_name_is_plain(clone->source->format))
        g_clear_pointer(&clone->def->backing, cst_backing_def_free);
    if (!trust_content_format(clone->from->pool, clone->from->state, clone->source, &txn.content,
                              error) ||
        !open_for_room(pool, clone, &from, error))
        return FALSE;
    txn.copy.from = from;
    txn.declaration = trust_of_copy(clone->def, clone->source);
    return volume_txn_begin_clone(&txn, pool, clone->def, clone->from->pool, clone->source->name,
                                  clone->snapshot, error) &&
           clone_copy_bytes(&txn, clone, error) && volume_txn_commit(&txn, clone->def, error);
}

/* Opens the guest-visible content of the source. A guest's disk may have grown since the claim. */
static CstBlob *clone_open_content(const VolumeClone *clone, CopySource *source, GError **error)
{
    CstBlob *content =
        copy_source_open(source, clone->from->pool, clone->source->name, clone->snapshot, error);
    uint64_t size;

    if (!content || !clone->live)
        return content;
    if (!cst_blob_get_size(content, &size, error)) {
        live_set_explain(clone->live, error);
        return NULL;
    }
    if (size == clone->source->capacity)
        return content;
    cst_fail(error, CST_ERROR_BUSY,
             _("volume '%s' changed its size during the operation; try again"),
             clone->source->name);
    return NULL;
}

/*
 * Fills a new image with the guest-visible content of the source. The format must be creatable. The
 * claims follow the order of VolumeClaim: the source's chain from the top down, then the new name.
 */
static gboolean clone_content(CstPool *pool, VolumeClone *clone, GError **error)
{
    g_auto(CopySource) source = {
        .chain = {.task = clone->task,
                  .after = clone->from,
                  .at_rest = !(clone->flags & CST_VOL_CREATE_FORCE_SHARE)},
        .live = clone->live,
        .live_index = clone->live_index,
    };
    g_auto(VolumeTxn) txn = {.claim.task = clone->task,
                             .copies = TRUE,
                             .flat = TRUE,
                             .overwrite = (clone->flags & CST_VOL_CREATE_OVERWRITE) != 0};
    CstBlob *from;

    if (clone->flags & CST_VOL_CREATE_REFLINK)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("a reflink copy keeps the format and shape of volume '%s'; clone it "
                          "without --reflink"),
                        clone->source->name);
    from = volume_plan(clone->def, clone->flags, &clone->plan, error)
               ? clone_open_content(clone, &source, error)
               : NULL;
    if (!from)
        return FALSE;
    txn.copy = (SpaceCopy){.from = from, .whole = image_takes_all_space(&clone->plan.options)};
    txn.claim.after = clone->live ? clone->from : image_chain_last_claim(&source.chain);
    return volume_txn_begin(&txn, pool, clone->def, "clone", error) &&
           copy_source_end(&source, clone_copy_content(from, &txn.draft, clone, error), error) &&
           volume_txn_commit(&txn, clone->def, error);
}

gboolean volume_clone(CstPool *pool, VolumeClone *clone, GError **error)
{
    if (clone->source->type == CST_VOL_DIR || clone->def->type == CST_VOL_DIR)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("cannot copy from volume to a directory volume"));
    if (!volume_flags_fit(clone->def, clone->flags, error))
        return FALSE;
    return bytes_will_do(clone) ? clone_bytes(pool, clone, error)
                                : clone_content(pool, clone, error);
}

/* --- linked clones ---------------------------------------------------------------------------- */

/*
 * Creates an overlay: an empty qcow2 image that is based on the source. The claim keeps the source
 * unchanged until the overlay exists. From then on volume_not_shown() protects it.
 */
static gboolean link_image(CstPool *pool, VolumeClone *clone, GError **error)
{
    g_auto(VolumeTxn) txn = {.claim.task = clone->task, .claim.after = clone->from};
    g_autofree char *path = cst_pool_state_vol_path(clone->from->state, clone->source->name);
    CstVolDef *def = clone->def;

    g_free(def->format);
    def->format = g_strdup(LINKED_FORMAT);
    g_clear_pointer(&def->backing, cst_backing_def_free);
    def->backing = cst_backing_def_new(path, NULL);
    return ((clone->flags & CST_VOL_CREATE_FORCE_SHARE) ||
            volume_may_be_base(clone->from, error)) &&
           volume_base_format(clone->source->format, path, &def->backing->format, error) &&
           volume_plan(def, clone->flags, &clone->plan, error) &&
           volume_txn_begin(&txn, pool, def, "clone", error) &&
           cst_image_create(txn.draft.blob, clone->plan.format, &clone->plan.options, clone->task,
                            error) &&
           volume_txn_commit(&txn, def, error);
}

/*
 * Creates a clone that shares content by the pool's technology. Fails if the technology cannot
 * share it.
 */
static gboolean link_device(CstPool *pool, VolumeClone *clone, GError **error)
{
    g_auto(VolumeTxn) txn = {.claim.task = clone->task, .claim.after = clone->from, .copies = TRUE};

    g_clear_pointer(&clone->def->backing, cst_backing_def_free);
    txn.declaration = trust_of_copy(clone->def, clone->source);
    if (!volume_txn_begin_clone(&txn, pool, clone->def, clone->from->pool, clone->source->name,
                                NULL, error))
        return FALSE;
    if (!txn.shared)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' can't have linked clones in pool '%s': all of it would be "
                          "copied"),
                        clone->source->name, cst_pool_name(pool));
    return clone_copy_bytes(&txn, clone, error) && volume_txn_commit(&txn, clone->def, error);
}

static gboolean volume_link(CstPool *pool, VolumeClone *clone, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);

    if (!state)
        return FALSE;
    if (clone->source->type == CST_VOL_DIR)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("cannot copy from volume to a directory volume"));
    if (clone->flags & (CST_VOL_CREATE_PREALLOC_FLAGS | CST_VOL_CREATE_REFLINK))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a linked clone stores no content of its own, so preallocation and "
                          "sharing of extents are not possible"));
    return cst_pool_state_holds_images(state) ? link_image(pool, clone, error)
                                              : link_device(pool, clone, error);
}

/* --- clones of volumes ------------------------------------------------------------------------ */

/* A clone has at least the capacity of its source. Its allocation is minimal. */
static void fit_to_source(CstVolDef *def, const CstVolume *source)
{
    if (def->capacity < source->capacity)
        def->capacity = source->capacity;
    def->allocation = 0;
    def->has_allocation = FALSE;
}

static gboolean clone_create_volume(CstPool *pool, const char *xml, CstPool *source_pool,
                                    const char *source, VolumeClone *clone, Job *job,
                                    char **ret_name, GError **error)
{
    unsigned flags = clone->flags;
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(CstVolDef) def = NULL;
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(CstVolume) image = NULL; /* declared content of the device, for pools of images */
    g_auto(VolumeClaim) source_claim = {.task = clone->task};
    g_autoptr(GError) bad_xml = NULL;

    if (!cst_flags_check(flags,
                         CST_VOL_CREATE_PREALLOC_FLAGS | CST_VOL_CREATE_REFLINK |
                             CST_VOL_CREATE_VALIDATE | CST_VOL_CREATE_FORCE_SHARE |
                             CST_VOL_CREATE_OVERWRITE | CST_VOL_CREATE_LINKED,
                         "storageVolCreateXMLFrom", error))
        return FALSE;
    state = pool_state_get(pool, error);
    if (!state)
        return FALSE;
    /*
     * The error of an invalid document is delayed until the source is claimed, because a missing
     * source has precedence.
     */
    def = volume_parse(xml, state, flags, CST_VOL_PARSE_NO_CAPACITY, &bad_xml);
    if (def)
        job_set_volume(job, def->name);
    if (!volume_claim_now(&source_claim, source_pool, source, CLAIM_READ, &volume, error))
        return FALSE;
    if (!def) {
        g_propagate_error(error, g_steal_pointer(&bad_xml));
        return FALSE;
    }
    /* Otherwise the transaction would wait for the claim of this call. */
    if (pool == source_pool && strcmp(def->name, source) == 0)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", source);
    if (cst_pool_type_info(state->def->type)->volume_formats) {
        image = image_record_declared(source_pool, source_claim.state, volume, error);
        if (!image)
            return FALSE;
    }
    clone->source = image ? image : volume;
    if (!trust_check_header(clone->source, error))
        return FALSE;
    fit_to_source(def, clone->source);
    clone->def = def;
    clone->from = &source_claim;
    if (!(flags & CST_VOL_CREATE_LINKED ? volume_link(pool, clone, error)
                                        : volume_clone(pool, clone, error)))
        return FALSE;
    *ret_name = g_steal_pointer(&def->name);
    return TRUE;
}

gboolean cst_vol_create_from(CstPool *pool, const char *xml, CstPool *source_pool,
                             const char *source, unsigned flags, CstTask *task, char **ret_name,
                             GError **error)
{
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};
    VolumeClone clone = {.flags = flags};

    job_begin(&job, pool, "clone", NULL, &task);
    clone.task = task;
    copy_turn_offer(&turn, pool, task);
    return job_end(
        &job, clone_create_volume(pool, xml, source_pool, source, &clone, &job, ret_name, error),
        error);
}

gboolean cst_vol_create_from_live(CstPool *pool, const char *xml, CstPool *source_pool,
                                  const char *source, CstLiveSnapshots *live, unsigned flags,
                                  CstTask *task, char **ret_name, GError **error)
{
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};
    VolumeClone clone = {.flags = flags};
    g_autoptr(LiveSet) set =
        live_snapshots_find(live, source_pool, source, &clone.live_index, error);

    if (!set)
        return FALSE;
    if (flags & CST_VOL_CREATE_LINKED)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a linked clone of volume '%s' cannot have the content of a live "
                          "snapshot"),
                        source);
    clone.live = set;
    job_begin(&job, pool, "clone", NULL, &task);
    clone.task = task;
    copy_turn_offer(&turn, pool, task);
    return job_end(
        &job, clone_create_volume(pool, xml, source_pool, source, &clone, &job, ret_name, error),
        error);
}
