/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flattening: a draft of the same size and kind gets the volume's content, and then its name
 * (swap.c). The volume must not be open. The core checks this at the start, and the swap checks it
 * again. The write count of the device detects a writer in between. On a failure or a cancellation
 * the draft is dropped. After a crash, drop_drafts drops it or completes the swap. The core has
 * claimed the volume.
 */
#include "logical.h"

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/uuid.h>

/*
 * Makes a draft of the same size and kind that shares no content. The tag "id" keeps the volume's
 * snapshots assigned to it.
 */
static gboolean reserve_like(CstPoolState *state, const LvmGroup *group, const LvmVolume *lv,
                             CstVolDraft *draft, GError **error)
{
    g_autoptr(CstVolDef) def = cst_vol_def_new();
    g_autofree char *id = logical_volume_id(lv);
    g_autofree char *tag = logical_tag("id", id);
    g_autofree char *name = cst_draft_name(draft->token);

    def->type = CST_VOL_BLOCK;
    def->name = g_strdup_printf("%s.flat", lv->name);
    def->capacity = def->allocation = logical_capacity(group, lv);
    cst_options_add(&def->options, "thin", lvm_is_thin(lv) ? "yes" : "no");
    if (lv->pool)
        cst_options_add(&def->options, "thin-pool", lv->pool);
    return logical_reserve_hidden(LOGICAL(state), def, draft, error) &&
           logical_change_tag(LOGICAL(state), name, "--addtag", tag, error);
}

static gboolean lv_copy_content(LogicalState *state, const char *name, const CstVolDraft *draft,
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
    g_autoptr(LvmGroup) group = logical_group_read(logical, task, error);
    const LvmVolume *lv = group ? logical_find(group, name, error) : NULL;
    g_auto(CstVolDraft) draft = {0};
    g_autofree char *draft_name = NULL;
    char token[CST_UUID_TEXT_LEN];
    g_autofree char *path = logical_device(logical, name);
    uint64_t writes;
    CstUuid uuid;

    if (!lv)
        return FALSE;
    if (!lv->origin)
        return TRUE; /* shares no content */
    writes = cst_device_count_writes(path);
    cst_uuid_generate(&uuid);
    draft.token = g_strdup(cst_uuid_format(&uuid, token));
    draft_name = cst_draft_name(draft.token);
    if (reserve_like(state, group, lv, &draft, error) &&
        lv_copy_content(logical, name, &draft, task, error) &&
        cst_device_refuse_written(path, name, writes, error)) {
        CST_CRASH_POINT("logical.flatten.copied");
        /* Close it before the swap, because LVM refuses the swap while the LV is open. */
        g_clear_pointer(&draft.blob, cst_blob_unref);
        if (logical_swap_in(logical, name, draft_name, error))
            return TRUE;
    }
    g_clear_pointer(&draft.blob, cst_blob_unref);
    logical_vol_abandon(state, draft.token, NULL);
    return FALSE;
}
