/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spaces that are extended while guests fill them: the metadata and the data of thin pools, and the
 * space for changes of classic snapshots. The use is read from device-mapper (one ioctl), because a
 * report of LVM takes a process. LVM's tools extend:
 *
 *     lvextend --poolmetadatasize=SIZEk VG/POOL
 *     lvextend -LSIZEk VG/LV
 *
 * The size is absolute, so that two programs that extend the same space do not add two steps.
 * lvextend commits the new size to the group's metadata before it loads the new table. After a
 * crash the space has the old or the new size.
 *
 * dmeventd extends a space if it monitors the LV and lvm.conf has a threshold below 100 percent.
 */
#include "logical.h"

#include <inttypes.h>
#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

/* Size limit of a thin pool's metadata, 15.81 GiB in LVM, without the rest to a full extent. */
#define METADATA_MAX (UINT64_C(15) * CST_GIB + UINT64_C(768) * CST_MIB)
/* The group also provides the spare LV for repairs, which is as large as the metadata. */
#define METADATA_COPIES 2
/* A classic snapshot's table of changes needs 1/256 of the changed bytes. */
#define TABLE_SHARE 256
#define AUTOEXTEND  "_autoextend_threshold="

/* --- dmeventd --------------------------------------------------------------------------------- */

/* The spaces that dmeventd extends. */
typedef struct {
    gboolean thin, snapshots; /* lvm.conf has a threshold below 100 percent for them */
    char *monitored;          /* output of lvs: a line "NAME/STATE" for each LV; NULL: not read */
} Dmeventd;

static void dmeventd_clear(Dmeventd *dmeventd)
{
    g_free(dmeventd->monitored);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Dmeventd, dmeventd_clear)

/* Whether a line NAME_autoextend_threshold=N of lvmconfig has a threshold below 100 percent. */
static gboolean config_extends(const char *config, const char *name)
{
    g_autofree char *key = g_strconcat(name, AUTOEXTEND, NULL);
    const char *found = strstr(config, key);

    return found && g_ascii_strtoull(found + strlen(key), NULL, 10) < 100;
}

/* A tool that fails leaves the spaces to Cistern. */
static void dmeventd_read(const LogicalState *state, Dmeventd *ret_dmeventd)
{
    static const char *const config[] = {"lvmconfig", "--type", "full", "activation", NULL};
    const char *const monitored[] = {"lvs", "--noheadings",        "--separator", "/",
                                     "-o",  "lv_name,seg_monitor", state->vg,     NULL};
    g_autofree char *text = NULL;

    if (!lvm_host.dmeventd_runs() || !lvm_output(config, lvm_host.report_s, NULL, &text, NULL))
        return;
    ret_dmeventd->thin = config_extends(text, "thin_pool");
    ret_dmeventd->snapshots = config_extends(text, "snapshot");
    if ((ret_dmeventd->thin || ret_dmeventd->snapshots) &&
        !lvm_output(monitored, lvm_host.report_s, NULL, &ret_dmeventd->monitored, NULL))
        g_clear_pointer(&ret_dmeventd->monitored, g_free);
}

static gboolean dmeventd_extends(const Dmeventd *dmeventd, const LvmVolume *lv)
{
    g_autofree char *wanted = g_strconcat(lv->name, "/monitored", NULL);
    g_auto(GStrv) lines = NULL;

    if (!dmeventd->monitored || !(lvm_is_cow(lv) ? dmeventd->snapshots : dmeventd->thin))
        return FALSE;
    lines = g_strsplit(dmeventd->monitored, "\n", -1);
    for (char **line = lines; *line; line++)
        if (strcmp(g_strstrip(*line), wanted) == 0)
            return TRUE;
    return FALSE;
}

/* --- the list --------------------------------------------------------------------------------- */

/* Returns "VOLUME@SNAPSHOT" for our snapshot @lv, else the name of the LV. */
static char *growth_label(const LvmGroup *group, const LvmVolume *lv)
{
    const LvmVolume *volume = lvm_is_cow(lv) ? logical_volume_of_snapshot(group, lv) : NULL;
    g_autofree char *name = volume ? logical_tag_value(lv, "snap") : NULL;

    return name ? g_strdup_printf("%s@%s", volume->name, name) : g_strdup(lv->name);
}

static CstGrowth *growth_add(const LvmGroup *group, const LvmVolume *lv, CstGrowthKind kind,
                             uint64_t size, int percent, GPtrArray *growths)
{
    g_autofree char *label = growth_label(group, lv);
    CstGrowth *growth = cst_growth_new(kind, lv->name, label);

    growth->size = size;
    growth->used = lvm_part(size, percent);
    growth->unit = group->extent_size;
    g_ptr_array_add(growths, growth);
    return growth;
}

static void growths_add_thin_pool(const LvmGroup *group, const LvmVolume *lv, gboolean by_system,
                                  GPtrArray *growths)
{
    CstGrowth *metadata =
        growth_add(group, lv, CST_GROWTH_METADATA, lv->metadata_size, lv->metadata, growths);
    CstGrowth *data = growth_add(group, lv, CST_GROWTH_DATA, lv->size, lv->data, growths);

    metadata->limit = METADATA_MAX;
    metadata->copies = METADATA_COPIES;
    metadata->by_system = data->by_system = by_system;
}

