/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New volumes, and opening volumes. A volume without content is created by one lvcreate, under its
 * name. Otherwise a draft is also an LV with the volume's name, marked by a tag (draft.c), and
 * becomes a volume when its intent ends. A process killed before that leaves a draft, which is
 * removed by its token. After that the volume exists.
 *
 * If the host has no intents, and for the replacement of a volume, a draft is an LV with a hidden
 * name, which includes its maker (names.c). lvrename makes it a volume in one step. Its remains are
 * removed by the token or at the pool's next start.
 */
#include "logical.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
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

/* --- creation --------------------------------------------------------------------------------- */

typedef enum { KIND_THICK, KIND_SPARSE, KIND_THIN, KIND_SNAPSHOT } Kind;

/*
 * Whether the definition requests a thin volume. @otherwise: the result for a definition without
 * the option.
 */
static gboolean asks_thin(const LogicalState *state, const CstVolDef *def, gboolean otherwise)
{
    const char *thin = cst_options_get(def->options, "thin");

    return thin ? strcmp(thin, "yes") == 0 : otherwise;
}

/*
 * Returns the kind of the LV: thin if the definition or the pool's options say so. Otherwise a
 * capacity above the allocation means a sparse volume, as in libvirt: LVM's snapshot without an
 * origin, which breaks if more is written than fits.
 */
static Kind lv_kind_wanted(const LogicalState *state, const CstVolDef *def)
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

/* Refuses a definition that is not supported. The commit refuses a name that an inactive LV has. */
static gboolean lv_check_def(const LogicalState *state, const CstVolDef *def, GError **error)
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

/* Parameters of lvcreate. */
typedef struct {
    const CstVolDef *def;
    Kind kind;
    const char *lv; /* its name */
    char *tag;      /* NULL: no tag */
} NewLv;

/* Returns lvcreate's arguments, including the arguments after @lv. The caller frees the array. */
static GPtrArray *lvcreate_argv(const NewLv *lv, ...) G_GNUC_NULL_TERMINATED;
static GPtrArray *lvcreate_argv(const NewLv *lv, ...)
{
    GPtrArray *argv = g_ptr_array_new();
    const char *argument;
    va_list args;

    g_ptr_array_add(argv, (gpointer) "lvcreate");
    g_ptr_array_add(argv, (gpointer) "-y");
    g_ptr_array_add(argv, (gpointer) "-n");
    g_ptr_array_add(argv, (gpointer)lv->lv);
    if (lv->tag) {
        g_ptr_array_add(argv, (gpointer) "--addtag");
        g_ptr_array_add(argv, lv->tag);
    }
    va_start(args, lv);
    do {
        argument = va_arg(args, const char *);
        g_ptr_array_add(argv, (gpointer)argument);
    } while (argument);
    va_end(args);
    return argv;
}

static gboolean make_thick(LogicalState *state, const NewLv *lv, GError **error)
{
    g_autofree char *size = lvm_size("-L", lv->def->capacity);
    g_autoptr(GPtrArray) argv = lvcreate_argv(lv, size, state->vg, NULL);
    g_autoptr(LvmVolume) plain = NULL;

    logical_cache_own(state, lv->lv);
    if (!logical_changev(state, (const char *const *)argv->pdata, NULL, error))
        return FALSE;
    plain = logical_plain_now(state, lv->lv);
    if (plain)
        logical_cache_account(state, (int64_t)plain->size);
    return TRUE;
}

/* Creates LVM's sparse volume: a snapshot without an origin, with a virtual size. */
static gboolean lv_make_sparse(LogicalState *state, const NewLv *lv, GError **error)
{
    g_autofree char *room = lvm_size("-L", lv->def->allocation);
    g_autofree char *size = lvm_size("-V", lv->def->capacity);
    g_autoptr(GPtrArray) argv =
        lvcreate_argv(lv, "--type", "snapshot", room, size, state->vg, NULL);

    return logical_changev(state, (const char *const *)argv->pdata, NULL, error);
}

