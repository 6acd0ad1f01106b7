/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Parses, renders and composes the text descriptor in memory; text.c writes it to the file.
 * Rendering replaces the lines that Cistern changes and copies all other lines byte for byte, so
 * that the data bases of other programs are preserved.
 */
#include "descriptor.h"

#include <string.h>

#include <base/i18n.h>

#include "header.h"

#define MAX_CYLINDERS 65535u

/*
 * During a change of the parent, both its present and its next content ID are accepted. The next ID
 * is in a comment line, which other programs ignore.
 */
#define NEXT_PARENT "#nextParentCID"

static const char *const access_names[] = {"RW", "RDONLY", "NOACCESS"};

static void line_clear(gpointer data)
{
    VmdkLine *line = data;

    g_free(line->type);
    g_free(line->file);
}

void vmdk_descriptor_clear(VmdkDescriptor *descriptor)
{
    g_free(descriptor->text);
    g_free(descriptor->create_type);
    g_free(descriptor->parent);
    if (descriptor->lines)
        g_array_unref(descriptor->lines);
    memset(descriptor, 0, sizeof(*descriptor));
}

/* --- reading --------------------------------------------------------------------------------- */

/* Value of a `key = "value"` line, unquoted; NULL when the line has another key. */
static char *value_of(const char *line, const char *key)
{
    size_t len = strlen(key);

    if (g_ascii_strncasecmp(line, key, len) != 0)
        return NULL;
    line += len;
    line += strspn(line, " \t");
    if (*line++ != '=')
        return NULL;
    line += strspn(line, " \t");
    if (*line == '"')
        line++;
    return g_strndup(line, strcspn(line, "\"\r\n"));
}

/*
 * Returns the index in access_names and sets *ret_rest to the following text; -1: not an extent's
 * line.
 */
static int access_of(const char *line, const char **ret_rest)
{
    for (int i = 0; i < (int)G_N_ELEMENTS(access_names); i++) {
        size_t len = strlen(access_names[i]);

        if (strncmp(line, access_names[i], len) == 0 && line[len] == ' ') {
            *ret_rest = line + len + 1;
            return i;
        }
    }
    return -1;
}

static void descriptor_note_problem(VmdkDescriptor *d, const char *problem)
{
    if (!d->problem)
        d->problem = problem;
}

static GArray *lines_new(void)
{
    GArray *lines = g_array_new(FALSE, TRUE, sizeof(VmdkLine));

    g_array_set_clear_func(lines, line_clear);
    return lines;
}

static const char *const kinds[] = {"SPARSE",     "FLAT",    "ZERO",    "VMFS",
                                    "VMFSSPARSE", "VMFSRDM", "VMFSRAW", "SESPARSE"};

const char *vmdk_line_kind(const VmdkLine *line)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (strcmp(line->type, kinds[i]) == 0)
            return kinds[i];
    return "";
}

/* Only type ZERO needs no file. Type FLAT requires an offset; all other types exclude it. */
static gboolean line_is_sound(const VmdkLine *line, gboolean has_offset)
{
    const char *kind = vmdk_line_kind(line);

    return *kind != '\0' && (line->file || strcmp(kind, "ZERO") == 0) &&
           has_offset == (strcmp(kind, "FLAT") == 0) &&
           line->offset <= VMDK_MAX_SECTORS - line->sectors;
}

/* TYPE ["FILE" [OFFSET]] */
static gboolean parse_place(const char *at, VmdkLine *line)
{
    size_t len = strcspn(at, " \t\r\n");
    char *end = NULL;

    line->type = g_strndup(at, len);
    at += len;
    at += strspn(at, " \t");
    if (*at == '"') {
        len = strcspn(at + 1, "\"\r\n");
        line->file = g_strndup(at + 1, len);
        at += 1 + len;
        if (*at == '"')
            line->offset = g_ascii_strtoull(at + 1, &end, 10);
    }
    return line_is_sound(line, end && end != at + 1);
}

