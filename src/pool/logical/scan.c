/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes the records of the volumes, from one report and from the device nodes. The location of an
 * LV is resolved through its parts (RAID, mirrors), which are LVs themselves. A report with a cycle
 * of parts is refused.
 *
 * A scan collects all records first, and passes them on only after the whole report was checked.
 */
#include "logical.h"

#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>

/* Maximum nesting of the parts of an LV. Deeper nesting is refused as a cycle. */
#define PART_DEPTH_MAX 6

/* --- location on devices ---------------------------------------------------------------------- */

typedef struct {
    const LvmGroup *group;
    CstVolDef *into; /* collects the extents */
    gboolean missing;
} Mapping;

static gboolean map_lv(Mapping *mapping, const LvmVolume *lv, unsigned depth, GError **error);

/* Parses one piece of a segment: "/dev/sda(12)" or "name_rimage_0(0)". */
static gboolean map_piece(Mapping *mapping, const char *piece, uint64_t size, unsigned depth,
                          GError **error)
{
    const char *open = strrchr(piece, '(');
    g_autofree char *where = open ? g_strndup(piece, (gsize)(open - piece)) : NULL;
    g_autofree char *number = open ? g_strdup(open + 1) : NULL;
    const LvmVolume *part;
    guint64 extent;

    if (number && g_str_has_suffix(number, ")"))
        number[strlen(number) - 1] = '\0';
    if (!number || !g_ascii_string_to_unsigned(
                       number, 10, 0, G_MAXINT64 / mapping->group->extent_size, &extent, NULL))
        return cst_fail(error, CST_ERROR_CORRUPT, _("LVM reports an invalid place: '%s'"), piece);
    if (where[0] == '/') {
        uint64_t start = extent * mapping->group->extent_size;

        cst_vol_def_add_extent(mapping->into, where, start, start + size);
        return TRUE;
    }
    part = lvm_group_find(mapping->group, where);
    if (part)
        return map_lv(mapping, part, depth + 1, error);
    mapping->missing = TRUE; /* "[unknown]" */
    return TRUE;
}

static gboolean map_segment(Mapping *mapping, const LvmSegment *segment, unsigned depth,
                            GError **error)
{
    g_auto(GStrv) pieces = g_strsplit(segment->devices, ",", -1);
    guint count = g_strv_length(pieces);
    /* Stripes share the segment. In other segments the pieces are LVs with a size of their own. */
    uint64_t size = count > 0 ? segment->size / count : 0;

    for (guint i = 0; i < count; i++)
        if (*pieces[i] && !map_piece(mapping, pieces[i], size, depth, error))
            return FALSE;
    return TRUE;
}

/* Adds the extents of @lv, a part at @depth, to the mapping. */
static gboolean map_lv(Mapping *mapping, const LvmVolume *lv, unsigned depth, GError **error)
{
    if (depth > PART_DEPTH_MAX)
        return cst_fail(error, CST_ERROR_CORRUPT, _("the parts of LV '%s' go round in circles"),
                        lv->name);
    for (guint i = 0; i < lv->segments->len; i++)
        if (!map_segment(mapping, g_ptr_array_index(lv->segments, i), depth, error))
            return FALSE;
    return TRUE;
}

/* Moves the extents to the record. A missing device is a problem of the volume. */
static gboolean map_extents(const LvmGroup *group, const LvmVolume *lv, CstVolumeExtra *extra,
                            GError **error)
{
    g_autoptr(CstVolDef) into = cst_vol_def_new();
    Mapping mapping = {.group = group, .into = into};

    if (!map_lv(&mapping, lv, 0, error))
        return FALSE;
    extra->extents = g_steal_pointer(&into->extents);
    if (mapping.missing && !extra->problem)
        extra->problem = g_strdup(_("a device of the volume group is missing"));
    return TRUE;
}

/* --- records ---------------------------------------------------------------------------------- */

/* The allocation of a thin volume is the space that it uses in its pool. */
static void volume_set_thin_options(const LvmVolume *lv, CstVolume *volume, CstVolumeExtra *extra)
{
    char percent[16];

    cst_options_add(&extra->options, "thin", "yes");
    if (lv->pool)
        cst_options_add(&extra->options, "thin-pool", lv->pool);
    if (lv->data == LVM_PERCENT_UNKNOWN)
        return;
    g_snprintf(percent, sizeof(percent), "%d.%02d", lv->data / 100, lv->data % 100);
    cst_options_add(&extra->options, "data-percent", percent);
    volume->allocation = lvm_part(lv->size, lv->data);
}

static CstVolume *lv_to_volume(LogicalState *state, const LvmGroup *group, const LvmVolume *lv,
                               GError **error)
{
    g_autoptr(CstVolume) volume = cst_volume_new(lv->name);
    CstVolumeExtra *extra = cst_volume_extra(volume);
    g_autofree char *path = logical_device(state, lv->name);

    volume->type = CST_VOL_BLOCK;
    volume->format = "raw";
    volume->capacity = volume->physical = logical_capacity(group, lv);
    volume->allocation = lv->size;
    volume->btime_ns = 0;
    cst_device_take_node(volume, path);
    extra->key = g_strdup(lv->uuid);
    if (lv->origin && cst_device_name_is_volume(lv->origin)) {
        extra->backing_path = g_strdup_printf("%s/%s", state->head.def->target_path, lv->origin);
        extra->backing_format = g_strdup("raw");
        extra->backing_trust = CST_TRUST_NAMED;
    }
    if (lvm_is_thin(lv))
        volume_set_thin_options(lv, volume, extra);
    if (lvm_is_lost(lv))
        extra->problem = g_strdup(_("more was written than the snapshot has room for; it is lost"));
    return map_extents(group, lv, extra, error) ? g_steal_pointer(&volume) : NULL;
}

