/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "archive.h"

#include <string.h>

#define BLOCK 512

static void add_zeroes(GByteArray *archive, size_t len)
{
    guint before = archive->len;

    g_byte_array_set_size(archive, before + (guint)len);
    memset(archive->data + before, 0, len);
}

void archive_add_told(GByteArray *archive, char type, const char *name, const void *content,
                      size_t len, uint64_t told)
{
    char header[BLOCK] = {0};
    unsigned sum = 0;

    g_strlcpy(header, name, 100);
    g_snprintf(header + 100, 8, "0000644");
    g_snprintf(header + 124, 12, "%011lo", (unsigned long)told);
    memset(header + 148, ' ', 8);
    header[156] = type;
    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (uint8_t)header[i];
    g_snprintf(header + 148, 8, "%06o", sum);
    g_byte_array_append(archive, (const uint8_t *)header, BLOCK);
    if (len > 0)
        g_byte_array_append(archive, content, (guint)len);
    add_zeroes(archive, (BLOCK - len % BLOCK) % BLOCK);
}

void archive_add(GByteArray *archive, char type, const char *name, const void *content, size_t len)
{
    archive_add_told(archive, type, name, content, len, len);
}

void archive_add_pax(GByteArray *archive, const char *const *records)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t i = 0; records[i]; i++) {
        size_t len = strlen(records[i]) + 3; /* with a digit, the blank and the end of the line */

        if (len > 9)
            len++;
        if (len > 99)
            len++;
        g_string_append_printf(text, "%zu %s\n", len, records[i]);
    }
    archive_add(archive, 'x', "pax", text->str, text->len);
}

void archive_end(GByteArray *archive)
{
    add_zeroes(archive, 2 * BLOCK);
}
