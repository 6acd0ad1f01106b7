/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of existing volumes: delete, wipe (the check), resize. The result of a tool is read from
 * the device or a new report, because its exit status alone is not reliable.
 */
#include "logical.h"

#include <inttypes.h>
#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/units.h>

/* --- delete ----------------------------------------------------------------------------------- */

static gboolean refuse_dependents_of(CstPoolState *state, const LvmGroup *group,
                                     const LvmVolume *lv, GError **error)
{
    g_autofree char *id = logical_volume_id(lv);
    g_autoptr(GPtrArray) children = logical_children_of(state, group, lv);
    g_autoptr(GPtrArray) snapshots = logical_snapshots_of(group, id);

    return children->len + snapshots->len == 0 ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("LVM would remove %u volumes and %u snapshots together with volume '%s'"),
                    children->len, snapshots->len, lv->name);
}

/*
 * The core has already checked this. It is checked again, because "lvremove -f" removes an origin
 * together with its snapshots.
 */
static gboolean refuse_dependents(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(LvmGroup) group = logical_group_cached(LOGICAL(state), error);
    const LvmVolume *lv = group ? logical_find(group, name, error) : NULL;

    return lv && refuse_dependents_of(state, group, lv, error);
}

gboolean logical_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmVolume) plain = NULL;

    if (!cst_flags_check(flags, 0, "virStorageBackendLogicalDeleteVol", error))
        return FALSE;
    plain = logical_plain_now(logical, name);
    if (plain)
        logical_cache_own(logical, name);
    else if (!refuse_dependents(state, name, error))
        return FALSE;
    CST_CRASH_POINT("logical.delete.before");
    if (!logical_remove_lv(logical, name, error))
        return FALSE;
    if (plain)
        logical_cache_account(logical, -(int64_t)plain->size);
    CST_CRASH_POINT("logical.delete.removed");
    return TRUE;
}

/* --- rename ----------------------------------------------------------------------------------- */

/*
 * Returns the length of the longest suffix that LVM appends to the names of the devices below an
 * LV; 0 for a plain LV.
 */
static size_t lv_suffix_len(const LvmGroup *group, const LvmVolume *lv)
{
    size_t len = strlen(lv->name), longest = 0;

    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *part = g_ptr_array_index(group->volumes, i);

        if (part->hidden && strncmp(part->name, lv->name, len) == 0 && part->name[len] == '_')
            longest = MAX(longest, strlen(part->name) - len);
    }
    return longest + (strchr("oOsS", lvm_kind(lv)) ? strlen("-real") : 0);
}

/* Our snapshots refer to the id of the volume. LVM itself updates other snapshots. */
gboolean logical_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                            GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = NULL;
    const LvmVolume *lv, *taken;

    if (!logical_name_check(new_name, error))
        return FALSE;
    group = logical_group_read(logical, NULL, error);
    if (!group)
        return FALSE;
    taken = lvm_group_find(group, new_name);
    lv = logical_find(group, name, taken ? NULL : error);
    if (!lv)
        return taken != NULL; /* it was already renamed */
    if (taken)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", new_name);
    return logical_name_fits(logical, new_name, lv_suffix_len(group, lv), error) &&
           logical_rename_lv(logical, name, new_name, error);
}

/* --- wipe ------------------------------------------------------------------------------------- */

/* A classic snapshot would run out of space and be lost if all of it was written. */
gboolean logical_vol_check_wipe(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(LvmGroup) group = logical_group_cached(LOGICAL(state), error);
    const LvmVolume *lv = group ? logical_find(group, name, error) : NULL;
    g_autofree char *path = logical_device(LOGICAL(state), name);

    if (!lv)
        return FALSE;
    return !lvm_is_cow(lv) ||
           cst_fail(error, CST_ERROR_NO_SUPPORT,
                    _("logical volume '%s' is sparse, volume wipe not supported"), path);
}

/* --- resize ----------------------------------------------------------------------------------- */

/* LVM requires one size for an origin and its classic snapshots. */
static gboolean check_resizable(const LvmVolume *lv, GError **error)
{
    if (lvm_is_cow(lv))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' is a snapshot or sparse: LVM can't change its capacity"),
                        lv->name);
    if (lvm_kind(lv) == 'o' || lvm_kind(lv) == 'O')
        return cst_fail(error, CST_ERROR_BUSY,
                        _("volume '%s' has snapshots, which LVM keeps to its size; delete them "
                          "first"),
                        lv->name);
    return TRUE;
}

/* Whether the device has the size; cheaper than a report. */
static gboolean has_size(LogicalState *state, const char *name, uint64_t size)
{
    g_autoptr(CstBlob) device = logical_open_lv(state, name, FALSE, NULL);
    uint64_t now;

    return device && cst_blob_get_size(device, &now, NULL) && now == size;
}

/*
 * Checks the current size of the LV. @why: the tool's error (NULL: it reported success), which is
 * returned if the size is wrong.
 */
static gboolean lv_check_size(LogicalState *state, const char *name, uint64_t size, GError **why,
                              GError **error)
{
    g_autoptr(LvmGroup) group = NULL;
    const LvmVolume *lv;

    if (!*why && has_size(state, name, size))
        return TRUE;
    group = logical_group_read(state, NULL, error);
    lv = group ? logical_find(group, name, error) : NULL;
    if (!lv)
        return FALSE;
    if (lv->size == size)
        return TRUE;
    if (!*why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("LVM claims to have resized volume '%s', but it has %" PRIu64 " bytes"),
                        name, lv->size);
    g_propagate_error(error, g_steal_pointer(why));
    return FALSE;
}

gboolean logical_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                            GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = logical_group_read(logical, task, error);
    const LvmVolume *lv = group ? logical_find(group, name, error) : NULL;
    g_autofree char *target = logical_target(logical, name);
    g_autofree char *option = NULL;
    g_autoptr(GError) why = NULL;
    uint64_t size;

    if (!lv)
        return FALSE;
    if (capacity == 0 || capacity > G_MAXINT64 - group->extent_size)
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' can't have %" PRIu64 " bytes"),
                        name, capacity);
    /* LVM also rounds up to extents; the check needs the exact size. */
    size = cst_round_up(capacity, group->extent_size);
    if (!check_resizable(lv, error))
        return FALSE;
    if (size == lv->size)
        return TRUE;
    option = lvm_size("-L", size);
    CST_CRASH_POINT("logical.resize.before");
    if (size > lv->size)
        logical_change(logical, task, &why, "lvextend", option, target, NULL);
    else
        logical_change(logical, task, &why, "lvreduce", "-f", option, target, NULL);
    CST_CRASH_POINT("logical.resize.done");
    if (why)
        logical_explain_full(logical, name, &why);
    return lv_check_size(logical, name, size, &why, error);
}
