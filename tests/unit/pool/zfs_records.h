/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Records of a ZFS send stream in ZFS's format, for tests. Each function appends to @to. */

typedef struct {
    GByteArray *bytes;
    gboolean big_endian;
} ZfsRecords;

#define ZFS_TO_THE_END G_MAXUINT64

void zfs_record_begin(ZfsRecords *to, guint64 version, guint64 from, guint64 until, guint payload);
void zfs_record_object(ZfsRecords *to, guint64 object, guint bonus, guint raw);
void zfs_record_free_objects(ZfsRecords *to, guint64 first, guint64 count);
/** @compressed: bytes of the payload; 0: uncompressed. */
void zfs_record_write(ZfsRecords *to, guint64 object, guint64 offset, guint64 length,
                      guint64 compressed);
void zfs_record_free(ZfsRecords *to, guint64 object, guint64 offset, guint64 length);
void zfs_record_byref(ZfsRecords *to, guint64 object, guint64 offset, guint64 length);
void zfs_record_spill(ZfsRecords *to, guint64 object, guint64 length);
void zfs_record_embedded(ZfsRecords *to, guint64 object, guint64 offset, guint64 length,
                         guint payload);
void zfs_record_range(ZfsRecords *to);
void zfs_record_end(ZfsRecords *to);
