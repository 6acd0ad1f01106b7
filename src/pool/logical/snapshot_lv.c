/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The LV of a snapshot: its name, its tags, and the command that creates it.
 *
 * A snapshot is an LV with a hidden name. All its properties are in its tags: "of" (the volume's
 * id), "snap" (its name), "at" (its time), and "consistency" (the record of its consistency, if it
 * has one). LVM does not copy tags to an LV that is made from another LV. A thin snapshot has no
 * size. A classic snapshot has a size, and is lost if more of the volume is overwritten than fits.
 */
#include "logical.h"

#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>

gboolean logical_snapshot_check(const LogicalLookup *found, const char *volume, const char *name,
                                GError **error)
{
    if (found->snapshot)
        return cst_fail_snapshot_exists(volume, name, error);
    if (!lvm_is_cow(found->volume))
        return TRUE;
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("volume '%s' is itself a snapshot or sparse; LVM takes snapshots of such "
                      "volumes only if they are thin"),
                    volume);
}

char **logical_snapshot_tags(const char *id, const char *name, int64_t taken_us, const char *record)
{
    g_autoptr(GStrvBuilder) tags = g_strv_builder_new();
    g_autofree char *time = g_strdup_printf("%" PRId64 ".%06" PRId64, taken_us / G_USEC_PER_SEC,
                                            taken_us % G_USEC_PER_SEC);
    g_autofree char *of = logical_tag("of", id);
    g_autofree char *snap = logical_tag("snap", name);
    g_autofree char *when = logical_tag("at", time);
    g_autofree char *consistency = record ? logical_tag(LOGICAL_RECORD_TAG, record) : NULL;

    g_strv_builder_add_many(tags, of, snap, when, consistency, NULL);
    return g_strv_builder_end(tags);
}

uint64_t logical_snapshot_room(const LogicalState *state, const CstSnapshotCreate *how,
                               const LvmVolume *volume)
{
    if (lvm_is_thin(volume))
        return 0;
    if (how && (how->limit || how->room))
        return how->limit ? how->limit : how->room;
    if (state->options.snapshot_bytes)
        return state->options.snapshot_bytes;
    return MAX(volume->size / 100 * state->options.snapshot_percent, 1);
}

/*
 * Of a thin volume:
 *
 *     lvcreate -y -s --setactivationskip n [-an] -n LV --permission r --addtag TAG… VG/VOLUME
 *
 * Of another volume:
 *
 *     lvcreate -y -s -LSIZE -n LV --permission r --addtag TAG… VG/VOLUME
 *
 * LVM sets the tags in the same change of the metadata as it creates the LV, so that no crash
 * leaves a snapshot without its name.
 */
char **logical_snapshot_argv(const LogicalState *state, const char *volume, const char *lv,
                             uint64_t room, gboolean active, char *const *tags)
{
    g_autoptr(GStrvBuilder) argv = g_strv_builder_new();
    g_autofree char *target = logical_target(state, volume);
    g_autofree char *size = lvm_size("-L", room);

    g_strv_builder_add_many(argv, "lvcreate", "-y", "-s", NULL);
    if (room > 0)
        g_strv_builder_add(argv, size);
    else
        g_strv_builder_add_many(argv, "--setactivationskip", "n", active ? NULL : "-an", NULL);
    g_strv_builder_add_many(argv, "-n", lv, "--permission", "r", NULL);
    for (; *tags; tags++)
        g_strv_builder_add_many(argv, "--addtag", *tags, NULL);
    g_strv_builder_add(argv, target);
    return g_strv_builder_end(argv);
}
