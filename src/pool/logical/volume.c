/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New volumes, and opening them. What nothing has to be written to is made by one lvcreate, under
 * its name. Else a draft is an LV under a hidden name, which also says who makes it (names.c);
 * lvrename makes it a volume in one step. A process killed before that leaves a draft, which is
 * removed by its token or at the pool's next start; killed after it, the volume exists.
 */
#include "logical.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>

CstBlob *logical_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    if (!logical_name_check(name, error))
        return NULL;
    return logical_open_lv(LOGICAL(state), name, writable, error);
}

/* --- making ----------------------------------------------------------------------------------- */

typedef enum { KIND_THICK, KIND_SPARSE, KIND_THIN, KIND_SNAPSHOT } Kind;

/*
 * Whether the definition asks for a thin volume; @otherwise: what a definition means that says
 * nothing.
 */
static gboolean asks_thin(const LogicalState *state, const CstVolDef *def, gboolean otherwise)
{
    const char *thin = cst_options_get(def->options, "thin");

    return thin ? strcmp(thin, "yes") == 0 : otherwise;
}

/*
 * What kind of LV the definition asks for: thin when it says so, or when the pool's volumes are;
 * else a capacity above the allocation means what it means to libvirt: a sparse volume, LVM's
 * snapshot of nothing, which breaks when more is written than fits.
 */
static Kind kind_of(const LogicalState *state, const CstVolDef *def)
{
    if (def->backing)
        return KIND_SNAPSHOT;
    if (asks_thin(state, def, state->options.thin))
        return KIND_THIN;
    if (def->has_allocation && def->allocation < def->capacity &&
        !cst_options_get(def->options, "thin"))
        return KIND_SPARSE;
    return KIND_THICK;
}

/* Refuses what can't be made. A name that an inactive LV has is refused by the commit. */
static gboolean check_def(const LogicalState *state, const CstVolDef *def, GError **error)
{
    const char *thin = cst_options_get(def->options, "thin");
    struct stat node;

    if (def->encryption)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("encrypted volumes can't be created by this version; create the volume "
                          "without <encryption>"));
    if (thin && strcmp(thin, "yes") != 0 && strcmp(thin, "no") != 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("option 'thin' takes 'yes' or 'no', not '%s'"),
                        thin);
    if (def->capacity == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' has no capacity"), def->name);
    if (!logical_name_check(def->name, error))
        return FALSE;
    if (logical_has_node(state, def->name, &node))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
    return TRUE;
}

static gboolean make_thick(LogicalState *state, const CstVolDef *def, const char *lv,
                           GError **error)
{
    g_autofree char *size = lvm_size("-L", def->capacity);
    g_autoptr(LvmVolume) plain = NULL;

    logical_cache_own(state, lv);
    if (!logical_change(state, NULL, error, "lvcreate", "-y", "-n", lv, size, state->vg, NULL))
        return FALSE;
    plain = logical_plain_now(state, lv);
    if (plain)
        logical_cache_account(state, (int64_t)plain->size);
    return TRUE;
}

/* A snapshot without an origin, of a virtual size: LVM's sparse volume. */
static gboolean make_sparse(LogicalState *state, const CstVolDef *def, const char *lv,
                            GError **error)
{
    g_autofree char *room = lvm_size("-L", def->allocation);
    g_autofree char *size = lvm_size("-V", def->capacity);

    return logical_change(state, NULL, error, "lvcreate", "-y", "-n", lv, "--type", "snapshot",
                          room, size, state->vg, NULL);
}

static gboolean make_thin(LogicalState *state, const LvmGroup *group, const CstVolDef *def,
                          const char *lv, GError **error)
{
    g_autofree char *pool = logical_thin_pool_ensure(state, group, def, error);
    g_autofree char *size = lvm_size("-V", def->capacity);
    const char *const argv[] = {"lvcreate", "-y", "-n",      lv,  "--thinpool",
                                pool,       size, state->vg, NULL};

    return pool && logical_thin_create(state, pool, argv, error);
}

/*
 * Makes a snapshot whose origin is the definition's backing store, as libvirt does. Only volumes of
 * this group can be origins.
 */
static gboolean make_snapshot(LogicalState *state, const LvmGroup *group, const CstVolDef *def,
                              const char *lv, GError **error)
{
    g_autofree char *origin_name = g_path_get_basename(def->backing->path);
    g_autofree char *expected = logical_device(state, origin_name);
    g_autofree char *target = logical_target(state, origin_name);
    g_autofree char *room = lvm_size("-L", def->allocation ? def->allocation : def->capacity);
    const LvmVolume *origin = lvm_group_find(group, origin_name);

    if (!origin || strcmp(expected, def->backing->path) != 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the backing store '%s' is no volume of volume group '%s'"),
                        def->backing->path, group->name);
    if (lvm_is_thin(origin) && asks_thin(state, def, TRUE))
        return logical_thin_snapshot(state, origin_name, lv, TRUE, NULL, error);
    return logical_change(state, NULL, error, "lvcreate", "-y", "-s", room, "-n", lv, target, NULL);
}

