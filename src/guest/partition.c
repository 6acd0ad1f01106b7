/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parses the output of util-linux's tools. The tools read data of the guest and may be compromised
 * by it, so their output is untrusted and bounded.
 */
#include "partition.h"

#include <string.h>

#include <base/i18n.h>
#include <base/text.h>

#define SECTOR     512 /* used by partx for a file */
#define TYPE_CHARS 32

CstGuestPart *guest_part_new(guint number, uint64_t offset, uint64_t length)
{
    CstGuestPart *part = g_new0(CstGuestPart, 1);

    part->number = number;
    part->offset = offset;
    part->length = length;
    part->verdict = CST_GUEST_UNKNOWN;
    return part;
}

void guest_part_free(gpointer data)
{
    CstGuestPart *part = data;

    g_free(part->type);
    g_free(part->detail);
    g_free(part);
}

void guest_part_judge(CstGuestPart *part, CstGuestVerdict verdict, char *detail)
{
    part->verdict = verdict;
    g_free(part->detail);
    part->detail = detail;
}

/* Extended partitions only contain logical partitions. */
static gboolean is_container(const char *type)
{
    return strcmp(type, "0x5") == 0 || strcmp(type, "0xf") == 0 || strcmp(type, "0x85") == 0;
}

static const CstGuestPart *find_overlapped_part(const GPtrArray *parts, const CstGuestPart *part)
{
    for (guint i = 0; i < parts->len; i++) {
        const CstGuestPart *other = parts->pdata[i];

        if (part->offset < other->offset + other->length &&
            other->offset < part->offset + part->length)
            return other;
    }
    return NULL;
}

/*
 * Judges a partition outside the disk or overlapping another one. Skipping these bounds the work by
 * the disk's size.
 */
static void judge_place(CstGuestPart *part, const GPtrArray *parts, uint64_t size)
{
    const CstGuestPart *other = find_overlapped_part(parts, part);

    if (part->offset > size || part->length > size - part->offset)
        guest_part_judge(part, CST_GUEST_DAMAGED,
                         g_strdup(_("it reaches beyond the end of the disk")));
    else if (other)
        guest_part_judge(part, CST_GUEST_UNKNOWN,
                         g_strdup_printf(_("it overlaps partition %u"), other->number));
}

static gboolean partition_parse_line(const char *line, GPtrArray *parts, uint64_t size)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 6);
    guint64 number, start, sectors;
    CstGuestPart *part;

    if (g_strv_length(words) != 5 ||
        !g_ascii_string_to_unsigned(words[0], 10, 1, G_MAXINT32, &number, NULL) ||
        !g_ascii_string_to_unsigned(words[1], 10, 0, G_MAXINT64 / SECTOR, &start, NULL) ||
        !g_ascii_string_to_unsigned(words[2], 10, 0, G_MAXINT64 / SECTOR, &sectors, NULL))
        return FALSE;
    if (is_container(words[3]) || parts->len >= CST_GUEST_PARTS)
        return TRUE;
    part = guest_part_new((guint)number, start * SECTOR, sectors * SECTOR);
    judge_place(part, parts, size);
    g_ptr_array_add(parts, part);
    return TRUE;
}

GPtrArray *guest_partitions_parse(const char *text, uint64_t size)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(guest_part_free);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++)
        if (*lines[i] && !partition_parse_line(lines[i], parts, size))
            return NULL;
    return g_steal_pointer(&parts);
}

static const char *blkid_value(char *const *lines, const char *key)
{
    for (guint i = 0; lines[i]; i++)
        if (g_str_has_prefix(lines[i], key))
            return lines[i] + strlen(key);
    return NULL;
}

gboolean guest_type_parse(const char *text, char **ret_type)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const char *type = blkid_value(lines, "TYPE="), *usage = blkid_value(lines, "USAGE=");
    g_autofree char *start = type ? g_strndup(type, TYPE_CHARS) : NULL;

    *ret_type = start && *start ? cst_text_escape(start) : NULL;
    return *ret_type && usage && strcmp(usage, "filesystem") == 0;
}