/* ACCESS SECTORS TYPE ["FILE" [OFFSET]] */
static void parse_extent(VmdkDescriptor *d, gboolean keep, int access, const char *at)
{
    VmdkLine line = {.access = (VmdkAccess)access};
    char *end = NULL;

    line.sectors = g_ascii_strtoull(at, &end, 10);
    if (end == at || line.sectors > VMDK_MAX_SECTORS - d->sectors ||
        d->extents >= VMDK_MAX_EXTENTS) {
        descriptor_note_problem(d, _("the VMDK descriptor has a bad extent"));
        return;
    }
    d->sectors += line.sectors;
    if (!parse_place(end + strspn(end, " \t"), &line))
        descriptor_note_problem(d, _("the VMDK descriptor has a bad extent"));
    if (d->extents++ == 0 || keep)
        g_array_append_val(d->lines, line);
    else
        line_clear(&line);
}

static void take_string(char **field, char *value)
{
    g_free(*field);
    *field = value;
}

static uint64_t take_number(char *value, unsigned base)
{
    uint64_t number = g_ascii_strtoull(value, NULL, base);

    g_free(value);
    return number;
}

static void parse_line(VmdkDescriptor *d, gboolean keep, const char *line)
{
    const char *rest = NULL;
    char *value;
    int access;

    line += strspn(line, " \t");
    access = access_of(line, &rest);
    if (access >= 0)
        parse_extent(d, keep, access, rest);
    else if ((value = value_of(line, "createType")) != NULL)
        take_string(&d->create_type, value);
    else if ((value = value_of(line, "parentFileNameHint")) != NULL)
        take_string(&d->parent, value);
    else if ((value = value_of(line, "parentCID")) != NULL)
        d->parent_cid = (uint32_t)take_number(value, 16);
    else if ((value = value_of(line, NEXT_PARENT)) != NULL)
        d->next_parent_cid = (uint32_t)take_number(value, 16);
    else if ((value = value_of(line, "CID")) != NULL)
        d->cid = (uint32_t)take_number(value, 16);
    else if ((value = value_of(line, "ddb.geometry.heads")) != NULL)
        d->heads = take_number(value, 10);
    else if ((value = value_of(line, "ddb.geometry.sectors")) != NULL)
        d->track = take_number(value, 10);
}

void vmdk_descriptor_parse(const char *text, gboolean keep, VmdkDescriptor *ret_descriptor)
{
    VmdkDescriptor d = {
        .parent_cid = VMDK_NO_PARENT, .next_parent_cid = VMDK_NO_PARENT, .lines = lines_new()};

    d.text = keep ? g_strdup(text) : NULL;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        parse_line(&d, keep, line);
    }
    if (d.parent && (*d.parent == '\0' || strlen(d.parent) >= 4096))
        g_clear_pointer(&d.parent, g_free);
    if (d.parent_cid != VMDK_NO_PARENT && !d.parent)
        descriptor_note_problem(&d, _("the VMDK image has a parent but does not name it"));
    *ret_descriptor = d;
}

/* --- writing --------------------------------------------------------------------------------- */

void vmdk_descriptor_add(VmdkDescriptor *descriptor, uint64_t sectors, const char *type,
                         const char *file)
{
    VmdkLine line = {
        .access = VMDK_RW, .sectors = sectors, .type = g_strdup(type), .file = g_strdup(file)};

    if (!descriptor->lines)
        descriptor->lines = lines_new();
    g_array_append_val(descriptor->lines, line);
}

static void append_extents(const VmdkDescriptor *d, GString *text)
{
    for (guint i = 0; d->lines && i < d->lines->len; i++) {
        const VmdkLine *line = vmdk_descriptor_line(d, i);

        g_string_append_printf(text, "%s %" G_GUINT64_FORMAT " %s", access_names[line->access],
                               line->sectors, line->type);
        if (line->file)
            g_string_append_printf(text, " \"%s\"", line->file);
        /* a sparse extent begins at the start of its file, so it has no offset */
        if (line->file && strcmp(line->type, "SPARSE") != 0)
            g_string_append_printf(text, " %" G_GUINT64_FORMAT, line->offset);
        g_string_append_c(text, '\n');
    }
}