static gboolean make_thin(LogicalState *state, const LvmGroup *group, const NewLv *lv,
                          GError **error)
{
    g_autofree char *pool = logical_thin_pool_ensure(state, group, lv->def, error);
    g_autofree char *size = lvm_size("-V", lv->def->capacity);
    g_autoptr(GPtrArray) argv = lvcreate_argv(lv, "--thinpool", pool, size, state->vg, NULL);

    return pool && logical_thin_create(state, pool, (const char *const *)argv->pdata, error);
}

/*
 * Creates a snapshot of the definition's backing store, as libvirt does. Only volumes of this group
 * can be origins.
 */
static gboolean lv_make_snapshot(LogicalState *state, const LvmGroup *group, const NewLv *lv,
                                 GError **error)
{
    const CstVolDef *def = lv->def;
    char *tags[] = {lv->tag, NULL};
    g_autofree char *origin_name = g_path_get_basename(def->backing->path);
    g_autofree char *expected = logical_device(state, origin_name);
    g_autofree char *target = logical_target(state, origin_name);
    g_autofree char *room = lvm_size("-L", def->allocation ? def->allocation : def->capacity);
    g_autoptr(GPtrArray) argv = lvcreate_argv(lv, "-s", room, target, NULL);
    const LvmVolume *origin = lvm_group_find(group, origin_name);

    if (!origin || strcmp(expected, def->backing->path) != 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the backing store '%s' is no volume of volume group '%s'"),
                        def->backing->path, group->name);
    if (lvm_is_thin(origin) && asks_thin(state, def, TRUE))
        return logical_thin_clone(state, origin_name, lv->lv, tags, error);
    return logical_changev(state, (const char *const *)argv->pdata, NULL, error);
}

/* Only kinds that refer to other LVs need a report. */
static gboolean make_lv(LogicalState *state, const NewLv *lv, GError **error)
{
    gboolean on_others = lv->kind == KIND_THIN || lv->kind == KIND_SNAPSHOT;
    g_autoptr(LvmGroup) group = on_others ? logical_group_cached(state, error) : NULL;

    if (on_others && !group)
        return FALSE;
    switch (lv->kind) {
    case KIND_THIN: return make_thin(state, group, lv, error);
    case KIND_SPARSE: return lv_make_sparse(state, lv, error);
    case KIND_SNAPSHOT: return lv_make_snapshot(state, group, lv, error);
    default: return make_thick(state, lv, error);
    }
}

/* Opens a new LV. LVM may have created it larger than requested, but not smaller. */
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

/* Opens the draft for its maker. A draft with a tag has the name of the volume. */
static gboolean lv_open_draft(LogicalState *state, const NewLv *lv, CstVolDraft *draft,
                              GError **error)
{
    g_autoptr(CstBlob) blob = open_made(state, lv->lv, lv->def, TRUE, error);

    if (!blob)
        return FALSE;
    if (fchmod(cst_blob_node_fd(blob), 0600) < 0)
        return cst_fail_errno(error, errno, _("cannot set mode of '%s' to %04o"), lv->lv, 0600);
    draft->blob = g_steal_pointer(&blob);
    draft->name = lv->tag ? g_strdup(lv->lv) : NULL;
    return TRUE;
}

/* Consumes @why and fails with it, or with VOL_EXISTS if @why says that the name is in use. */
static gboolean lv_fail_create(const CstVolDef *def, GError *why, GError **error)
{
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS)) {
        g_propagate_error(error, why);
        return FALSE;
    }
    g_clear_error(&why);
    return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
}

