/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thin pools: found or created for a volume, their usage, and the explanation of errors by a full
 * pool. A full pool makes writes and tools fail in many ways. After each failure the report is read
 * for the cause, and the error names the pool and the remedy.
 */
#include "logical.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

/* Created for a thin volume if no thin pool is named or exists. */
#define DEFAULT_THIN_POOL "cistern-thin"

gboolean logical_is_thin_pool(const LvmVolume *lv)
{
    return !lv->hidden && lvm_kind(lv) == 't';
}

/* Returns the only thin pool of the group; NULL if it has no thin pool, or several. */
static const LvmVolume *only_thin_pool(const LvmGroup *group)
{
    const LvmVolume *only = NULL;

    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);

        if (!logical_is_thin_pool(lv))
            continue;
        if (only)
            return NULL;
        only = lv;
    }
    return only;
}

/* The volume's option takes precedence over the pool's option, and that over the only thin pool. */
static const char *wanted_name(const LogicalState *state, const LvmGroup *group,
                               const CstVolDef *def)
{
    const char *asked = cst_options_get(def->options, "thin-pool");
    const LvmVolume *only;

    if (asked)
        return asked;
    if (state->options.thin_pool)
        return state->options.thin_pool;
    only = only_thin_pool(group);
    return only ? only->name : DEFAULT_THIN_POOL;
}

/*
 * Makes a full pool fail writes with "no space" at once, which pauses a guest. LVM's default is to
 * queue them for a minute and then to fail them with an I/O error. A failure is logged.
 */
static void thin_set_error_when_full(LogicalState *state, const char *name)
{
    g_autofree char *target = logical_target(state, name);
    g_autoptr(GError) why = NULL;

    if (!logical_change(state, NULL, &why, "lvchange", "--errorwhenfull", "y", target, NULL))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", state->head.def->name, why->message);
}

/* thin_metadata may be NULL, which ends the arguments. */
static gboolean make_thin_pool(LogicalState *state, const char *name, GError **error)
{
    const char *const argv[] = {"lvcreate",
                                "-y",
                                "--type",
                                "thin-pool",
                                state->options.thin_size,
                                "-n",
                                name,
                                state->vg,
                                state->options.thin_metadata,
                                NULL};
    g_autoptr(GError) why = NULL;
    g_autoptr(LvmGroup) group = NULL;
    const LvmVolume *lv;

    logical_changev(state, argv, NULL, &why);
    group = logical_group_read(state, NULL, error);
    if (!group)
        return FALSE;
    /* If another process has created it in between, keep its settings. */
    lv = lvm_group_find(group, name);
    if (lv && logical_is_thin_pool(lv)) {
        if (!why)
            thin_set_error_when_full(state, name);
        return TRUE;
    }
    if (why) {
        g_propagate_prefixed_error(error, g_steal_pointer(&why), _("cannot make thin pool '%s': "),
                                   name);
        return FALSE;
    }
    return cst_fail(error, CST_ERROR_FAILED,
                    _("'lvcreate' claims success, but thin pool '%s' is not there"), name);
}

char *logical_thin_pool_ensure(LogicalState *state, const LvmGroup *group, const CstVolDef *def,
                               GError **error)
{
    const char *name = wanted_name(state, group, def);
    const LvmVolume *lv = lvm_group_find(group, name);

    if (lv && !logical_is_thin_pool(lv)) {
        cst_fail(error, CST_ERROR_INVALID, _("'%s' in volume group '%s' is no thin pool"), name,
                 group->name);
        return NULL;
    }
    if (!lv && (!logical_name_check(name, error) || !make_thin_pool(state, name, error)))
        return NULL;
    return g_strdup(name);
}

/* --- full ------------------------------------------------------------------------------------- */

/*
 * Sets the error that explains a full pool. @data: its data space is full, else its metadata space.
 */
