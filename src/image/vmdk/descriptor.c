/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "descriptor.h"

#include <string.h>

#include <base/i18n.h>

#define MAX_SECTORS ((uint64_t)G_MAXINT64 / 512)
#define MAX_EXTENTS 4096
#define NO_PARENT   0xffffffffu

/* Value of a `key = "value"` line, unquoted, NULL when the line has another key. */
static const char *value_of(char *line, const char *key)
{
    size_t len = strlen(key);
    char *end;

    if (g_ascii_strncasecmp(line, key, len) != 0)
        return NULL;
    line += len;
    line += strspn(line, " \t");
    if (*line++ != '=')
        return NULL;
    line += strspn(line, " \t");
    if (*line == '"')
        line++;
    end = strpbrk(line, "\"\r\n");
    if (end)
        *end = '\0';
    return line;
}

static gboolean is_extent(const char *line)
{
    return g_str_has_prefix(line, "RW ") || g_str_has_prefix(line, "RDONLY ") ||
           g_str_has_prefix(line, "NOACCESS ");
}

/* ACCESS SECTORS TYPE ["FILE" [OFFSET]] */
static void parse_extent(CstImageLook *look, const char *line, VmdkExtents *extents)
{
    const char *at = strchr(line, ' ') + 1;
    char *end = NULL;
    uint64_t sectors = g_ascii_strtoull(at, &end, 10);

    if (end == at || sectors > MAX_SECTORS - extents->sectors || extents->extents >= MAX_EXTENTS) {
        cst_look_problem(look, _("the VMDK descriptor has a bad extent"));
        return;
    }
    extents->sectors += sectors;
    extents->extents++;
    at = strchr(end, '"');
    if (!at || look->info->data_file)
        return;
    end = strchr(at + 1, '"');
    if (end)
        look->info->data_file = g_strndup(at + 1, (size_t)(end - at - 1));
}

static void parse_line(CstImageLook *look, char *line, uint64_t *parent_cid, VmdkExtents *extents)
{
    const char *value;

    line += strspn(line, " \t");
    if (is_extent(line)) {
        parse_extent(look, line, extents);
    } else if ((value = value_of(line, "createType")) != NULL) {
        cst_look_set(&look->info->subformat, value);
    } else if ((value = value_of(line, "parentFileNameHint")) != NULL) {
        if (*value && strlen(value) < 4096) {
            cst_look_set(&look->info->backing, value);
            cst_look_set(&look->info->backing_format, "vmdk");
        }
    } else if ((value = value_of(line, "parentCID")) != NULL) {
        *parent_cid = g_ascii_strtoull(value, NULL, 16);
    }
}

void vmdk_descriptor_parse(CstImageLook *look, char *text, VmdkExtents *ret_extents)
{
    uint64_t parent_cid = NO_PARENT;
    VmdkExtents extents = {0, 0};

    for (char *line = text; line;) {
        char *next = strchr(line, '\n');

        if (next)
            *next++ = '\0';
        parse_line(look, line, &parent_cid, &extents);
        line = next;
    }
    if (parent_cid != NO_PARENT && !look->info->backing)
        cst_look_problem(look, _("the VMDK image has a parent but does not name it"));
    *ret_extents = extents;
}