/* Only kinds that refer to other LVs need a report. */
static gboolean make_lv(LogicalState *state, const CstVolDef *def, Kind kind, const char *lv,
                        GError **error)
{
    gboolean on_others = kind == KIND_THIN || kind == KIND_SNAPSHOT;
    g_autoptr(LvmGroup) group = on_others ? logical_group_cached(state, error) : NULL;

    if (on_others && !group)
        return FALSE;
    switch (kind) {
    case KIND_THIN: return make_thin(state, group, def, lv, error);
    case KIND_SPARSE: return make_sparse(state, def, lv, error);
    case KIND_SNAPSHOT: return make_snapshot(state, group, def, lv, error);
    default: return make_thick(state, def, lv, error);
    }
}

/* Opens a new LV. LVM may have made it larger than asked for, never smaller. */
static CstBlob *open_made(LogicalState *state, const char *lv, const CstVolDef *def,
                          gboolean writable, GError **error)
{
    g_autoptr(CstBlob) blob = logical_open_lv(state, lv, writable, error);
    uint64_t size = 0;

    if (!blob || !cst_blob_get_size(blob, &size, error))
        return NULL;
    if (size >= def->capacity)
        return g_steal_pointer(&blob);
    cst_fail(error, CST_ERROR_FAILED,
             _("LVM made volume '%s' smaller (%" PRIu64 " bytes) than it was asked to"), def->name,
             size);
    return NULL;
}

/* Opens the draft for its maker. */
static gboolean open_draft(LogicalState *state, const char *lv, const CstVolDef *def,
                           CstVolDraft *draft, GError **error)
{
    g_autoptr(CstBlob) blob = open_made(state, lv, def, TRUE, error);

    if (!blob)
        return FALSE;
    if (fchmod(logical_blob_fd(blob), 0600) < 0)
        return cst_fail_errno(error, errno, _("cannot set mode of '%s' to %04o"), lv, 0600);
    draft->blob = g_steal_pointer(&blob);
    return TRUE;
}

/* The volume exists, so that a failure is only logged. */
static void settle_made(LogicalState *state, CstBlob *blob, const CstVolDef *def)
{
    g_autoptr(GError) why = NULL;

    if (!cst_device_settle_owner(logical_blob_fd(blob), def, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", state->head.def->name, why->message);
}

/* --- in one step ------------------------------------------------------------------------------ */

/*
 * After lvcreate has failed with @why. There may be an LV of that name all the same, made by that
 * lvcreate or by others since: nobody can tell, so it stays, and the error says so.
 */
static gboolean fail_made(LogicalState *state, const CstVolDef *def, GError *why, GError **error)
{
    gboolean taken = g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS);
    struct stat node;

    if (taken)
        cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
    else if (logical_has_node(state, def->name, &node))
        cst_fail(error, CST_ERROR_FAILED,
                 _("%s; but there is a volume '%s' now: delete it if nobody else has made it"),
                 why->message, def->name);
    else
        g_propagate_error(error, g_steal_pointer(&why));
    g_clear_error(&why);
    return FALSE;
}

/*
 * lvcreate makes an LV under its name or does not. What is not as it was asked for is removed
 * again. The device is not opened for writing: udev would look at it once more.
 */
gboolean logical_vol_make(CstPoolState *state, const CstVolDef *def, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(CstBlob) blob = NULL;
    GError *why = NULL;
    struct stat node;

    if (!check_def(logical, def, error))
        return FALSE;
    if (!make_lv(logical, def, kind_of(logical, def), def->name, &why))
        return fail_made(logical, def, why, error);
    CST_CRASH_POINT("logical.make.created");
    if (!logical_has_node(logical, def->name, &node))
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'lvcreate' claims success, but volume '%s' is not there"), def->name);
    blob = open_made(logical, def->name, def, FALSE, error);
    if (!blob) {
        logical_remove_lv(logical, def->name, NULL);
        return FALSE;
    }
    settle_made(logical, blob, def);
    return TRUE;
}

/* --- drafts ----------------------------------------------------------------------------------- */

gboolean logical_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autofree char *lv = cst_draft_name(draft->token);
    Kind kind = kind_of(logical, def);

    if (!check_def(logical, def, error) || !make_lv(logical, def, kind, lv, error))
        return FALSE;
    CST_CRASH_POINT("logical.reserve.created");
    /* What fails from here on leaves a draft, which the core abandons. */
    if (!open_draft(logical, lv, def, draft, error))
        return FALSE;
    draft->zeroed = kind == KIND_THIN || kind == KIND_SPARSE;
    return TRUE;
}

