/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "zfs_records.h"

#include <string.h>

#define SIZE    312
#define PADDING 0xd5 /* in payloads: never part of a record */

enum { BEGIN, OBJECT, FREEOBJECTS, WRITE, FREE, END, BYREF, SPILL, EMBEDDED, RANGE };

static void put32(const ZfsRecords *to, guint8 *at, guint32 value)
{
    value = to->big_endian ? GUINT32_TO_BE(value) : GUINT32_TO_LE(value);
    memcpy(at, &value, sizeof(value));
}

static void put64(const ZfsRecords *to, guint8 *at, guint64 value)
{
    value = to->big_endian ? GUINT64_TO_BE(value) : GUINT64_TO_LE(value);
    memcpy(at, &value, sizeof(value));
}

/*
 * Appends a record with its first three numbers. The caller fills in the other fields before the
 * next record is added.
 */
static guint8 *add(ZfsRecords *to, guint type, guint64 first, guint64 second, guint64 third,
                   guint64 payload)
{
    guint at = to->bytes->len;
    guint8 *record;

    g_byte_array_set_size(to->bytes, at + SIZE + (guint)payload);
    record = to->bytes->data + at;
    memset(record, 0, SIZE);
    memset(record + SIZE, PADDING, payload);
    put32(to, record, type);
    put64(to, record + 8, first);
    put64(to, record + 16, second);
    put64(to, record + 24, third);
    return record;
}

void zfs_record_begin(ZfsRecords *to, guint64 version, guint64 from, guint64 until, guint payload)
{
    guint8 *record = add(to, BEGIN, G_GUINT64_CONSTANT(0x2f5bacbac), version, 1700000000, payload);

    put32(to, record + 4, payload);
    put64(to, record + 40, until);
    put64(to, record + 48, from);
    memcpy(record + 56, "tank/disk@s", 11);
}

void zfs_record_object(ZfsRecords *to, guint64 object, guint bonus, guint raw)
{
    guint8 *record = add(to, OBJECT, object, 0, 0, raw ? raw : (bonus + 7) / 8 * 8);

    put32(to, record + 24, 16384);
    put32(to, record + 28, bonus);
    put32(to, record + 36, raw);
}

void zfs_record_free_objects(ZfsRecords *to, guint64 first, guint64 count)
{
    add(to, FREEOBJECTS, first, count, 0, 0);
}

void zfs_record_write(ZfsRecords *to, guint64 object, guint64 offset, guint64 length,
                      guint64 compressed)
{
    guint8 *record = add(to, WRITE, object, 0, offset, compressed ? compressed : length);

    put64(to, record + 32, length);
    record[50] = compressed ? 15 : 0;
    put64(to, record + 96, compressed);
}

void zfs_record_free(ZfsRecords *to, guint64 object, guint64 offset, guint64 length)
{
    add(to, FREE, object, offset, length, 0);
}

void zfs_record_byref(ZfsRecords *to, guint64 object, guint64 offset, guint64 length)
{
    add(to, BYREF, object, offset, length, 0);
}

void zfs_record_spill(ZfsRecords *to, guint64 object, guint64 length)
{
    add(to, SPILL, object, length, 0, length);
}

void zfs_record_embedded(ZfsRecords *to, guint64 object, guint64 offset, guint64 length,
                         guint payload)
{
    guint8 *record = add(to, EMBEDDED, object, offset, length, (payload + 7) / 8 * 8);

    put32(to, record + 48, (guint32)length);
    put32(to, record + 52, payload);
}

void zfs_record_range(ZfsRecords *to)
{
    add(to, RANGE, 0, 32, 0, 0);
}

void zfs_record_end(ZfsRecords *to)
{
    add(to, END, 1, 2, 3, 0);
}
