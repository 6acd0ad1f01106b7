/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An LV replaces another LV under its name, in steps that a crash may interrupt at any point:
 *
 * - the old LV gets a tag with its name ("was");
 * - it is renamed to a hidden name, so that for a short time no LV has the name;
 * - the draft is renamed to the name;
 * - the old LV is removed.
 *
 * A process that has the old LV open would keep writing to a removed LV. So the old LV must not be
 * open. This is checked before the first step, and again after the old LV was renamed, because it
 * cannot be opened by its name any more. If it is open then, it gets its name back.
 *
 * The next start detects the last step. If no LV has the name, the old LV gets it back; otherwise
 * the old LV is removed.
 */
#include "logical.h"

#include <string.h>
#include <sys/stat.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

gboolean logical_refuse_held(LogicalState *state, const char *lv, const char *volume,
                             GError **error)
{
    g_autofree char *path = logical_device(state, lv);

    return cst_device_refuse_held(path, volume, error);
}

/*
 * Undoes a swap before the draft got the name. The old LV, with the current name @lv, becomes @name
 * again, without the tag. If the tag was kept, a recovery would later rename the LV back to this
 * name, after it was renamed by a user.
 */
static void swap_undo(LogicalState *state, const char *lv, const char *name, const char *tag)
{
    CST_TEST_POINT("logical.swap.undo");
    if (strcmp(lv, name) != 0)
        logical_rename_lv(state, lv, name, NULL);
    logical_change_tag(state, name, "--deltag", tag, NULL);
}

gboolean logical_swap_in(LogicalState *state, const char *name, const char *draft, GError **error)
{
    g_autofree char *path = logical_device(state, name);
    g_autofree char *old = cst_draft_old_name(draft);
    g_autofree char *was = logical_tag("was", name);
    g_autoptr(GError) why = NULL;
    struct stat owner;

    /* Before any change: an inactive volume cannot be swapped. */
    if (!cst_node_stat(path, &owner))
        return cst_fail(error, CST_ERROR_STATE, _("device '%s' is not there"), path);
    if (!logical_refuse_held(state, name, name, error))
        return FALSE;
    if (!logical_change_tag(state, name, "--addtag", was, error)) {
        swap_undo(state, name, name, was);
        return FALSE;
    }
    CST_CRASH_POINT("logical.swap.tagged");
    if (!logical_rename_lv(state, name, old, error)) {
        swap_undo(state, name, name, was);
        return FALSE;
    }
    CST_CRASH_POINT("logical.swap.aside");
    if (!logical_refuse_held(state, old, name, error) ||
        !logical_rename_lv(state, draft, name, error)) {
        swap_undo(state, old, name, was);
        return FALSE;
    }
    CST_CRASH_POINT("logical.swap.in");
    cst_device_copy_owner(&owner, path);
    /* The volume is replaced, so this is not a failure; the next start tries again. */
    if (!logical_remove_lv(state, old, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", state->head.def->name, why->message);
    return TRUE;
}

/* The tag is ours, but any user with access to LVM can change it, so the name is checked. */
gboolean logical_swap_recover(LogicalState *state, const LvmGroup *group, const LvmVolume *old,
                              GError **error)
{
    g_autofree char *name = logical_tag_value(old, "was");

    if (!name)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("cannot recover logical volume '%s': its tag with the former name is "
                          "missing; rename the volume or remove it"),
                        old->name);
    if (!logical_name_check(name, error))
        return FALSE;
    if (lvm_group_find(group, name))
        return logical_remove_lv(state, old->name, error);
    return logical_rename_lv(state, old->name, name, error);
}