/* --- clones ----------------------------------------------------------------------------------- */

/* Returns the LV to clone: the volume, or its snapshot of that name. Borrowed. */
static const LvmVolume *clone_source(const LvmGroup *group, const char *source,
                                     const char *snapshot, GError **error)
{
    const LvmVolume *lv = logical_find(group, source, error);
    g_autofree char *id = lv ? logical_volume_id(lv) : NULL;
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!lv || !snapshot)
        return lv;
    snapshots = logical_snapshots_of(group, id);
    for (guint i = 0; i < snapshots->len; i++) {
        g_autofree char *name = logical_tag_value(g_ptr_array_index(snapshots, i), "snap");

        if (g_strcmp0(name, snapshot) == 0)
            return g_ptr_array_index(snapshots, i);
    }
    cst_fail_no_snapshot(source, snapshot, error);
    return NULL;
}

static gboolean fail_thick(GError **error)
{
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("only thin volumes share content with their clones"));
}

/*
 * That a plain source is not thin, the kernel says without a report. Whatever fails after the
 * snapshot was made leaves a draft, which the core abandons.
 */
gboolean logical_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                   const char *snapshot, CstVolDraft *draft, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autofree char *lv = cst_draft_name(draft->token);
    g_autoptr(LvmVolume) plain = snapshot ? NULL : logical_plain_now(logical, source);
    g_autoptr(LvmGroup) group = plain ? NULL : logical_group_cached(logical, error);
    const LvmVolume *from = group ? clone_source(group, source, snapshot, error) : NULL;

    if (plain)
        return fail_thick(error);
    if (!from || !check_def(logical, def, error))
        return FALSE;
    if (!lvm_is_thin(from) || !asks_thin(logical, def, TRUE))
        return fail_thick(error);
    if (!logical_thin_snapshot(logical, from->name, lv, TRUE, NULL, error))
        return FALSE;
    if (def->capacity > from->size) {
        g_autofree char *target = logical_target(logical, lv);
        g_autofree char *size = lvm_size("-L", def->capacity);

        if (!logical_change(logical, NULL, error, "lvextend", size, target, NULL))
            return FALSE;
    }
    CST_CRASH_POINT("logical.clone.created");
    return open_draft(logical, lv, def, draft, error);
}

/* --- commit and abandon ----------------------------------------------------------------------- */

/* The rename is the commit. */
gboolean logical_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autofree char *lv = cst_draft_name(draft->token);
    GError *why = NULL;

    if (!cst_blob_flush(draft->blob, error))
        return FALSE;
    CST_CRASH_POINT("logical.commit.synced");
    logical_cache_own(logical, lv);
    logical_cache_own(logical, def->name);
    if (!logical_rename_lv(logical, lv, def->name, &why)) {
        if (g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS)) {
            g_clear_error(&why);
            return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
        }
        g_propagate_error(error, why);
        return FALSE;
    }
    logical_cache_account(logical, 0);
    CST_CRASH_POINT("logical.commit.renamed");
    settle_made(logical, draft->blob, def);
    return TRUE;
}

gboolean logical_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = logical_group_read(logical, NULL, error);

    for (guint i = 0; group && i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);

        if (!lv->hidden && cst_draft_is_of(lv->name, token))
            return logical_remove_lv(logical, lv->name, error);
    }
    return group != NULL;
}

/* Drafts and interrupted swaps whose maker is dead. */
gboolean logical_drop_drafts(CstPoolState *state, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = logical_group_read(logical, NULL, error);

    for (guint i = 0; group && i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);
        g_autoptr(GError) why = NULL;

        if (lv->hidden || cst_draft_maker_lives(lv->name))
            continue;
        if (cst_draft_is_old(lv->name))
            logical_swap_recover(logical, group, lv, &why);
        else if (cst_draft_is(lv->name) && logical_remove_lv(logical, lv->name, &why))
            cst_log(CST_LOG_INFO, "dropped the half-made volume '%s'", lv->name);
        /* One that can't be dropped keeps nobody from the rest. */
        if (why)
            cst_log(CST_LOG_WARNING, "pool '%s': %s", state->def->name, why->message);
    }
    return group != NULL;
}