/* The volume exists, so a failure is only logged. */
static void lv_set_owner(LogicalState *state, CstBlob *blob, const CstVolDef *def)
{
    g_autoptr(GError) why = NULL;

    if (!cst_device_settle_owner(cst_blob_node_fd(blob), def, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", state->head.def->name, why->message);
}

/* --- creation in one step --------------------------------------------------------------------- */

/*
 * Fails after lvcreate has failed with @why. An LV of that name may exist, created by that lvcreate
 * or by another program since. The two cases cannot be distinguished, so the LV is kept, and the
 * error says so.
 */
static gboolean fail_made(LogicalState *state, const CstVolDef *def, GError *why, GError **error)
{
    struct stat node;

    if (g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS) ||
        !logical_has_node(state, def->name, &node))
        return lv_fail_create(def, why, error);
    cst_fail(error, CST_ERROR_FAILED,
             _("%s; but volume '%s' exists now: delete it if no other program has made it"),
             why->message, def->name);
    g_clear_error(&why);
    return FALSE;
}

/*
 * lvcreate creates an LV under its name atomically. An LV that does not match the request is
 * removed again. The device is not opened for writing, because udev would then scan it once more.
 */
gboolean logical_vol_make(CstPoolState *state, const CstVolDef *def, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    const NewLv lv = {.def = def, .kind = lv_kind_wanted(logical, def), .lv = def->name};
    g_autoptr(CstBlob) blob = NULL;
    GError *why = NULL;
    struct stat node;

    if (!lv_check_def(logical, def, error))
        return FALSE;
    if (!make_lv(logical, &lv, &why))
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
    lv_set_owner(logical, blob, def);
    return TRUE;
}

/* --- drafts ----------------------------------------------------------------------------------- */

/* A failure may leave a draft; the core calls vol_abandon. */
static gboolean lv_reserve_draft(LogicalState *state, const NewLv *lv, CstVolDraft *draft,
                                 GError **error)
{
    GError *why = NULL;

    if (!lv_check_def(state, lv->def, error))
        return FALSE;
    if (!make_lv(state, lv, &why))
        return lv_fail_create(lv->def, why, error);
    CST_CRASH_POINT("logical.reserve.created");
    if (!lv_open_draft(state, lv, draft, error))
        return FALSE;
    draft->zeroed = lv->kind == KIND_THIN || lv->kind == KIND_SPARSE;
    return TRUE;
}

gboolean logical_reserve_hidden(LogicalState *state, const CstVolDef *def, CstVolDraft *draft,
                                GError **error)
{
    g_autofree char *name = cst_draft_name(draft->token);

    return lv_reserve_draft(
        state, &(NewLv){.def = def, .kind = lv_kind_wanted(state, def), .lv = name}, draft, error);
}

gboolean logical_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autofree char *tag = logical_draft_tag(draft->token);
    const NewLv lv = {
        .def = def, .kind = lv_kind_wanted(logical, def), .lv = def->name, .tag = tag};

    if (!logical_tags_drafts(logical))
        return logical_reserve_hidden(logical, def, draft, error);
    return lv_reserve_draft(logical, &lv, draft, error);
}

/* --- clones ----------------------------------------------------------------------------------- */

/* Returns the LV to clone, borrowed: the volume, or its snapshot of that name. */
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

/* Creates the draft, a thin snapshot, with the requested size. */
static gboolean clone_thin(LogicalState *state, const LvmVolume *from, const NewLv *lv,
                           GError **error)
{
    char *tags[] = {lv->tag, NULL};
    g_autofree char *target = logical_target(state, lv->lv);
    g_autofree char *size = lvm_size("-L", lv->def->capacity);
    GError *why = NULL;

    if (!logical_thin_clone(state, from->name, lv->lv, tags, &why))
        return lv_fail_create(lv->def, why, error);
    return lv->def->capacity <= from->size ||
           logical_change(state, NULL, error, "lvextend", size, target, NULL);
}

/*
 * If the source is plain, the kernel shows without a report that it is not thin. A failure after
 * the creation of the snapshot leaves a draft; the core calls vol_abandon.
 */
