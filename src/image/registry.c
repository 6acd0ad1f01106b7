/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The list of all formats, and the lookup by name and by the content of an untrusted blob. No file
 * below this one refers to it, so that a format can use the dispatcher (image.c) for images of its
 * own kind.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "format.h"

/*
 * In probing order: the first of two formats with equal certainty has priority. Raw has no
 * certainty and is last.
 */
static const CstImageFormat *const formats[] = {
    &cst_format_qcow2, &cst_format_qcow, &cst_format_qed,  &cst_format_vmdk,
    &cst_format_vdi,   &cst_format_vpc,  &cst_format_vhdx, &cst_format_parallels,
    &cst_format_cow,   &cst_format_luks, &cst_format_iso,  &cst_format_bochs,
    &cst_format_cloop, &cst_format_dmg,  &cst_format_raw,  NULL,
};

static const CstImageFormat *format_find(const char *name)
{
    for (size_t i = 0; formats[i]; i++)
        if (strcmp(formats[i]->name, name) == 0 || g_strcmp0(formats[i]->alias, name) == 0)
            return formats[i];
    return NULL;
}

const CstImageFormat *cst_image_format_find(const char *name, GError **error)
{
    const CstImageFormat *format = format_find(name);

    if (!format)
        cst_fail(error, CST_ERROR_INVALID, _("unknown image format '%s'"), name);
    return format;
}

gboolean cst_image_name_is_plain(const char *name)
{
    const CstImageFormat *format = name ? format_find(name) : NULL;

    return format && format->is_plain;
}

const CstImageFormat *const *cst_image_formats(void)
{
    return formats;
}

static gboolean has_magic(const CstImageFormat *format, const uint8_t *head, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(format->magic); i++) {
        const CstImageMagic *magic = &format->magic[i];

        if (magic->len > 0 && len >= magic->offset + magic->len &&
            memcmp(head + magic->offset, magic->bytes, magic->len) == 0)
            return TRUE;
    }
    return FALSE;
}

/* Returns the format with the magic number; raw if no format has it. */
static const CstImageFormat *format_of_magic(const uint8_t *head, size_t len)
{
    for (size_t i = 0; formats[i]; i++)
        if (has_magic(formats[i], head, len))
            return formats[i];
    return &cst_format_raw;
}

const CstImageFormat *cst_image_probe(const uint8_t *head, size_t len, uint64_t size)
{
    const CstImageFormat *best = &cst_format_raw;
    int best_score = 0;

    for (size_t i = 0; formats[i]; i++) {
        const CstImageFormat *format = formats[i];
        int score = format->probe ? format->probe(head, len, size) : 0;

        if (score > best_score) {
            best = format;
            best_score = score;
        }
    }
    return best_score > 0 ? best : format_of_magic(head, len);
}

/* Reports a damaged header if the magic number is valid but the format does not recognise the
 * header. */
static void note_damaged_header(CstInspection *inspection)
{
    CstImageInfo *info = inspection->info;
    const CstImageFormat *format = info->format;
    g_autofree char *why = NULL;

    if (!info->problem || !format->probe ||
        !has_magic(format, inspection->head, inspection->head_len) ||
        format->probe(inspection->head, inspection->head_len, inspection->size) > 0)
        return;
    why = g_steal_pointer(&info->problem);
    info->problem = g_strdup_printf(_("the %s header is damaged: %s"), format->name, why);
}

/*
 * Returns the format of a blob without a mark at its beginning; raw if it has no mark at its end
 * either. Reads the end first, because the end is not part of the guest's disk, while the guest may
 * write an ISO 9660 mark.
 */
static const CstImageFormat *probe_beyond_head(CstInspection *inspection)
{
    uint8_t tail[CST_IMAGE_TAIL_LEN];

    if (inspection->size > sizeof(tail) &&
        !cst_inspection_read(inspection, inspection->size - sizeof(tail), tail, sizeof(tail)))
        return &cst_format_raw;
    for (size_t i = 0; formats[i] && inspection->size > sizeof(tail); i++)
        if (formats[i]->probe_tail && formats[i]->probe_tail(tail, inspection->size))
            return formats[i];
    return cst_inspection_is_iso(inspection) ? &cst_format_iso : &cst_format_raw;
}

gboolean cst_image_inspect(CstBlob *blob, const CstImageFormat *format, CstImageInfo *ret_info,
                           GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    const CstImageFormat *known = format;
    CstInspection inspection;

    if (!cst_inspection_init(&inspection, blob, head, &info, error))
        return FALSE;
    if (!known)
        known = cst_image_probe(head, inspection.head_len, inspection.size);
    if (!format && known == &cst_format_raw)
        known = probe_beyond_head(&inspection);
    if (!cst_inspection_run(&inspection, known, error))
        return FALSE;
    if (!format)
        note_damaged_header(&inspection);
    *ret_info = info;
    memset(&info, 0, sizeof(info));
    return TRUE;
}
