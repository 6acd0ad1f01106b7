/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The volume group of a pool: created on empty devices, activated and deactivated, removed.
 * Messages and rules are libvirt's where scripts may depend on them. The result of a tool is read
 * from a report.
 *
 * A build that fails or is interrupted leaves cleared devices, or physical volumes without a group.
 * The next build removes or reuses them. An existing group is never created anew, with any flags.
 */
#include "logical.h"

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>

/* libblkid's name for a physical volume. */
#define LVM_SIGNATURE "LVM2_member"

/* Borrowed from the definition. */
static const char *vg_device_path(const CstPoolState *state, guint i)
{
    return ((const CstPoolDevice *)g_ptr_array_index(state->def->source.devices, i))->path;
}

static gboolean has_device(const LvmGroup *group, const char *path)
{
    for (guint i = 0; i < group->devices->len; i++)
        if (cst_device_is_same(((const LvmPhysical *)g_ptr_array_index(group->devices, i))->path,
                               path))
            return TRUE;
    return FALSE;
}

/* --- check, start, stop ----------------------------------------------------------------------- */

/*
 * Checks that at least one of the definition's devices is in the group, as in libvirt: the devices
 * are only a hint at the group.
 */
static gboolean match_devices(const CstPoolState *state, const LvmGroup *group, GError **error)
{
    guint count = state->def->source.devices->len, matches = 0;

    for (guint i = 0; i < count; i++)
        matches += has_device(group, vg_device_path(state, i));
    if (count > 0 && matches == 0)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("cannot find any matching source devices for logical volume group '%s'"),
                        group->name);
    if (matches < count)
        cst_log(CST_LOG_WARNING, "pool '%s': %u of its %u devices are not in volume group '%s'",
                state->def->name, count - matches, count, group->name);
    return TRUE;
}

/*
 * Reads the group, if it exists and matches the definition's devices; NULL with CONFIG otherwise.
 */
static LvmGroup *read_matching(CstPoolState *state, GError **error)
{
    GError *why = NULL;
    g_autoptr(LvmGroup) group = logical_group_read(LOGICAL(state), NULL, &why);

    if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND)) {
        cst_fail(error, CST_ERROR_CONFIG, _("cannot find logical volume group name '%s'"),
                 LOGICAL(state)->vg);
        g_clear_error(&why);
        return NULL;
    }
    if (why)
        g_propagate_error(error, why);
    return group && match_devices(state, group, error) ? g_steal_pointer(&group) : NULL;
}

/*
 * A group without volumes has no LV that could be active, so the pool is active if the group
 * exists.
 */
gboolean logical_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(LvmGroup) group = read_matching(state, &why);
    gboolean any = FALSE, active = FALSE;

    if (why)
        cst_log(CST_LOG_INFO, "pool '%s': %s", state->def->name, why->message);
    for (guint i = 0; group && i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);

        any = any || !lv->hidden;
        active = active || lvm_is_active(lv);
    }
    *ret_active = group && (active || !any);
    return TRUE;
}

/* "l": only on this host, if the group is shared. */
static gboolean vg_set_active(CstPoolState *state, const char *how, GError **error)
{
    return logical_change(LOGICAL(state), NULL, error, "vgchange", how, LOGICAL(state)->vg, NULL);
}

gboolean logical_start(CstPoolState *state, GError **error)
{
    g_autoptr(LvmGroup) group = read_matching(state, error);

    return group && vg_set_active(state, "-aly", error);
}

/* LVM would refuse the group as a whole, without naming the holders. */
static gboolean vg_refuse_held(CstPoolState *state, const LvmGroup *group, GError **error)
{
    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);

        if (logical_is_shown(lv) && !logical_refuse_held(LOGICAL(state), lv->name, lv->name, error))
            return FALSE;
    }
    return TRUE;
}

gboolean logical_stop(CstPoolState *state, GError **error)
{
    g_autoptr(LvmGroup) group = logical_group_read(LOGICAL(state), NULL, error);

    return group && vg_refuse_held(state, group, error) && vg_set_active(state, "-aln", error);
}

/* --- build ------------------------------------------------------------------------------------ */

static gboolean vg_check_build_flags(const CstPoolState *state, unsigned flags, GError **error)
{
    if (!cst_flags_check(flags, CST_POOL_BUILD_OVERWRITE | CST_POOL_BUILD_NO_OVERWRITE,
                         "virStorageBackendLogicalBuildPool", error) ||
        !cst_flags_exclusive(flags, CST_POOL_BUILD_OVERWRITE, "VIR_STORAGE_POOL_BUILD_OVERWRITE",
                             CST_POOL_BUILD_NO_OVERWRITE, "VIR_STORAGE_POOL_BUILD_NO_OVERWRITE",
                             error))
        return FALSE;
    if (state->def->source.devices->len == 0)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("pool '%s' names no source device to make volume group '%s' of"),
                        state->def->name, LOGICAL((CstPoolState *)state)->vg);
    return TRUE;
}

/*
 * An existing group is used and never created anew. A device of another group is never used, with
 * any flags.
 */
static gboolean refuse_member(const CstPoolState *state, const char *path, const GPtrArray *members,
                              GError **error)
{
    for (guint i = 0; i < members->len; i++) {
        const LvmDevice *member = g_ptr_array_index(members, i);

        if (!*member->group)
            continue;
        if (strcmp(member->group, LOGICAL((CstPoolState *)state)->vg) == 0)
            return cst_fail(error, CST_ERROR_POOL_BUILT,
                            _("volume group '%s' exists already; start the pool to use it"),
                            member->group);
        if (cst_device_is_same(member->device, path))
            return cst_fail(error, CST_ERROR_POOL_BUILT,
                            _("device '%s' belongs to volume group '%s'; take it out of there "
                              "(vgreduce, vgremove) before building on it"),
                            path, member->group);
    }
    return TRUE;
}

