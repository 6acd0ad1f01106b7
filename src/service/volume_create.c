/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <blob/steps.h>
#include <image/snapshot.h>
#include <service/snapshots.h>

#include "claim.h"
#include "declare.h"
#include "image_chain.h"
#include "job.h"
#include "pool.h"
#include "relations.h"
#include "scan.h"
#include "snapshot.h"
#include "transaction.h"
#include "volume_plan.h"

static unsigned parse_flags(unsigned create_flags, unsigned more)
{
    return more | (create_flags & CST_VOL_CREATE_VALIDATE ? CST_VOL_PARSE_VALIDATE : 0);
}

/* What is of the format "dir" is a directory, whatever type the document says. */
static CstVolDef *parse_definition(const char *xml, const CstPoolState *state, unsigned flags,
                                   GError **error)
{
    CstVolDef *def = cst_vol_def_parse(xml, state->def->type, flags, error);

    if (def && g_strcmp0(def->format, "dir") == 0)
        def->type = CST_VOL_DIR;
    return def;
}

/* --- from nothing ----------------------------------------------------------------------------- */

/* libvirt's raw volumes get the allocation asked for, which may be a part of the capacity. */
static gboolean allocate_part(CstBlob *blob, const CstVolDef *def, unsigned flags,
                              const VolumePlan *plan, CstTask *task, GError **error)
{
    if (!volume_is_raw(def) || plan->options.preallocation != CST_PREALLOC_OFF ||
        (flags & CST_VOL_CREATE_PREALLOC_OFF) || !def->has_allocation || def->allocation == 0)
        return TRUE;
    return cst_blob_allocate_steps(blob, 0, MIN(def->allocation, def->capacity), task, error);
}

/*
 * Claims the backing volume, so that it stays what it is until its overlay is there. What the
 * definition leaves out of its backing store is that volume's: format and size. A backing file that
 * is no volume of an active pool must be described whole; nothing is claimed then.
 */
static gboolean claim_backing(VolumeClaim *claim, CstService *service, CstVolDef *def,
                              GError **error)
{
    g_autoptr(CstPool) pool = NULL;
    g_autofree char *name = NULL;
    g_autoptr(CstVolume) base = NULL;
    g_autoptr(GError) why = NULL;

    if (!def->backing)
        return TRUE;
    if (!cst_service_volume_by_path(service, def->backing->path, &pool, &name, &why)) {
        if (def->has_capacity)
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!volume_claim_now(claim, pool, name, CLAIM_READ, &base, error) ||
        !volume_base_format(base, def->backing->path, &def->backing->format, error))
        return FALSE;
    if (!def->has_capacity)
        def->capacity = base->capacity;
    return TRUE;
}

/*
 * Where documents name no format, the pool's technology makes a volume whole, also one on top of
 * another; nothing is written to it, as with libvirt, unless that is asked for.
 */
static gboolean is_made_whole(CstPool *pool, unsigned flags)
{
    return !cst_pool_type_info(pool->def->type)->volume_formats &&
           !(flags & CST_VOL_CREATE_PREALLOC_FULL);
}

static gboolean fill_volume(CstPool *pool, const CstVolDef *def, const VolumeClaim *backing,
                            unsigned flags, CstTask *task, GError **error)
{
    g_auto(Making) making = {.claim.task = task, .claim.after = backing->holder ? backing : NULL};
    VolumePlan plan = {0};

    if (!volume_flags_fit(def, flags, error) ||
        !(is_made_whole(pool, flags) || volume_plan(def, flags, &plan, error)) ||
        !making_begin(&making, pool, def, "create", error))
        return FALSE;
    if (plan.format &&
        (!cst_image_create(making.draft.blob, plan.format, &plan.options, task, error) ||
         !allocate_part(making.draft.blob, def, flags, &plan, task, error)))
        return FALSE;
    return making_commit(&making, def, error);
}

static gboolean create_volume(CstPool *pool, CstVolDef *def, unsigned flags, CstTask *task,
                              GError **error)
{
    g_auto(VolumeClaim) backing = {.task = task};

    return claim_backing(&backing, pool->service, def, error) &&
           fill_volume(pool, def, &backing, flags, task, error);
}

gboolean cst_vol_create(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                        char **ret_name, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(CstVolDef) def = NULL;
    g_auto(Job) job = {0};

    if (!cst_flags_check(flags, CST_VOL_CREATE_PREALLOC_FLAGS | CST_VOL_CREATE_VALIDATE,
                         "storageVolCreateXML", error))
        return FALSE;
    state = pool_state_get(pool, error);
    if (!state)
        return FALSE;
    def = parse_definition(xml, state, parse_flags(flags, CST_VOL_PARSE_OPT_CAPACITY), error);
    if (!def)
        return FALSE;
    job_begin(&job, pool, "create", def->name, &task);
    if (!job_end(&job, create_volume(pool, def, flags, task, error), error))
        return FALSE;
    *ret_name = g_steal_pointer(&def->name);
    return TRUE;
}