gboolean logical_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                   const char *snapshot, CstVolDraft *draft, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    gboolean tagged = logical_tags_drafts(logical);
    g_autofree char *hidden = cst_draft_name(draft->token);
    g_autofree char *tag = logical_draft_tag(draft->token);
    const NewLv lv = {.def = def, .lv = tagged ? def->name : hidden, .tag = tagged ? tag : NULL};
    g_autoptr(LvmVolume) plain = snapshot ? NULL : logical_plain_now(logical, source);
    g_autoptr(LvmGroup) group = plain ? NULL : logical_group_cached(logical, error);
    const LvmVolume *from = group ? clone_source(group, source, snapshot, error) : NULL;

    if (plain)
        return fail_thick(error);
    if (!from || !lv_check_def(logical, def, error))
        return FALSE;
    if (!lvm_is_thin(from) || !asks_thin(logical, def, TRUE))
        return fail_thick(error);
    if (!clone_thin(logical, from, &lv, error))
        return FALSE;
    CST_CRASH_POINT("logical.clone.created");
    return lv_open_draft(logical, &lv, draft, error);
}

/* --- commit and abandon ----------------------------------------------------------------------- */

/* Renames the draft from its hidden name to the volume's name. */
static gboolean lv_rename_draft(LogicalState *state, const char *token, const CstVolDef *def,
                                GError **error)
{
    g_autofree char *lv = cst_draft_name(token);
    GError *why = NULL;

    logical_cache_own(state, lv);
    logical_cache_own(state, def->name);
    if (!logical_rename_lv(state, lv, def->name, &why))
        return lv_fail_create(def, why, error);
    logical_cache_account(state, 0);
    return TRUE;
}

/* The rename is the commit. A tagged draft is committed by the end of its intent. */
gboolean logical_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error)
{
    LogicalState *logical = LOGICAL(state);

    if (!cst_blob_flush(draft->blob, error))
        return FALSE;
    CST_CRASH_POINT("logical.commit.synced");
    if (!logical_tags_drafts(logical) && !lv_rename_draft(logical, draft->token, def, error))
        return FALSE;
    CST_CRASH_POINT("logical.commit.renamed");
    lv_set_owner(logical, draft->blob, def);
    return TRUE;
}

/*
 * Removes the draft's snapshots first, because without the draft they could not be assigned to it.
 * A draft that replaces a volume has the tag "id" of that volume, whose snapshots must be kept. So
 * the draft's own snapshots are found by the UUID of its LV.
 */
static gboolean lv_remove_draft(LogicalState *state, const LvmGroup *group, const LvmVolume *lv,
                                GError **error)
{
    g_autoptr(GPtrArray) snapshots = logical_snapshots_of(group, lv->uuid);

    for (guint i = 0; i < snapshots->len; i++)
        if (!logical_remove_lv(state, ((const LvmVolume *)g_ptr_array_index(snapshots, i))->name,
                               error))
            return FALSE;
    CST_CRASH_POINT("logical.abandon.bare");
    return logical_remove_lv(state, lv->name, error);
}

gboolean logical_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = NULL;

    CST_TEST_POINT("logical.abandon");
    if (!logical_draft_await_tools(token, error))
        return FALSE;
    group = logical_group_read(logical, NULL, error);
    for (guint i = 0; group && i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);

        if (!lv->hidden && (cst_draft_is_of(lv->name, token) || logical_is_draft_of(lv, token)))
            return lv_remove_draft(logical, group, lv, error);
    }
    return group != NULL;
}

/*
 * Drops drafts with hidden names, and recovers interrupted swaps, if their maker is dead. Tagged
 * drafts have an intent, which is replayed.
 */
gboolean logical_drop_drafts(CstPoolState *state, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = logical_group_read(logical, NULL, error);

    for (guint i = 0; group && i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);
        g_autoptr(GError) why = NULL;

        if (lv->hidden || cst_draft_maker_lives(lv->name))
            continue;
        if (logical_is_thin_pool(lv))
            logical_metadata_recover(logical, lv, &why);
        else if (cst_draft_is_old(lv->name))
            logical_swap_recover(logical, group, lv, &why);
        else if (cst_draft_is(lv->name) && logical_remove_lv(logical, lv->name, &why))
            cst_log(CST_LOG_INFO, "dropped the half-made volume '%s'", lv->name);
        /* A failure does not prevent the cleanup of the other LVs. */
        if (why)
            cst_log(CST_LOG_WARNING, "pool '%s': %s", state->def->name, why->message);
    }
    return group != NULL;
}
