/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes. The result of a tool is not trusted, and is checked on the storage. If the device's node
 * shows the result, the node is sufficient, because a report takes as long as most changes.
 */
#include "logical.h"

#include <stdarg.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>

/*
 * Marks the report as outdated only after the tool has ended. A report that was begun while the
 * tool ran may or may not have the change. A report from before is valid until then.
 */
gboolean logical_change_within(LogicalState *state, const char *const *argv, unsigned timeout_s,
                               CstTask *task, GError **error)
{
    gboolean done = lvm_output(argv, timeout_s, task, NULL, error);

    logical_cache_invalidate(state);
    return done;
}

gboolean logical_changev(LogicalState *state, const char *const *argv, CstTask *task,
                         GError **error)
{
    return logical_change_within(state, argv, lvm_host.change_s, task, error);
}

gboolean logical_change(LogicalState *state, CstTask *task, GError **error, const char *tool, ...)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *argument;
    va_list args;

    g_ptr_array_add(argv, (gpointer)tool);
    va_start(args, tool);
    do {
        argument = va_arg(args, const char *);
        g_ptr_array_add(argv, (gpointer)argument);
    } while (argument);
    va_end(args);
    return logical_changev(state, (const char *const *)argv->pdata, task, error);
}

/*
 * Checks the node before the removal: an inactive LV has no node, so only a report can show that it
 * was removed.
 */
gboolean logical_remove_lv(LogicalState *state, const char *lv, GError **error)
{
    g_autofree char *target = logical_target(state, lv);
    g_autoptr(GError) why = NULL;
    g_autoptr(LvmGroup) group = NULL;
    struct stat node;
    gboolean had_node = logical_has_node(state, lv, &node);

    if (!logical_change(state, NULL, &why, "lvremove", "-f", target, NULL)) {
        /* As in libvirt: an LV that LVM cannot remove in one step may be removable in two. */
        logical_change(state, NULL, NULL, "lvchange", "-aln", target, NULL);
        g_clear_error(&why);
        logical_change(state, NULL, &why, "lvremove", "-f", target, NULL);
    }
    if (!why && had_node && !logical_has_node(state, lv, &node))
        return TRUE;
    group = logical_group_read(state, NULL, error);
    if (!group)
        return FALSE;
    if (!lvm_group_find(group, lv))
        return TRUE;
    if (!why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'lvremove' claims success, but '%s' is still there"), target);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/*
 * If the new name has the same device and the old name has no device, the rename is verified
 * without a report.
 */
gboolean logical_rename_lv(LogicalState *state, const char *from, const char *to, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(LvmGroup) group = NULL;
    struct stat before, after;
    gboolean had_node = logical_has_node(state, from, &before);

    if (!logical_name_fits(state, to, 0, error))
        return FALSE;
    logical_change(state, NULL, &why, "lvrename", state->vg, from, to, NULL);
    if (!why && had_node && logical_has_node(state, to, &after) && before.st_dev == after.st_dev &&
        before.st_ino == after.st_ino && !logical_has_node(state, from, &after))
        return TRUE;
    group = logical_group_read(state, NULL, error);
    if (!group)
        return FALSE;
    if (!lvm_group_find(group, from) && lvm_group_find(group, to))
        return TRUE;
    if (!why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'lvrename' claims success, but '%s' is still called '%s'"), to, from);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* A node does not show tags, so LVM's exit status is trusted here. */
gboolean logical_change_tag(LogicalState *state, const char *lv, const char *option,
                            const char *tag, GError **error)
{
    g_autofree char *target = logical_target(state, lv);

    return logical_change(state, NULL, error, "lvchange", option, tag, target, NULL);
}
