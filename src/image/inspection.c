/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads an untrusted header through a CstInspection. Every read is checked against the size of the
 * blob, and the first CST_IMAGE_PROBE_LEN bytes come from memory. Damage is recorded in the info,
 * only the first problem, which is usually the cause of later ones. A failed read is kept in
 * inspection->error, and all later reads fail at once. Therefore a parser can return without
 * handling either case.
 */
#include "inspection.h"

#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"

void cst_image_info_clear(CstImageInfo *info)
{
    g_free(info->problem);
    g_free(info->backing);
    g_free(info->backing_format);
    g_free(info->data_file);
    g_free(info->encryption);
    g_free(info->compat);
    g_free(info->compression);
    g_free(info->subformat);
    memset(info, 0, sizeof(*info));
}

void cst_image_part_free(CstImagePart *part)
{
    if (!part)
        return;
    g_free(part->file);
    g_free(part);
}

gboolean cst_inspection_init(CstInspection *inspection, CstBlob *blob, uint8_t *head,
                             CstImageInfo *info, GError **error)
{
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    inspection->blob = blob;
    inspection->size = size;
    inspection->head = head;
    inspection->head_len = (size_t)MIN(size, CST_IMAGE_PROBE_LEN);
    inspection->info = info;
    inspection->error = NULL;
    return cst_blob_pread(blob, head, inspection->head_len, 0, error);
}

gboolean cst_inspection_read(CstInspection *inspection, uint64_t offset, void *buf, size_t len)
{
    if (inspection->error)
        return FALSE;
    if (offset > inspection->size || len > inspection->size - offset) {
        cst_inspection_problem(inspection,
                               _("the image is cut off: %zu bytes at %" PRIu64 " are missing"), len,
                               offset);
        return FALSE;
    }
    if (offset <= inspection->head_len && len <= inspection->head_len - offset) {
        memcpy(buf, inspection->head + offset, len);
        return TRUE;
    }
    return cst_blob_pread(inspection->blob, buf, len, offset, &inspection->error);
}

char *cst_inspection_string(CstInspection *inspection, uint64_t offset, size_t len)
{
    g_autofree char *text = cst_alloc(len + 1, 1, inspection->blob->name, &inspection->error);

    if (!text || !cst_inspection_read(inspection, offset, text, len))
        return NULL;
    text[len] = '\0';
    return g_strdup(text);
}

gboolean cst_inspection_ok(CstInspection *inspection, GError **error)
{
    if (!inspection->error)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&inspection->error));
    return FALSE;
}

gboolean cst_inspection_is_sound(CstInspection *inspection, GError **error)
{
    const CstImageInfo *info = inspection->info;

    if (!cst_inspection_ok(inspection, error))
        return FALSE;
    return !info->problem ||
           cst_fail(error, info->corrupt ? CST_ERROR_CORRUPT : CST_ERROR_UNSUPPORTED,
                    _("'%s' can't be opened: %s"), inspection->blob->name, info->problem);
}

static G_GNUC_PRINTF(2, 0) void note(CstInspection *inspection, const char *format, va_list args)
{
    if (!inspection->info->problem)
        inspection->info->problem = g_strdup_vprintf(format, args);
}

void cst_inspection_problem(CstInspection *inspection, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    note(inspection, format, args);
    va_end(args);
    inspection->info->corrupt = TRUE;
}

void cst_inspection_unsupported(CstInspection *inspection, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    note(inspection, format, args);
    va_end(args);
}

/* ECMA-119 8.1.2: "CD001" at offset 1 of the volume descriptor in sector 16. */
gboolean cst_inspection_is_iso(CstInspection *inspection)
{
    char mark[5];

    if (inspection->size < 32769 + sizeof(mark) ||
        !cst_inspection_read(inspection, 32769, mark, sizeof(mark)))
        return FALSE;
    return memcmp(mark, "CD001", sizeof(mark)) == 0;
}

void cst_inspection_set(char **field, const char *text)
{
    g_free(*field);
    *field = g_strdup(text);
}

char *cst_inspection_utf16(const uint8_t *bytes, size_t len, gboolean big_endian)
{
    GString *text = g_string_sized_new(len);

    for (size_t i = 0; i + 1 < len; i += 2) {
        gunichar c = big_endian ? cst_be16(bytes + i) : cst_le16(bytes + i);

        if (c == 0)
            break;
        if (c >= 0xd800 && c < 0xdc00 && i + 3 < len) {
            gunichar low = big_endian ? cst_be16(bytes + i + 2) : cst_le16(bytes + i + 2);

            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                i += 2;
            }
        }
        g_string_append_unichar(text, g_unichar_validate(c) ? c : 0xfffd);
    }
    return g_string_free(text, FALSE);
}