/* --- from another volume ---------------------------------------------------------------------- */

typedef struct {
    CstVolDef *def; /* of the new volume */
    VolumePlan plan;
    const VolumeClaim *from; /* claims the source */
    const CstVolume *source;
    const char *snapshot; /* of the source; NULL: what it holds now */
    unsigned flags;       /* CstVolCreateFlags */
    CstTask *task;
} Cloning;

static gboolean same_text(const char *wanted, const char *have)
{
    return !wanted || g_strcmp0(wanted, have) == 0;
}

/* Where documents name no format, volumes are raw. */
static gboolean same_format(const char *asked, const char *have)
{
    const CstImageFormat *format = cst_image_format_find(have, NULL);
    const char *wanted = asked ? asked : "raw";

    return g_strcmp0(wanted, have) == 0 ||
           (format && g_strcmp0(wanted, cst_image_format_xml_name(format)) == 0);
}

/* The bytes as they are stored will do when nothing of the image's shape is to change. */
static gboolean bytes_will_do(const Cloning *cloning)
{
    const CstVolumeExtra *extra = cloning->source->extra;
    const CstVolDef *def = cloning->def;
    const char *backing = extra ? extra->backing_path : NULL;

    /* Two volumes with one file of data would write into each other. */
    if (extra && extra->data_file)
        return FALSE;
    if (!same_format(def->format, cloning->source->format) || (extra && extra->problem) ||
        (cloning->snapshot && volume_keeps_snapshots(cloning->source)))
        return FALSE;
    return g_strcmp0(def->backing ? def->backing->path : NULL, backing) == 0 &&
           same_text(def->compat, extra ? extra->compat : NULL) &&
           (!def->cluster_size || (extra && def->cluster_size == extra->cluster_size));
}

static gboolean copy_whole(CstBlob *from, CstBlob *to, gboolean zeroed, const Cloning *cloning,
                           GError **error)
{
    unsigned flags = (zeroed ? CST_COPY_DST_ZERO : 0) |
                     (cloning->flags & CST_VOL_CREATE_REFLINK ? CST_COPY_SHARE_ONLY : 0);
    uint64_t size;

    if (!cst_blob_get_size(from, &size, error))
        return FALSE;
    cst_task_add_total(cloning->task, size);
    return cst_blob_copy(from, 0, to, 0, size, flags, cloning->task, error);
}

static gboolean grow_to_capacity(CstBlob *blob, const Cloning *cloning, GError **error)
{
    const CstImageFormat *format;
    g_autoptr(CstImage) image = NULL;

    /* No blob: a clone that is as large as it shall be. */
    if (!blob || cloning->def->capacity <= cloning->source->capacity)
        return TRUE;
    format = cst_image_format_find(cloning->source->format, error);
    image = format
                ? cst_image_open(blob, format, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, error)
                : NULL;
    if (!image)
        return FALSE;
    /* A draft on a device was made in its full size. */
    return cst_image_capacity(image) >= cloning->def->capacity ||
           (cst_image_resize(image, cloning->def->capacity, CST_PREALLOC_OFF, cloning->task,
                             error) &&
            cst_image_flush(image, error));
}

static CstBlob *open_bytes(const Cloning *cloning, GError **error)
{
    const char *name = cloning->source->name;

    return cloning->snapshot
               ? cst_pool_state_snapshot_open(cloning->from->state, name, cloning->snapshot, error)
               : cst_pool_state_vol_open(cloning->from->state, name, FALSE, error);
}

/* A snapshot's bytes rest, whoever writes to the volume. */
static gboolean check_at_rest(const Cloning *cloning, CstBlob *from, GError **error)
{
    return cloning->snapshot || (cloning->flags & CST_VOL_CREATE_FORCE_SHARE) ||
           volume_not_written(cloning->source, from, error);
}

/*
 * A clone is what its source holds now. One that can't be opened is left as it is: its bytes are
 * all there.
 */
static gboolean drop_snapshots_inside(CstBlob *blob, const Cloning *cloning, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(cloning->source->format, NULL);
    unsigned flags = CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS;
    g_autoptr(CstImage) image = NULL;
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!volume_keeps_snapshots(cloning->source))
        return TRUE;
    image = cst_image_open(blob, format, flags, NULL, NULL);
    snapshots = image ? cst_image_snapshot_list(image, NULL) : NULL;
    if (!snapshots || snapshots->len == 0)
        return TRUE;
    for (guint i = 0; i < snapshots->len; i++)
        if (!cst_image_snapshot_delete(
                image, ((const CstImageSnapshot *)g_ptr_array_index(snapshots, i))->name,
                cloning->task, error))
            return FALSE;
    return cst_image_flush(image, error);
}

