/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parses the output of parted for a disk, such as
 *
 *     CYL;
 *     /dev/sdb:2088cyl:scsi:512:512:sun:Model:;
 *     2088:255:63:8225kB;
 *     BYT;
 *     /dev/sdb:17179869184B:scsi:512:512:sun:Model:;
 *     1:1048576B:9437183B:8388608B:ext4:name:flags;
 *     1:9437184B:17179869183B:17170432000B:free;
 *
 * The output is untrusted text of a tool. Each number is bounded, and partitions must be on the
 * disk. A line that does not match is an error and is never skipped. Names may contain colons, so
 * the fields after the fifth are not separated.
 */
#include "label.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

/* More lines are no valid output. */
#define LINES_MAX  4096
#define NUMBER_MAX 1024
#define SECTOR_MAX 65536

/*
 * The labels that parted supports and libfdisk does not, with their number of partitions and the
 * number that is reserved for the label.
 */
static const struct {
    const char *name;
    guint slots;
    guint own; /* a reserved number: the whole disk, the header, the map; 0: no such number */
} labels[] = {
    {"bsd", 8, 0}, {"dvh", 16, 9}, {"mac", 64, 1}, {"pc98", 16, 0}, {"sun", 8, 3},
};

static gboolean not_understood(const char *line, GError **error)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("cannot parse the output of parted: '%.100s'"),
                    line);
}

/* "1048576B", at most @max. */
static gboolean parse_bytes(const char *text, uint64_t max, uint64_t *ret_bytes)
{
    g_autofree char *digits =
        g_str_has_suffix(text, "B") ? g_strndup(text, strlen(text) - 1) : NULL;

    return digits && g_ascii_string_to_unsigned(digits, 10, 0, max, ret_bytes, NULL);
}

/* "/dev/sdb:17179869184B:scsi:512:512:sun:Model:;" */
static gboolean parse_disk(const char *line, DiskTable *table, GError **error)
{
    g_auto(GStrv) fields = g_strsplit(line, ":", 7);

    if (g_strv_length(fields) < 7 || !parse_bytes(fields[1], G_MAXINT64, &table->size) ||
        !g_ascii_string_to_unsigned(fields[3], 10, 512, SECTOR_MAX, &table->sector, NULL))
        return not_understood(line, error);
    for (size_t i = 0; i < G_N_ELEMENTS(labels); i++) {
        if (strcmp(fields[5], labels[i].name) != 0)
            continue;
        table->label = labels[i].name;
        table->slots = labels[i].slots;
    }
    table->end = table->size;
    return TRUE;
}

static guint own_number(const DiskTable *table)
{
    for (size_t i = 0; i < G_N_ELEMENTS(labels); i++)
        if (strcmp(table->label, labels[i].name) == 0)
            return labels[i].own;
    return 0;
}

/*
 * Parses "1:1048576B:9437183B:8388608B:free;" or a partition with its file system, name and flags.
 */
static gboolean parted_parse_entry(const char *line, DiskTable *table, GError **error)
{
    g_auto(GStrv) fields = g_strsplit(line, ":", 6);
    DiskPartition partition = {.kind = DISK_PRIMARY, .mark = "none"};
    uint64_t number, last, size;

    if (g_strv_length(fields) < 5 ||
        !g_ascii_string_to_unsigned(fields[0], 10, 1, NUMBER_MAX, &number, NULL) ||
        !parse_bytes(fields[1], table->size, &partition.start) ||
        !parse_bytes(fields[2], table->size, &last) ||
        !parse_bytes(fields[3], table->size, &size) || last < partition.start ||
        last >= table->size || last - partition.start + 1 != size)
        return not_understood(line, error);
    partition.end = last + 1;
    if (strcmp(fields[4], "free;") == 0) {
        disk_extent_add(table->free, partition.start, partition.end, DISK_PRIMARY);
        return TRUE;
    }
    partition.number = (guint)number;
    partition.reserved = partition.number == own_number(table);
    if (disk_table_find(table, partition.number))
        return not_understood(line, error);
    g_array_append_val(table->partitions, partition);
    return TRUE;
}

