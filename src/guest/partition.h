/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <guest/guest.h>

/** Makes a part with the verdict UNKNOWN. */
CstGuestPart *guest_part_new(guint number, uint64_t offset, uint64_t length);
void guest_part_free(gpointer part);
/** Sets the verdict and the detail. Owns @detail (may be NULL). */
void guest_part_judge(CstGuestPart *part, CstGuestVerdict verdict, char *detail);

/**
 * Parses the output of partx for a disk of @size bytes: lines "NUMBER START SECTORS TYPE SCHEME".
 * Returns CstGuestPart *, at most CST_GUEST_PARTS. Extended partitions are left out. A partition
 * that cannot be checked (truncated, or overlapping another one) gets its verdict here. Returns
 * NULL if the text is invalid.
 */
GPtrArray *guest_partitions_parse(const char *text, uint64_t size);
/**
 * Parses the output of blkid (-o export). *@ret_type receives the type, printable and short (NULL:
 * not found); the caller frees it. Returns FALSE if it is not a file system.
 */
gboolean guest_type_parse(const char *text, char **ret_type);