static gboolean copy_bytes(const Making *making, const Cloning *cloning, GError **error)
{
    g_autoptr(CstBlob) from = NULL;

    if (!making->shared) {
        from = open_bytes(cloning, error);
        if (!from || !check_at_rest(cloning, from, error) ||
            !copy_whole(from, making->draft.blob, making->draft.zeroed, cloning, error))
            return FALSE;
    }
    return drop_snapshots_inside(making->draft.blob, cloning, error) &&
           grow_to_capacity(making->draft.blob, cloning, error);
}

/* Through the guests' views: another format, or another shape of the same one. */
static gboolean copy_content(ImageChain *source, const CstVolDraft *draft, const Cloning *cloning,
                             GError **error)
{
    CstBlob *from = image_chain_guest(source, cloning->snapshot, error);
    g_autoptr(CstBlob) to = NULL;
    CstImageCreate options = cloning->plan.options;
    CstImage *image;
    gboolean zeroed;

    /* What is read through the whole chain stands on its own. */
    options.backing = options.backing_format = NULL;
    if (!from ||
        !cst_image_create(draft->blob, cloning->plan.format, &options, cloning->task, error))
        return FALSE;
    image = cst_image_open(draft->blob, cloning->plan.format,
                           CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, error);
    if (!image)
        return FALSE;
    to = cst_image_guest_blob(image);
    /* A new image reads as zeroes; raw bytes on a device are whatever they were. */
    zeroed = draft->zeroed || strcmp(cst_image_format_name(cloning->plan.format), "raw") != 0;
    return copy_whole(from, to, zeroed, cloning, error) && cst_blob_flush(to, error);
}

static gboolean refuse_directories(const Cloning *cloning, GError **error)
{
    if (cloning->source->type == CST_VOL_DIR || cloning->def->type == CST_VOL_DIR)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("cannot copy from volume to a directory volume"));
    return TRUE;
}

/* What a raw volume shares with another is its pool's doing: a copy of its bytes is whole. */
static void drop_raw_backing(Cloning *cloning)
{
    if (g_strcmp0(cloning->source->format, "raw") == 0)
        g_clear_pointer(&cloning->def->backing, cst_backing_def_free);
}

/* The bytes as they are stored. Any format can be copied like this. */
static gboolean clone_bytes(CstPool *pool, Cloning *cloning, GError **error)
{
    g_auto(Making) making = {.claim.task = cloning->task, .claim.after = cloning->from};

    drop_raw_backing(cloning);
    making.declaration = trust_of_copy(cloning->def, cloning->source);
    return making_begin_clone(&making, pool, cloning->def, cloning->from->pool,
                              cloning->source->name, cloning->snapshot, error) &&
           copy_bytes(&making, cloning, error) && making_commit(&making, cloning->def, error);
}

/* A change of shape needs a format that we can make. */
static gboolean clone_content(CstPool *pool, Cloning *cloning, GError **error)
{
    g_auto(ImageChain) source = {
        .task = cloning->task,
        .after = cloning->from,
        .at_rest = !(cloning->flags & CST_VOL_CREATE_FORCE_SHARE),
    };
    g_auto(Making) making = {.claim.task = cloning->task};

    if (cloning->flags & CST_VOL_CREATE_REFLINK)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("a reflink copy keeps the format and shape of volume '%s'; clone it "
                          "without --reflink"),
                        cloning->source->name);
    if (!volume_plan(cloning->def, cloning->flags, &cloning->plan, error) ||
        !image_chain_open(&source, cloning->from->pool, cloning->source->name, error))
        return FALSE;
    making.claim.after = image_chain_last_claim(&source);
    return making_begin(&making, pool, cloning->def, "clone", error) &&
           copy_content(&source, &making.draft, cloning, error) &&
           making_commit(&making, cloning->def, error);
}

static gboolean clone_volume(CstPool *pool, Cloning *cloning, GError **error)
{
    return refuse_directories(cloning, error) &&
           volume_flags_fit(cloning->def, cloning->flags, error) &&
           (bytes_will_do(cloning) ? clone_bytes(pool, cloning, error)
                                   : clone_content(pool, cloning, error));
}

/* A clone holds all of its source; what it need not hold, it does not allocate. */
static void fit_to_source(CstVolDef *def, const CstVolume *source)
{
    if (def->capacity < source->capacity)
        def->capacity = source->capacity;
    def->allocation = 0;
    def->has_allocation = FALSE;
}