static gboolean partition_overlaps_extent(const DiskPartition *partition,
                                          const CstDeviceExtent *extent)
{
    return extent->start < partition->end && partition->start < extent->end;
}

/*
 * Removes free extents inside the label's own partition (dvh's header), which no volume may use. A
 * free extent inside another partition is a contradiction.
 */
static gboolean check_free(DiskTable *table, GError **error)
{
    for (guint i = table->free->len; i > 0; i--) {
        const CstDeviceExtent *extent = &g_array_index(table->free, CstDeviceExtent, i - 1);
        gboolean own = FALSE;

        for (guint j = 0; j < table->partitions->len; j++) {
            const DiskPartition *partition = &g_array_index(table->partitions, DiskPartition, j);

            if (!partition_overlaps_extent(partition, extent))
                continue;
            if (!partition->reserved)
                return not_understood("free", error);
            own = TRUE;
        }
        if (own)
            g_array_remove_index(table->free, i - 1);
    }
    return TRUE;
}

/*
 * Reserves the label's own number. parted does not list the whole disk of a sun label, and never
 * assigns its number.
 */
static void reserve_own(DiskTable *table)
{
    DiskPartition own = {.number = own_number(table),
                         .kind = DISK_PRIMARY,
                         .end = table->size,
                         .mark = "none",
                         .reserved = TRUE};

    if (own.number > 0 && !disk_table_find(table, own.number))
        g_array_append_val(table->partitions, own);
}

/* Returns whether partitions begin and end at cylinders. */
static gboolean in_cylinders(const DiskTable *table)
{
    return strcmp(table->label, "sun") == 0 || strcmp(table->label, "pc98") == 0;
}

/* Parses the size of a cylinder from "2088:255:63:8225kB;". */
static gboolean parse_geometry(const char *line, const DiskTable *table, uint64_t *ret_cylinder,
                               GError **error)
{
    g_auto(GStrv) fields = g_strsplit(line, ":", 4);
    uint64_t heads, sectors;

    if (g_strv_length(fields) < 4 ||
        !g_ascii_string_to_unsigned(fields[1], 10, 1, G_MAXUINT16, &heads, NULL) ||
        !g_ascii_string_to_unsigned(fields[2], 10, 1, G_MAXUINT16, &sectors, NULL))
        return not_understood(line, error);
    *ret_cylinder = heads * sectors * table->sector;
    return TRUE;
}

/* Returns the index of the line @wanted, or of the end if it does not exist. */
static guint find_line(char **lines, guint from, const char *wanted)
{
    while (lines[from] && strcmp(lines[from], wanted) != 0)
        from++;
    return from;
}

static gboolean parse_listing(char **lines, guint cylinders, guint bytes, DiskTable *table,
                              GError **error)
{
    uint64_t cylinder = 0;

    if (!parse_disk(lines[bytes + 1], table, error))
        return FALSE;
    if (!table->label)
        return TRUE;
    if (!parse_geometry(lines[cylinders + 2], table, &cylinder, error))
        return FALSE;
    for (guint i = bytes + 2; lines[i]; i++)
        if (*lines[i] && !parted_parse_entry(lines[i], table, error))
            return FALSE;
    table->grain = in_cylinders(table) ? cylinder : CST_MIB;
    table->step = in_cylinders(table) ? cylinder : table->sector;
    if (!check_free(table, error))
        return FALSE;
    reserve_own(table);
    return TRUE;
}

gboolean disk_parted_parse(const char *output, DiskTable **ret_table, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(output, "\n", LINES_MAX);
    g_autoptr(DiskTable) table = disk_table_new();
    guint cylinders = find_line(lines, 0, "CYL;"), bytes = find_line(lines, 0, "BYT;");
    guint count = g_strv_length(lines);

    *ret_table = NULL;
    if (count == LINES_MAX || cylinders + 2 >= bytes || bytes + 1 >= count)
        return not_understood(output, error);
    if (!parse_listing(lines, cylinders, bytes, table, error))
        return FALSE;
    if (table->label)
        *ret_table = g_steal_pointer(&table);
    return TRUE;
}