static uint64_t sum_of_lines(const VmdkDescriptor *d)
{
    uint64_t sectors = 0;

    for (guint i = 0; d->lines && i < d->lines->len; i++)
        sectors += vmdk_descriptor_line(d, i)->sectors;
    return sectors;
}

static uint64_t cylinders_of(uint64_t sectors, uint64_t heads, uint64_t track)
{
    return MIN(sectors / (heads * track), MAX_CYLINDERS);
}

static void append_parent(const VmdkDescriptor *d, GString *text)
{
    g_string_append_printf(text, "parentCID=%08x\n", d->parent_cid);
    if (d->next_parent_cid != VMDK_NO_PARENT)
        g_string_append_printf(text, NEXT_PARENT "=%08x\n", d->next_parent_cid);
    if (d->parent)
        g_string_append_printf(text, "parentFileNameHint=\"%s\"\n", d->parent);
}

/*
 * Renders all lines about the parent at the position of parentCID. FALSE: the line has another key.
 */
static gboolean render_parent(const VmdkDescriptor *d, const char *line, GString *text)
{
    g_autofree char *cid = value_of(line, "parentCID"), *next = value_of(line, NEXT_PARENT);
    g_autofree char *hint = value_of(line, "parentFileNameHint");

    if (cid)
        append_parent(d, text);
    return cid || next || hint;
}

/* FALSE: the line is to be copied unchanged. */
static gboolean render_line(const VmdkDescriptor *d, const char *line, gboolean *extents_done,
                            GString *text)
{
    g_autofree char *cid = NULL, *cylinders = NULL;
    uint64_t sectors = sum_of_lines(d);
    const char *rest = NULL;

    line += strspn(line, " \t");
    if (d->other_parent && render_parent(d, line, text))
        return TRUE;
    if (access_of(line, &rest) >= 0) {
        if (!*extents_done)
            append_extents(d, text);
        *extents_done = TRUE;
        return TRUE;
    }
    if ((cid = value_of(line, "CID")) != NULL) {
        g_string_append_printf(text, "CID=%08x\n", d->cid);
        return TRUE;
    }
    if (sectors != d->sectors && d->heads > 0 && d->heads <= 255 && d->track > 0 &&
        d->track <= 255 && (cylinders = value_of(line, "ddb.geometry.cylinders")) != NULL) {
        g_string_append_printf(text, "ddb.geometry.cylinders = \"%" G_GUINT64_FORMAT "\"\n",
                               cylinders_of(sectors, d->heads, d->track));
        return TRUE;
    }
    return FALSE;
}

char *vmdk_descriptor_render(const VmdkDescriptor *descriptor)
{
    GString *text = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(descriptor->text, "\n", -1);
    gboolean extents_done = FALSE;

    for (size_t i = 0; lines[i]; i++) {
        if (render_line(descriptor, lines[i], &extents_done, text))
            continue;
        g_string_append(text, lines[i]);
        if (lines[i + 1])
            g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}

char *vmdk_descriptor_compose(const VmdkDescriptor *descriptor, const char *adapter_type,
                              const char *hw_version)
{
    GString *text = g_string_new(VMDK_DESCRIPTOR_MARK "\nversion=1\n");
    unsigned heads = strcmp(adapter_type, "ide") == 0 ? 16 : 255, track = 63;

    g_string_append_printf(text, "CID=%08x\nparentCID=%08x\ncreateType=\"%s\"\n", descriptor->cid,
                           descriptor->parent_cid, descriptor->create_type);
    if (descriptor->parent)
        g_string_append_printf(text, "parentFileNameHint=\"%s\"\n", descriptor->parent);
    g_string_append(text, "\n# Extent description\n");
    append_extents(descriptor, text);
    g_string_append_printf(text, "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"%s\"\n",
                           hw_version);
    g_string_append_printf(text,
                           "ddb.geometry.cylinders = \"%" G_GUINT64_FORMAT
                           "\"\nddb.geometry.heads = \"%u\"\nddb.geometry.sectors = \"%u\"\n"
                           "ddb.adapterType = \"%s\"\n",
                           cylinders_of(sum_of_lines(descriptor), heads, track), heads, track,
                           adapter_type);
    return g_string_free(text, FALSE);
}
