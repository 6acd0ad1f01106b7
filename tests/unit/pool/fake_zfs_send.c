/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes the output of "zfs send -i" for two snapshots of a volume, for fake-zfs.
 *
 * usage: fake-zfs-send FROM TO FROM_GUID TO_GUID     FROM, TO: files with their content
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zfs_records.h"

#define BLOCK    16384u
#define CONTENT  1
#define PROPERTY 2
#define VERSION  (1 | (UINT64_C(1) << 19 | UINT64_C(1) << 22) << 2) /* large blocks, compressed */

typedef struct {
    char *bytes;
    gsize length;
} Content;

/* Copies block @number to @block, with zeroes after the end of the content. */
static void get(const Content *content, gsize number, char *block)
{
    gsize at = number * BLOCK, left = at < content->length ? content->length - at : 0;

    memset(block, 0, BLOCK);
    memcpy(block, content->bytes + MIN(at, content->length), MIN(left, BLOCK));
}

static gboolean is_zero(const char *block)
{
    return !block[0] && memcmp(block, block + 1, BLOCK - 1) == 0;
}

/* Returns the number of blocks up to the last non-zero one. */
static gsize count_used(const Content *content)
{
    char block[BLOCK];
    gsize used = (content->length + BLOCK - 1) / BLOCK;

    for (; used > 0; used--) {
        get(content, used - 1, block);
        if (!is_zero(block))
            break;
    }
    return used;
}

static void send_block(ZfsRecords *to, gsize number, const char *block)
{
    guint64 offset = (guint64)number * BLOCK;

    if (is_zero(block))
        zfs_record_free(to, CONTENT, offset, BLOCK);
    else if (number % 3 == 0)
        zfs_record_write(to, CONTENT, offset, BLOCK, 4096);
    else if (number % 3 == 1)
        zfs_record_write(to, CONTENT, offset, BLOCK, 0);
    else
        zfs_record_embedded(to, CONTENT, offset, BLOCK, 45);
}

static void send_content(ZfsRecords *to, const Content *older, const Content *newer)
{
    gsize used = count_used(newer);
    char was[BLOCK], is[BLOCK];

    zfs_record_object(to, CONTENT, 0, 0);
    zfs_record_free(to, CONTENT, (guint64)used * BLOCK, ZFS_TO_THE_END);
    for (gsize i = 0; i < used; i++) {
        get(older, i, was);
        get(newer, i, is);
        if (memcmp(was, is, BLOCK) != 0)
            send_block(to, i, is);
    }
    zfs_record_object(to, PROPERTY, 0, 0);
    zfs_record_write(to, PROPERTY, 0, 512, 0);
    zfs_record_free_objects(to, PROPERTY + 1, 29);
}

int main(int argc, char **argv)
{
    ZfsRecords to = {.bytes = g_byte_array_new()};
    Content older, newer;

    if (argc != 5 || !g_file_get_contents(argv[1], &older.bytes, &older.length, NULL) ||
        !g_file_get_contents(argv[2], &newer.bytes, &newer.length, NULL))
        return 2;
    zfs_record_begin(&to, VERSION, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10), 0);
    if (older.length != newer.length || memcmp(older.bytes, newer.bytes, older.length) != 0)
        send_content(&to, &older, &newer);
    zfs_record_end(&to);
    fwrite(to.bytes->data, to.bytes->len, 1, stdout);
    g_byte_array_unref(to.bytes);
    g_free(older.bytes);
    g_free(newer.bytes);
    return 0;
}