static gboolean vg_check_devices(const CstPoolState *state, unsigned flags, GError **error)
{
    g_autoptr(GPtrArray) members = lvm_devices_read(error);

    if (!members)
        return FALSE;
    for (guint i = 0; i < state->def->source.devices->len; i++) {
        const char *path = vg_device_path(state, i);

        if (!refuse_member(state, path, members, error) || !cst_device_refuse_used(path, error))
            return FALSE;
        if (!(flags & CST_POOL_BUILD_OVERWRITE) &&
            !cst_device_refuse_content(path, LVM_SIGNATURE, error))
            return FALSE;
    }
    return TRUE;
}

/* Whether the group exists with all devices of the definition. Ignores the tool's result. */
static gboolean vg_has_all_devices(CstPoolState *state)
{
    g_autoptr(LvmGroup) group = logical_group_read(LOGICAL(state), NULL, NULL);

    for (guint i = 0; group && i < state->def->source.devices->len; i++)
        if (!has_device(group, vg_device_path(state, i)))
            return FALSE;
    return group != NULL;
}

/*
 * Removes the physical volumes without a group from our devices, which a failed build or a removed
 * group has left.
 */
static void release_devices(CstPoolState *state)
{
    g_autoptr(GPtrArray) members = lvm_devices_read(NULL);

    for (guint i = 0; members && i < members->len; i++) {
        const LvmDevice *member = g_ptr_array_index(members, i);

        for (guint j = 0; !*member->group && j < state->def->source.devices->len; j++)
            if (cst_device_is_same(member->device, vg_device_path(state, j)))
                logical_change(LOGICAL(state), NULL, NULL, "pvremove", "-y",
                               vg_device_path(state, j), NULL);
    }
}

static gboolean make_group(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    GError *why = NULL;
    gboolean said;

    g_ptr_array_add(argv, (gpointer) "vgcreate");
    g_ptr_array_add(argv, (gpointer) "-y");
    g_ptr_array_add(argv, (gpointer)LOGICAL(state)->vg);
    for (guint i = 0; i < state->def->source.devices->len; i++)
        g_ptr_array_add(argv, (gpointer)vg_device_path(state, i));
    g_ptr_array_add(argv, NULL);
    said = logical_changev(LOGICAL(state), (const char *const *)argv->pdata, NULL, &why);
    /* A complete group is a success, even if the tool failed. */
    if (vg_has_all_devices(state)) {
        g_clear_error(&why);
        return TRUE;
    }
    release_devices(state);
    if (!said) {
        g_propagate_error(error, why);
        return FALSE;
    }
    return cst_fail(error, CST_ERROR_FAILED,
                    _("'vgcreate' claims success, but volume group '%s' is not there"),
                    LOGICAL(state)->vg);
}

gboolean logical_build(CstPoolState *state, unsigned flags, GError **error)
{
    if (!vg_check_build_flags(state, flags, error) || !vg_check_devices(state, flags, error))
        return FALSE;
    for (guint i = 0; i < state->def->source.devices->len; i++)
        if (!cst_device_clear(vg_device_path(state, i), error))
            return FALSE;
    CST_CRASH_POINT("logical.build.cleared");
    return make_group(state, error);
}

/* --- delete ----------------------------------------------------------------------------------- */

/* TRUE if the group no longer exists. FALSE with an error if it exists, or if LVM fails. */
static gboolean group_is_gone(CstPoolState *state, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(LvmGroup) left = logical_group_read(LOGICAL(state), NULL, &why);

    if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return TRUE;
    if (left)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'vgremove' claims success, but volume group '%s' is still there"),
                        LOGICAL(state)->vg);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean logical_destroy(CstPoolState *state, unsigned flags, GError **error)
{
    g_autoptr(LvmGroup) group = NULL;
    g_autoptr(GError) why = NULL;

    if (!cst_flags_check(flags, 0, "virStorageBackendLogicalDeletePool", error))
        return FALSE;
    group = logical_group_read(LOGICAL(state), NULL, error);
    if (!group || !vg_refuse_held(state, group, error))
        return FALSE;
    logical_change(LOGICAL(state), NULL, &why, "vgremove", "-f", LOGICAL(state)->vg, NULL);
    if (!group_is_gone(state, why ? NULL : error)) {
        if (why)
            g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    release_devices(state);
    return TRUE;
}

/* --- discover --------------------------------------------------------------------------------- */

/* Returns the source for @group. Appends a source for the first device of a group. */
static CstPoolSource *source_of(GArray *sources, const char *group)
{
    CstPoolSource source;

    for (guint i = 0; i < sources->len; i++)
        if (strcmp(g_array_index(sources, CstPoolSource, i).name, group) == 0)
            return &g_array_index(sources, CstPoolSource, i);
    cst_pool_source_init(&source, CST_POOL_LOGICAL);
    source.name = g_strdup(group);
    g_array_append_val(sources, source);
    return &g_array_index(sources, CstPoolSource, sources->len - 1);
}

gboolean logical_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error)
{
    g_autoptr(GPtrArray) members = lvm_devices_read(error);

    if (!members)
        return FALSE;
    for (guint i = 0; i < members->len; i++) {
        const LvmDevice *member = g_ptr_array_index(members, i);

        if (*member->group)
            cst_pool_source_add_device(source_of(ret_sources, member->group), member->device);
    }
    return TRUE;
}