static void thin_fail_no_space(const LvmGroup *group, const LvmVolume *pool, gboolean data,
                               GError **error)
{
    int percent = data ? pool->data : pool->metadata;
    g_autofree char *used =
        percent == LVM_PERCENT_UNKNOWN
            ? g_strdup("")
            : g_strdup_printf(_(" (%d.%02d%% used)"), percent / 100, percent % 100);
    const char *option = data ? "-L" : "--poolmetadatasize ";
    /* A deletion cannot be recorded without metadata space. */
    const char *or_else = data ? _(" or delete volumes") : "";

    cst_fail(
        error, CST_ERROR_NO_SPACE,
        _("thin pool '%s' of volume group '%s' has no space left for %s%s; extend it (lvextend "
          "%s+SIZE %s/%s)%s"),
        pool->name, group->name, data ? _("data") : _("metadata"), used, option, group->name,
        pool->name, or_else);
}

/*
 * Sets an error that explains the problem of the pool. FALSE if LVM reports that the pool is
 * neither full nor damaged. @refused: LVM refused a new volume for lack of space, which it does
 * long before the metadata is full.
 */
static gboolean thin_fail_pool_problem(const LvmGroup *group, const LvmVolume *pool,
                                       gboolean refused, GError **error)
{
    if (lvm_needs_check(pool))
        cst_fail(error, CST_ERROR_STATE,
                 _("thin pool '%s' of volume group '%s' needs a check: stop the users of its "
                   "volumes, 'lvchange -an %s' and 'lvchange -ay %s'; if that finds it damaged, "
                   "'lvconvert --repair %s/%s'"),
                 pool->name, group->name, group->name, group->name, group->name, pool->name);
    else if (!lvm_is_active(pool))
        return FALSE;
    else if (lvm_health(pool) == 'M' || pool->metadata >= 10000)
        thin_fail_no_space(group, pool, FALSE, error);
    else if (lvm_health(pool) == 'D' || pool->data >= 10000)
        thin_fail_no_space(group, pool, TRUE, error);
    else if (refused && pool->metadata != LVM_PERCENT_UNKNOWN)
        thin_fail_no_space(group, pool, FALSE, error);
    else
        return FALSE;
    return TRUE;
}

/* Whether a full pool may be the cause: such a write or tool fails with one of these classes. */
static gboolean may_be_fullness(const GError *why)
{
    CstErrorCode code = cst_error_code(why);

    return code == CST_ERROR_NO_SPACE || code == CST_ERROR_IO || code == CST_ERROR_FAILED;
}

/* Replaces *why if the LV's pool explains it. @lv_name: a volume or the thin pool itself. */
static void thin_explain_error(LogicalState *state, const char *lv_name, gboolean refused,
                               GError **why)
{
    g_autoptr(LvmGroup) group =
        may_be_fullness(*why) ? logical_group_read(state, NULL, NULL) : NULL;
    const LvmVolume *lv = group ? lvm_group_find(group, lv_name) : NULL;
    const LvmVolume *pool = lv && lv->pool ? lvm_group_find(group, lv->pool) : lv;
    GError *better = NULL;

    if (!pool || !logical_is_thin_pool(pool) ||
        !thin_fail_pool_problem(group, pool, refused, &better))
        return;
    g_error_free(*why);
    *why = better;
}

void logical_explain_full(LogicalState *state, const char *lv, GError **why)
{
    thin_explain_error(state, lv, FALSE, why);
}

void logical_explain_refused(LogicalState *state, const char *lv, GError **why)
{
    thin_explain_error(state, lv, g_error_matches(*why, CST_ERROR, CST_ERROR_NO_SPACE), why);
}

gboolean logical_thin_create(LogicalState *state, const char *in, const char *const *argv,
                             GError **error)
{
    GError *why = NULL;

    if (logical_changev(state, argv, NULL, &why))
        return TRUE;
    logical_explain_refused(state, in, &why);
    g_propagate_error(error, why);
    return FALSE;
}

