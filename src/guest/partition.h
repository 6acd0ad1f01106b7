/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <guest/guest.h>

/** Makes a part that nobody has looked into. */
CstGuestPart *guest_part_new(guint number, uint64_t offset, uint64_t length);
void guest_part_free(gpointer part);
/** Sets the verdict, and takes @detail over (NULL: none). */
void guest_part_judge(CstGuestPart *part, CstGuestVerdict verdict, char *detail);

/**
 * Parses what partx prints of a disk of @size bytes: "NUMBER START SECTORS TYPE SCHEME" a line.
 * Returns CstGuestPart *, CST_GUEST_PARTS at most. Containers of partitions are left out; one that
 * cannot be looked into (it is not all there, or overlaps another one) is judged. NULL when that is
 * no such text.
 */
GPtrArray *guest_partitions_parse(const char *text, uint64_t size);
/**
 * Finds what blkid (-o export) says a part holds, in *@ret_type (NULL: nothing), printable and
 * short; the caller frees it. FALSE when that is no file system.
 */
gboolean guest_type_parse(const char *text, char **ret_type);
