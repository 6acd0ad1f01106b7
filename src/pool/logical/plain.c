/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain LVs: their device lies directly on physical volumes. device-mapper reports the identity,
 * the size and the location of a plain LV at once and reliably, without LVM's report. A plain LV
 * has no dependents, because an origin, a snapshot or a thin volume lies on further devices of LVM.
 *
 * Only data that changes with the physical volumes is read from the last report. If the report
 * lacks a device, the LV is not considered plain, and a new report is read.
 */
#include "logical.h"

#include <string.h>
#include <sys/stat.h>

#include <base/file.h>
#include <pool/device.h>

#define SECTOR 512
/* A disk has fewer sectors, so that sums cannot overflow. */
#define SECTORS_MAX (G_MAXINT64 / SECTOR / 2)

/* Returns the physical volume with the device number; NULL if it is not known. */
static const LvmPhysical *physical_of(const LvmGroup *group, const char *number)
{
    struct stat st;
    dev_t device;

    if (!cst_device_number(number, &device))
        return NULL;
    for (guint i = 0; i < group->devices->len; i++) {
        const LvmPhysical *physical = g_ptr_array_index(group->devices, i);

        if (cst_node_stat(physical->path, &st) && st.st_rdev == device)
            return physical;
    }
    return NULL;
}

/* Appends "/dev/sda(12)": the extent at @offset, in sectors, of the device @number. */
static gboolean append_piece(const LvmGroup *group, const char *number, const char *offset,
                             GString *devices)
{
    const LvmPhysical *physical = physical_of(group, number);
    guint64 sector, at;

    if (!physical || !g_ascii_string_to_unsigned(offset, 10, 0, SECTORS_MAX, &sector, NULL))
        return FALSE;
    at = sector * SECTOR - physical->start;
    if (sector * SECTOR < physical->start || at % group->extent_size != 0)
        return FALSE;
    g_string_append_printf(devices, "%s%s(%" G_GUINT64_FORMAT ")", devices->len ? "," : "",
                           physical->path, at / group->extent_size);
    return TRUE;
}

/* @words: NULL-terminated pairs of a device number and an offset. */
static gboolean append_pieces(const LvmGroup *group, char *const *words, GString *devices)
{
    for (; words[0] && words[1]; words += 2)
        if (!append_piece(group, words[0], words[1], devices))
            return FALSE;
    return !words[0] && devices->len > 0;
}

/*
 * Parses "START LENGTH linear 254:0 2048" or "START LENGTH striped 2 128 254:0 2048 254:16 2048".
 */
static gboolean plain_parse_target(const LvmGroup *group, const char *line, LvmVolume *lv)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    guint count = g_strv_length(words);
    guint first = count > 2 && strcmp(words[2], "linear") == 0 ? 3 : 5;
    g_autoptr(GString) devices = g_string_new(NULL);
    LvmSegment *segment;
    guint64 start, length;

    if (count <= first || (first == 5 && strcmp(words[2], "striped") != 0) ||
        !g_ascii_string_to_unsigned(words[0], 10, 0, SECTORS_MAX, &start, NULL) ||
        !g_ascii_string_to_unsigned(words[1], 10, 1, SECTORS_MAX, &length, NULL) ||
        start * SECTOR != lv->size || !append_pieces(group, words + first, devices))
        return FALSE;
    segment = lvm_volume_add_segment(lv);
    segment->type = g_strdup(words[2]);
    segment->start = start * SECTOR;
    segment->size = length * SECTOR;
    segment->devices = g_strdup(devices->str);
    lv->size += segment->size;
    return TRUE;
}

LvmVolume *logical_plain_lv(LogicalState *state, const LvmGroup *group, const char *name)
{
    g_autofree char *path = logical_device(state, name);
    g_autoptr(LvmVolume) lv = lvm_volume_new(name);
    g_auto(LvmMapping) mapping = {0};
    g_auto(GStrv) lines = NULL;

    if (!group || !lvm_host.mapping(path, &mapping) || strcmp(mapping.group_uuid, group->uuid) != 0)
        return NULL;
    lines = g_strsplit(g_strchomp(mapping.table), "\n", -1);
    for (char **line = lines; *line; line++)
        if (!plain_parse_target(group, *line, lv))
            return NULL;
    if (lv->size == 0)
        return NULL;
    lv->uuid = g_steal_pointer(&mapping.uuid);
    lv->attr = g_strdup("-wi-a-----");
    lv->tags = g_new0(char *, 1);
    return g_steal_pointer(&lv);
}