static gboolean create_from(CstPool *pool, const char *xml, CstPool *source_pool,
                            const char *source, unsigned flags, Job *job, CstTask *task,
                            char **ret_name, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(CstVolDef) def = NULL;
    g_autoptr(CstVolume) volume = NULL;
    g_auto(VolumeClaim) source_claim = {.task = task};
    g_autoptr(GError) bad_xml = NULL;
    Cloning cloning = {.flags = flags, .task = task};

    if (!cst_flags_check(flags,
                         CST_VOL_CREATE_PREALLOC_FLAGS | CST_VOL_CREATE_REFLINK |
                             CST_VOL_CREATE_VALIDATE | CST_VOL_CREATE_FORCE_SHARE,
                         "storageVolCreateXMLFrom", error))
        return FALSE;
    state = pool_state_get(pool, error);
    if (!state)
        return FALSE;
    def = parse_definition(xml, state, parse_flags(flags, CST_VOL_PARSE_NO_CAPACITY), &bad_xml);
    if (def)
        job_set_volume(job, def->name);
    if (!volume_claim_now(&source_claim, source_pool, source, CLAIM_READ, &volume, error))
        return FALSE;
    if (!def) {
        g_propagate_error(error, g_steal_pointer(&bad_xml));
        return FALSE;
    }
    if (pool == source_pool && strcmp(def->name, source) == 0)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", source);
    fit_to_source(def, volume);
    cloning.def = def;
    cloning.source = volume;
    cloning.from = &source_claim;
    if (!clone_volume(pool, &cloning, error))
        return FALSE;
    *ret_name = g_steal_pointer(&def->name);
    return TRUE;
}

gboolean cst_vol_create_from(CstPool *pool, const char *xml, CstPool *source_pool,
                             const char *source, unsigned flags, CstTask *task, char **ret_name,
                             GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "clone", NULL, &task);
    return job_end(&job,
                   create_from(pool, xml, source_pool, source, flags, &job, task, ret_name, error),
                   error);
}

/* --- from a snapshot -------------------------------------------------------------------------- */

/* The volume's own shape, in the size of then, on its own feet. */
static CstVolDef *describe_clone(const VolumeClaim *source, const CstVolume *volume,
                                 const CstSnapshot *snapshot, const char *new_name)
{
    CstVolDef *def = cst_volume_describe(source->state, volume);

    g_free(def->name);
    def->name = g_strdup(new_name);
    def->capacity = snapshot->capacity;
    def->allocation = 0;
    def->has_allocation = FALSE;
    if (volume_keeps_snapshots(volume))
        g_clear_pointer(&def->backing, cst_backing_def_free);
    return def;
}

static const CstSnapshot *find_snapshot(const GPtrArray *snapshots, const char *volume,
                                        const char *name, GError **error)
{
    const CstSnapshot *snapshot = volume_snapshot_find(snapshots, name);

    if (!snapshot)
        cst_fail(error, CST_ERROR_NOT_FOUND, _("volume '%s' has no snapshot '%s'"), volume, name);
    return snapshot;
}

/* One that the pool keeps of a volume that has become an image that keeps its own. */
static gboolean is_of_another_format(const CstVolume *volume, const CstSnapshot *snapshot)
{
    return volume_keeps_snapshots(volume) && strcmp(snapshot->kept_by, volume->format) != 0;
}

static gboolean clone_snapshot(CstPool *pool, const char *volume, const char *name,
                               const char *new_volume, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) snapshots = cst_vol_snapshots(pool, volume, task, error);
    const CstSnapshot *snapshot = snapshots ? find_snapshot(snapshots, volume, name, error) : NULL;
    Cloning cloning = {.snapshot = name, .task = task};
    g_auto(VolumeClaim) claim = {.task = task};
    g_autoptr(CstVolume) source = NULL;
    g_autoptr(CstVolDef) def = NULL;

    if (!snapshot || !volume_claim(&claim, pool, volume, CLAIM_READ, error))
        return FALSE;
    source = pool_table_get(pool, claim.state, volume, error);
    if (!source)
        return FALSE;
    if (strcmp(volume, new_volume) == 0)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", volume);
    if (is_of_another_format(source, snapshot))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("snapshot '%s' was taken before volume '%s' became %s; it can be "
                          "reverted to, or deleted"),
                        name, volume, source->format);
    def = describe_clone(&claim, source, snapshot, new_volume);
    cloning.def = def;
    cloning.source = source;
    cloning.from = &claim;
    return clone_volume(pool, &cloning, error);
}

gboolean cst_vol_snapshot_clone(CstPool *pool, const char *volume, const char *name,
                                const char *new_volume, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "clone", new_volume, &task);
    return job_end(&job, clone_snapshot(pool, volume, name, new_volume, task, error), error);
}
