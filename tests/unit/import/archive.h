/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/* Tar archives, made as a test wants them, in a GByteArray. */

/** Appends an entry: @type is '0' for a file, 'x' for a pax header, 'L' for a long name. */
void archive_add(GByteArray *archive, char type, const char *name, const void *content, size_t len);
/** Like archive_add(), with a header that gives @told as the size. */
void archive_add_told(GByteArray *archive, char type, const char *name, const void *content,
                      size_t len, uint64_t told);
/** Appends a pax header with @records: "KEY=VALUE" lines. The lengths are added. */
void archive_add_pax(GByteArray *archive, const char *const *records);
/** Appends the mark that ends an archive. */
void archive_end(GByteArray *archive);
