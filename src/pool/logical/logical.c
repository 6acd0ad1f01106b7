/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's table, in the layer above the files that do the work, and the lifecycle of a pool's
 * state. From its start on, the pool identifies the group by its UUID. Each call refuses another
 * group of the same name (cache.c).
 */
#include "logical.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* LVM's UUID of an LV: 6-4-4-4-4-4-6 characters. */
#define LV_UUID_LEN 38

static void logical_state_free(CstPoolState *state)
{
    LogicalState *logical = LOGICAL(state);

    logical_cache_clear(&logical->cache);
    logical_options_clear(&logical->options);
    g_free(logical->uuid);
    cst_pool_def_free(state->def);
    g_free(logical);
}

static CstPoolState *logical_open(const CstPoolDef *def, GError **error)
{
    LogicalState *logical = g_new0(LogicalState, 1);

    logical_cache_init(&logical->cache);
    logical->head.def = cst_pool_def_copy(def);
    logical->vg = logical->head.def->source.name;
    if (logical_name_check(logical->vg, error) &&
        logical_options_read(def, &logical->options, error))
        return &logical->head;
    logical_state_free(&logical->head);
    return NULL;
}

static gboolean logical_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    int64_t taken = 0;
    g_autoptr(LvmGroup) group = logical_group_estimate(LOGICAL(state), &taken, &ret_usage->until);

    if (!group)
        group = logical_group_cached(LOGICAL(state), error);
    if (!group)
        return FALSE;
    /* Other programs' changes may have left less space than computed. */
    ret_usage->capacity = group->size;
    ret_usage->available = (uint64_t)CLAMP((int64_t)group->free - taken, 0, (int64_t)group->size);
    ret_usage->allocation = group->size - ret_usage->available;
    return TRUE;
}

/*
 * A key is the UUID of an LV, which is looked up in the last report. A path follows from the name.
 */
static char *logical_vol_resolve(CstPoolState *state, const char *path)
{
    const char *target = state->def->target_path;
    size_t len = strlen(target);

    if (path[0] != '/')
        return strlen(path) == LV_UUID_LEN ? logical_name_of_uuid(LOGICAL(state), path) : NULL;
    if (strncmp(path, target, len) != 0 || path[len] != '/' || !path[len + 1] ||
        strchr(path + len + 1, '/') || cst_draft_is_hidden(path + len + 1))
        return NULL;
    return g_strdup(path + len + 1);
}

/* --- identity --------------------------------------------------------------------------------- */

static char *logical_identity(CstPoolState *state, GError **error)
{
    g_autoptr(LvmGroup) group = logical_group_cached(LOGICAL(state), error);

    return group ? g_strdup_printf("vg=%s\n", group->uuid) : NULL;
}

/*
 * A start accepts another group of the name (restored, or created anew). From then on it expects
 * the UUID of that group.
 */
static gboolean logical_expect(CstPoolState *state, const char *recorded, gboolean starting,
                               GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = NULL;

    g_clear_pointer(&logical->uuid, g_free);
    if (starting) {
        group = logical_group_cached(logical, error);
        logical->uuid = group ? g_strdup(group->uuid) : NULL;
        return group != NULL;
    }
    if (recorded && g_str_has_prefix(recorded, "vg="))
        logical->uuid = g_strchomp(g_strdup(recorded + strlen("vg=")));
    return TRUE;
}

const CstBackend cst_logical_backend = {
    .type = CST_POOL_LOGICAL,
    .flattens_at_rest = TRUE,
    .drafts_by_intent = TRUE,
    .keeps_trash = TRUE,
    .reserved_prefix = CST_HIDDEN_PREFIX,
    .open = logical_open,
    .close = logical_state_free,
    .check = logical_check,
    .check_touches = TRUE,
    .touch = logical_touch,
    .scan = logical_scan,
    .scan_one = logical_scan_one,
    .usage = logical_usage,
    .vol_identity = logical_vol_identity,
    .vol_path = logical_vol_path,
    .vol_resolve = logical_vol_resolve,
    .build = logical_build,
    .start = logical_start,
    .stop = logical_stop,
    .destroy = logical_destroy,
    .drop_drafts = logical_drop_drafts,
    .identity = logical_identity,
    .expect = logical_expect,
    .discover = logical_discover,
    .vol_make = logical_vol_make,
    .vol_reserve = logical_vol_reserve,
    .vol_commit = logical_vol_commit,
    .vol_abandon = logical_vol_abandon,
    .vol_delete = logical_vol_delete,
    .vol_rename = logical_vol_rename,
    .vol_check_wipe = logical_vol_check_wipe,
    .vol_open = logical_vol_open,
    .vol_resize = logical_vol_resize,
    .vol_reserve_clone = logical_vol_reserve_clone,
    .vol_holders = logical_vol_holders,
    .vol_children = logical_vol_children,
    .vol_flatten = logical_vol_flatten,
    .thin = logical_thin,
    .space_usage = logical_space_usage,
    .growths = logical_growths,
    .growth_use = logical_growth_use,
    .grow = logical_grow,
    .snapshots = &logical_snapshots,
    .watch_open = logical_watch_open,
    .watch_read = logical_watch_read,
};
