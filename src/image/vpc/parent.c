/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The name of the parent. A differencing disk has it in the header (UTF-16, big endian) and again
 * in locators ("Parent Locator Entry"): W2ru is a path relative to the image, with backslashes,
 * UTF-16 little endian. The relative path is preferred; absolute paths of Windows (W2ku) are not
 * read.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "header.h"

#define AT_UUID     40
#define UUID_LEN    16
#define AT_NAME     64
#define NAME_LEN    512
#define AT_LOCATORS 576
#define W2RU        0x57327275u

static char *relative_locator(CstInspection *inspection, const VpcHeader *header)
{
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        const uint8_t *locator = header->raw + AT_LOCATORS + (size_t)i * 24;
        uint32_t len = MIN(cst_be32(locator + 8), VPC_LOCATOR_MAX);
        g_autofree uint8_t *text = NULL;

        if (cst_be32(locator) != W2RU || len == 0)
            continue;
        text = cst_alloc(len, 1, inspection->blob->name, &inspection->error);
        if (!text || !cst_inspection_read(inspection, cst_be64(locator + 16), text, len))
            return NULL;
        return cst_inspection_utf16(text, len, FALSE);
    }
    return NULL;
}

void vpc_parent_inspect(CstInspection *inspection, const VpcHeader *header)
{
    g_autofree char *relative = relative_locator(inspection, header);
    const char *name = relative;

    cst_inspection_set(&inspection->info->backing_format, "vpc");
    if (!relative || *relative == '\0') {
        g_free(inspection->info->backing);
        inspection->info->backing = cst_inspection_utf16(header->raw + AT_NAME, NAME_LEN, TRUE);
        return;
    }
    for (char *at = relative; *at; at++)
        if (*at == '\\')
            *at = '/';
    while (g_str_has_prefix(name, "./"))
        name += 2;
    cst_inspection_set(&inspection->info->backing, name);
}

static void put_utf16(uint8_t *to, const gunichar2 *text, glong count, gboolean big_endian)
{
    for (glong i = 0; i < count; i++) {
        if (big_endian)
            cst_put_be16(to + i * 2, text[i]);
        else
            cst_put_le16(to + i * 2, text[i]);
    }
}

static void store_locator(VpcHeader *header, uint64_t offset, size_t len, size_t room)
{
    uint8_t *locator = header->raw + AT_LOCATORS;

    cst_put_be32(locator, W2RU);
    /* the specification counts sectors, but the existing programs count bytes */
    cst_put_be32(locator + 4, (uint32_t)room);
    cst_put_be32(locator + 8, (uint32_t)len);
    cst_put_be64(locator + 16, offset);
}

void vpc_parent_set_uuid(VpcHeader *header, const uint8_t *uuid)
{
    memcpy(header->raw + AT_UUID, uuid, UUID_LEN);
}

gboolean vpc_parent_has_uuid(const VpcHeader *header, const uint8_t *uuid)
{
    static const uint8_t unknown[UUID_LEN];
    const uint8_t *stored = header->raw + AT_UUID;

    return memcmp(stored, unknown, UUID_LEN) == 0 || memcmp(stored, uuid, UUID_LEN) == 0;
}

void vpc_parent_forget(VpcHeader *header)
{
    memset(header->raw + AT_UUID, 0, VPC_HEADER_LEN - AT_UUID);
}

gboolean vpc_parent_store(VpcHeader *header, const char *name, uint64_t offset, uint8_t **ret_text,
                          size_t *ret_len, GError **error)
{
    g_autofree gunichar2 *text = NULL, *relative = NULL;
    g_autofree char *windows = NULL;
    glong count = 0;
    size_t room;

    text = g_utf8_to_utf16(name, -1, NULL, &count, NULL);
    if (!text)
        return cst_fail(error, CST_ERROR_INVALID, _("the name of the parent image is not UTF-8"));
    if (count >= NAME_LEN / 2)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the name of the parent image is longer than %d characters"),
                        NAME_LEN / 2 - 1);
    put_utf16(header->raw + AT_NAME, text, count, TRUE);
    *ret_text = NULL;
    *ret_len = 0;
    if (*name == '/' || strchr(name, '\\')) /* absolute, or not convertible */
        return TRUE;
    windows = g_strconcat(".\\", name, NULL);
    for (char *at = windows; *at; at++)
        if (*at == '/')
            *at = '\\';
    relative = g_utf8_to_utf16(windows, -1, NULL, &count, NULL);
    room = cst_round_up((uint64_t)count * 2, VPC_SECTOR);
    *ret_text = g_malloc0(room);
    *ret_len = room;
    put_utf16(*ret_text, relative, count, FALSE);
    store_locator(header, offset, (size_t)count * 2, room);
    return TRUE;
}