static void growths_add_snapshot(const LvmGroup *group, const LvmVolume *lv, gboolean by_system,
                                 GPtrArray *growths)
{
    const LvmVolume *origin = lvm_group_origin(group, lv);
    CstGrowth *growth = growth_add(group, lv, CST_GROWTH_SNAPSHOT, lv->size, lv->data, growths);

    growth->by_system = by_system;
    if (origin)
        growth->limit = cst_round_up(origin->size + origin->size / TABLE_SHARE, group->extent_size);
}

gboolean logical_growths(CstPoolState *state, gboolean now, GPtrArray *growths, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = now ? NULL : logical_group_last(logical);
    g_auto(Dmeventd) dmeventd = {0};
    CstGrowth *whole;

    if (!group)
        group = logical_group_read(logical, NULL, error);
    if (!group)
        return FALSE;
    if (now)
        dmeventd_read(logical, &dmeventd);
    whole = cst_growth_new(CST_GROWTH_GROUP, group->name, group->name);
    whole->size = group->size;
    whole->used = group->size - group->free;
    whole->unit = group->extent_size;
    g_ptr_array_add(growths, whole);
    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);
        gboolean by_system = dmeventd_extends(&dmeventd, lv);

        if (!lvm_is_active(lv))
            continue;
        if (logical_is_thin_pool(lv))
            growths_add_thin_pool(group, lv, by_system, growths);
        else if (lvm_is_cow(lv) && !lvm_is_lost(lv))
            growths_add_snapshot(group, lv, by_system, growths);
    }
    return TRUE;
}

/* --- the use ---------------------------------------------------------------------------------- */

/* Sets the use from "USED/TOTAL", in units of any size. */
static gboolean growth_set_use(CstGrowth *growth, const char *text)
{
    char *end = NULL;
    guint64 used = g_ascii_strtoull(text, &end, 10), total = 0;

    if (end == text || *end != '/' || !g_ascii_isdigit(end[1]))
        return FALSE;
    total = g_ascii_strtoull(end + 1, NULL, 10);
    if (total == 0 || used > total)
        return FALSE;
    growth->used = (uint64_t)((double)growth->size * ((double)used / (double)total));
    return TRUE;
}

/*
 * The status of a thin pool is "thin-pool TRANSACTION METADATA DATA …", that of a snapshot
 * "snapshot USED …". Both have a word in place of the numbers if they do not work.
 */
gboolean logical_growth_use(CstPoolState *state, CstGrowth *growth, GError **error)
{
    gboolean is_snapshot = growth->kind == CST_GROWTH_SNAPSHOT;
    g_autofree char *path =
        lvm_layer_path(LOGICAL(state)->vg, growth->name, is_snapshot ? "" : "-tpool");
    guint at = is_snapshot ? 1 : growth->kind == CST_GROWTH_METADATA ? 2 : 3;
    g_autofree char *status = NULL;
    g_auto(GStrv) words = NULL;

    if (growth->kind == CST_GROWTH_GROUP)
        return TRUE;
    if (!lvm_host.status(path, &status, error))
        return FALSE;
    words = g_strsplit(status, " ", -1);
    if (g_strv_length(words) > at &&
        strcmp(words[0], is_snapshot ? "snapshot" : "thin-pool") == 0 &&
        growth_set_use(growth, words[at]))
        return TRUE;
    return cst_fail(error, CST_ERROR_STATE, _("'%s' does not report its use: '%s'"), growth->label,
                    status);
}

/* --- extension -------------------------------------------------------------------------------- */

gboolean logical_grow(CstPoolState *state, const CstGrowth *growth, uint64_t size, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    gboolean is_metadata = growth->kind == CST_GROWTH_METADATA;
    g_autofree char *target = logical_target(logical, growth->name);
    g_autofree char *option = lvm_size(is_metadata ? "--poolmetadatasize=" : "-L", size);
    g_autoptr(LvmGroup) group = NULL;
    g_autoptr(GError) why = NULL;
    const LvmVolume *lv;
    uint64_t reached;

    CST_CRASH_POINT("logical.grow.before");
    logical_change(logical, NULL, &why, "lvextend", option, target, NULL);
    CST_CRASH_POINT("logical.grow.done");
    group = logical_group_read(logical, NULL, error);
    if (!group)
        return FALSE;
    lv = lvm_group_find(group, growth->name);
    if (!lv)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no LV '%s' any more"), target);
    reached = is_metadata ? lv->metadata_size : lv->size;
    /* LVM limits the size of a snapshot to the size that all changes of its origin need. */
    if (reached >= size || (growth->kind == CST_GROWTH_SNAPSHOT && reached > growth->size))
        return TRUE;
    if (!why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'lvextend' claims success, but '%s' has only %" PRIu64 " bytes"), target,
                        reached);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}