gboolean logical_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    g_autoptr(LvmGroup) group = logical_group_read(LOGICAL(state), task, error);
    g_autoptr(GHashTable) drafts = group ? cst_pool_state_drafts(state, error) : NULL;
    g_autoptr(GPtrArray) volumes = g_ptr_array_new_with_free_func((GDestroyNotify)cst_volume_unref);

    if (!drafts)
        return FALSE;
    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(group->volumes, i);
        CstVolume *volume;

        if (!logical_is_shown(lv) || logical_is_draft(LOGICAL(state), drafts, lv))
            continue;
        volume = lv_to_volume(LOGICAL(state), group, lv, error);
        if (!volume)
            return FALSE;
        g_ptr_array_add(volumes, cst_device_newest(scan->known(lv->name, scan->data), volume));
    }
    /* Only now, because an error above must not change the core's table. */
    for (guint i = 0; i < volumes->len; i++)
        scan->sink(cst_volume_ref(g_ptr_array_index(volumes, i)), scan->data);
    return TRUE;
}

/*
 * Returns a report with LV @name, which has a node. If the cached report lacks the LV, it is older
 * than the node, so a new report is read.
 */
static LvmGroup *group_with(LogicalState *state, const char *name, GError **error)
{
    LvmGroup *group = logical_group_cached(state, error);

    if (!group || lvm_group_find(group, name))
        return group;
    lvm_group_unref(group);
    return logical_group_read(state, NULL, error);
}

/*
 * Looks up @name in a report; in a new report if @name may be a draft's. *ret_lv stays NULL if it
 * is not a volume.
 */
static LvmGroup *lv_find_in_report(LogicalState *state, const char *name, gboolean fresh,
                                   const LvmVolume **ret_lv, GError **error)
{
    g_autoptr(LvmGroup) group =
        fresh ? logical_group_read(state, NULL, error) : group_with(state, name, error);
    const LvmVolume *lv = group ? lvm_group_find(group, name) : NULL;
    g_autoptr(GHashTable) drafts = group ? cst_pool_state_drafts(&state->head, error) : NULL;

    if (!drafts)
        return NULL;
    if (lv && logical_is_shown(lv) && !logical_is_draft(state, drafts, lv))
        *ret_lv = lv;
    return g_steal_pointer(&group);
}

/*
 * Finds the LV @name in the kernel's table (*ret_plain) or in a report. In both cases the drafts
 * are read afterwards. If the LV is not in this list, it was not a draft before either, or was
 * removed.
 */
static LvmGroup *lv_find_by_name(LogicalState *state, const char *name, LvmVolume **ret_plain,
                                 const LvmVolume **ret_lv, GError **error)
{
    g_autoptr(LvmVolume) plain = logical_plain_now(state, name);
    g_autoptr(GHashTable) drafts = cst_pool_state_drafts(&state->head, error);
    gboolean may_be_draft = drafts && logical_may_be_draft(drafts, name);
    struct stat node;

    if (!drafts)
        return NULL;
    if (!plain || may_be_draft)
        return lv_find_in_report(state, name, may_be_draft, ret_lv, error);
    if (logical_has_node(state, name, &node))
        *ret_lv = *ret_plain = g_steal_pointer(&plain);
    return logical_group_last(state);
}

/*
 * Finds a volume in the trash. An inactive LV has no node, so only a new report shows that it was
 * removed.
 */
static LvmGroup *lv_find_in_trash(LogicalState *state, const char *name, const LvmVolume **ret_lv,
                                  GError **error)
{
    LvmGroup *group = logical_group_cached(state, error);
    struct stat node;

    if (group && !(lvm_group_find(group, name) && logical_has_node(state, name, &node))) {
        lvm_group_unref(group);
        group = logical_group_read(state, NULL, error);
    }
    *ret_lv = group ? lvm_group_find(group, name) : NULL;
    if (*ret_lv && !logical_is_trashed(*ret_lv))
        *ret_lv = NULL;
    return group;
}

gboolean logical_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error)
{
    gboolean trashed = cst_name_is_trash(name);
    g_autoptr(LvmVolume) plain = NULL;
    g_autoptr(LvmGroup) group = NULL;
    const LvmVolume *lv = NULL;
    CstVolume *volume;
    struct stat node;

    *ret_volume = NULL;
    if (!trashed && !logical_has_node(LOGICAL(state), name, &node))
        return TRUE; /* inactive LVs are not shown */
    group = trashed ? lv_find_in_trash(LOGICAL(state), name, &lv, error)
                    : lv_find_by_name(LOGICAL(state), name, &plain, &lv, error);
    if (!group)
        return FALSE;
    if (!lv)
        return TRUE;
    volume = lv_to_volume(LOGICAL(state), group, lv, error);
    if (!volume)
        return FALSE;
    *ret_volume = cst_device_newest(known ? cst_volume_ref(known) : NULL, volume);
    return TRUE;
}

/* The identity is the LV's UUID. */
char *logical_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error)
{
    return g_strdup(volume->extra->key);
}
