/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logical.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/uuid.h>

/*
 * One LV takes another's name: the old one steps aside under a hidden name, with a tag that tells
 * which volume it was; the new one takes the name; the old one goes. Killed in between, the next
 * start sees which step was the last: while nobody has the name, the old one gets it back.
 */

static gboolean change_tag(LogicalState *state, const char *lv, const char *option, const char *tag,
                           GError **error)
{
    g_autofree char *target = logical_target(state, lv);

    logical_changed(state);
    return lvm_change(NULL, error, "lvchange", option, tag, target, NULL);
}

/* The name's owner and mode go over to whoever has it next. */
static void copy_owner(const struct stat *from, const char *path)
{
    g_auto(CstFd) fd = cst_node_open(path, O_RDONLY);

    if (fd < 0 || fchown(fd, from->st_uid, from->st_gid) < 0 ||
        fchmod(fd, from->st_mode & 07777) < 0)
        cst_log(CST_LOG_WARNING, "cannot give '%s' the owner it had", path);
}

gboolean logical_swap_in(LogicalState *state, const char *name, const char *draft, GError **error)
{
    g_autofree char *path = logical_device(state, name);
    g_autofree char *old = logical_old_name(draft);
    g_autofree char *was = logical_tag("was", name);
    struct stat owner;

    if (!cst_node_stat(path, &owner))
        return cst_fail(error, CST_ERROR_STATE, _("device '%s' is not there"), path);
    if (!change_tag(state, name, "--addtag", was, error))
        return FALSE;
    CST_CRASH_POINT("logical.swap.tagged");
    if (!logical_rename_lv(state, name, old, error))
        return FALSE;
    CST_CRASH_POINT("logical.swap.aside");
    if (!logical_rename_lv(state, draft, name, error)) {
        logical_rename_lv(state, old, name, NULL);
        return FALSE;
    }
    CST_CRASH_POINT("logical.swap.in");
    copy_owner(&owner, path);
    return logical_remove_lv(state, old, error);
}

gboolean logical_swap_recover(LogicalState *state, const LvmGroup *group, const LvmVolume *old,
                              GError **error)
{
    g_autofree char *name = logical_tag_value(old, "was");

    if (!name || !logical_name_check(name, error))
        return FALSE;
    if (lvm_group_find(group, name))
        return logical_remove_lv(state, old->name, error);
    return logical_rename_lv(state, old->name, name, error);
}

/* --- flatten ---------------------------------------------------------------------------------- */

/* A draft of the same size and kind that shares nothing, and keeps the volume's snapshots. */
static gboolean reserve_like(CstPoolState *state, const LvmGroup *group, const LvmVolume *lv,
                             CstVolDraft *draft, GError **error)
{
    g_autoptr(CstVolDef) def = cst_vol_def_new();
    g_autofree char *id = logical_volume_id(lv);
    g_autofree char *tag = logical_tag("id", id);
    g_autofree char *name = logical_draft_name(draft->token);

    def->type = CST_VOL_BLOCK;
    def->name = g_strdup_printf("%s.flat", lv->name);
    def->capacity = def->allocation = logical_capacity(group, lv);
    cst_options_add(&def->options, "thin", lvm_is_thin(lv) ? "yes" : "no");
    if (lv->pool)
        cst_options_add(&def->options, "thin-pool", lv->pool);
    return logical_vol_reserve(state, def, draft, error) &&
           change_tag(LOGICAL(state), name, "--addtag", tag, error);
}

static gboolean copy_content(LogicalState *state, const char *name, const CstVolDraft *draft,
                             CstTask *task, GError **error)
{
    g_autoptr(CstBlob) from = logical_open_lv(state, name, FALSE, error);
    uint64_t size = 0;

    if (!from || !cst_blob_get_size(from, &size, error))
        return FALSE;
    cst_task_set_total(task, size);
    return cst_blob_copy(from, 0, draft->blob, 0, size, draft->zeroed ? CST_COPY_DST_ZERO : 0, task,
                         error) &&
           cst_blob_flush(draft->blob, error);
}

gboolean logical_vol_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = logical_look(logical, task, error);
    const LvmVolume *lv = group ? logical_find(group, name, error) : NULL;
    g_auto(CstVolDraft) draft = {0};
    g_autofree char *draft_name = NULL;
    char token[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    if (!lv)
        return FALSE;
    if (!lv->origin)
        return TRUE; /* on its own already */
    cst_uuid_generate(&uuid);
    draft.token = g_strdup(cst_uuid_format(&uuid, token));
    draft_name = logical_draft_name(draft.token);
    if (reserve_like(state, group, lv, &draft, error) &&
        copy_content(logical, name, &draft, task, error)) {
        CST_CRASH_POINT("logical.flatten.copied");
        g_clear_pointer(&draft.blob, cst_blob_unref);
        if (logical_swap_in(logical, name, draft_name, error))
            return TRUE;
    }
    g_clear_pointer(&draft.blob, cst_blob_unref);
    logical_vol_abandon(state, draft.token, NULL);
    return FALSE;
}