gboolean logical_thin_clone(LogicalState *state, const char *source, const char *lv,
                            char *const *tags, GError **error)
{
    g_autofree char *target = logical_target(state, source);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *const head[] = {"lvcreate", "-y", "-s", "--setactivationskip", "n", "--permission",
                                "rw",       "-n", lv};

    for (size_t i = 0; i < G_N_ELEMENTS(head); i++)
        g_ptr_array_add(argv, (gpointer)head[i]);
    for (; tags && *tags; tags++) {
        g_ptr_array_add(argv, (gpointer) "--addtag");
        g_ptr_array_add(argv, *tags);
    }
    g_ptr_array_add(argv, target);
    g_ptr_array_add(argv, NULL);
    return logical_thin_create(state, source, (const char *const *)argv->pdata, error);
}

/* --- how full --------------------------------------------------------------------------------- */

static guint count_volumes(const LvmGroup *group, const char *pool)
{
    guint count = 0;

    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);

        count += lvm_is_thin(lv) && g_strcmp0(lv->pool, pool) == 0;
    }
    return count;
}

gboolean logical_thin(CstPoolState *state, GPtrArray *stores, GError **error)
{
    g_autoptr(LvmGroup) group = logical_group_read(LOGICAL(state), NULL, error);

    for (guint i = 0; group && i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);
        CstThinStore *store;

        if (!logical_is_thin_pool(lv))
            continue;
        store = g_new0(CstThinStore, 1);
        store->name = g_strdup(lv->name);
        store->size = lv->size;
        store->used = lvm_part(lv->size, lv->data);
        store->metadata_size = lv->metadata_size;
        store->metadata_used = lvm_part(lv->metadata_size, lv->metadata);
        store->volumes = count_volumes(group, lv->name);
        g_ptr_array_add(stores, store);
    }
    return group != NULL;
}

static void add_pool_usage(const LvmVolume *lv, GPtrArray *usage)
{
    CstSpaceUsage *space;

    if (lv->data != LVM_PERCENT_UNKNOWN) {
        space = cst_space_usage_add(usage, (guint)lv->data, FALSE, _("the data of thin pool '%s'"),
                                    lv->name);
        space->kind = CST_SPACE_DATA;
        space->size = lv->size;
    }
    if (lv->metadata != LVM_PERCENT_UNKNOWN) {
        space = cst_space_usage_add(usage, (guint)lv->metadata, FALSE,
                                    _("the metadata of thin pool '%s'"), lv->name);
        space->kind = CST_SPACE_METADATA;
        space->size = lv->metadata_size;
    }
}

const LvmVolume *logical_volume_of_snapshot(const LvmGroup *group, const LvmVolume *lv)
{
    g_autofree char *of = logical_tag_value(lv, "of");

    for (guint i = 0; of && i < group->volumes->len; i++) {
        const LvmVolume *volume = g_ptr_array_index(group->volumes, i);
        g_autofree char *id = logical_volume_id(volume);

        if (cst_device_name_is_volume(volume->name) && strcmp(id, of) == 0)
            return volume;
    }
    return NULL;
}

/*
 * Adds the space for changes of a classic snapshot: our snapshot, or a volume that LVM implements
 * as one.
 */
static void add_cow_usage(const LvmGroup *group, const LvmVolume *lv, GPtrArray *usage)
{
    const LvmVolume *volume = logical_volume_of_snapshot(group, lv);
    guint hundredths = lv->data == LVM_PERCENT_UNKNOWN ? 10000 : (guint)lv->data;
    g_autofree char *name = logical_tag_value(lv, "snap");

    if (lv->data == LVM_PERCENT_UNKNOWN && !lvm_is_lost(lv))
        return;
    if (volume && name)
        cst_space_usage_add(usage, hundredths, lvm_is_lost(lv),
                            _("the room of snapshot '%s' of volume '%s'"), name, volume->name);
    else if (logical_is_shown(lv))
        cst_space_usage_add(usage, hundredths, lvm_is_lost(lv), _("the room of volume '%s'"),
                            lv->name);
}

gboolean logical_space_usage(CstPoolState *state, GPtrArray *usage, GError **error)
{
    g_autoptr(LvmGroup) group = logical_group_cached(LOGICAL(state), error);

    for (guint i = 0; group && i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);

        if (logical_is_thin_pool(lv))
            add_pool_usage(lv, usage);
        else if (lvm_is_cow(lv))
            add_cow_usage(group, lv, usage);
    }
    return group != NULL;
}
