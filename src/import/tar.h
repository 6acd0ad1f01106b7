/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/**
 * A tar archive (POSIX ustar, pax, GNU) in a blob, as a table of its regular files. Names are only
 * compared: no file is written to a path from an archive.
 */
typedef struct ImportTar ImportTar;

typedef struct {
    char *name;      /**< without a leading "./" */
    uint64_t offset; /**< of the content in the blob */
    uint64_t length;
} ImportTarEntry;

/** Bytes needed to recognise an archive. */
#define IMPORT_TAR_HEAD 512

/** Returns whether @len bytes at @head are the header of an entry. */
gboolean import_tar_probe(const uint8_t *head, size_t len);
/**
 * Reads the headers. Fails with:
 * - CORRUPT for damaged headers and entries longer than the archive;
 * - DENIED for links and devices, which an OVA does not need;
 * - UNSUPPORTED for sparse entries;
 * - LIMIT for more entries than an OVA can have.
 */
ImportTar *import_tar_open(CstBlob *blob, CstTask *task, GError **error);
void import_tar_free(ImportTar *tar);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportTar, import_tar_free)

/** Returns whether the end mark of the archive was found. FALSE: the archive may be cut off. */
gboolean import_tar_is_complete(const ImportTar *tar);
/** Returns the number of regular files. */
guint import_tar_count(const ImportTar *tar);
/** Returns the file with @index; borrowed. */
const ImportTarEntry *import_tar_entry(const ImportTar *tar, guint index);
/** Returns the file called @name, or NULL. Names are unique. Borrowed. */
const ImportTarEntry *import_tar_find(const ImportTar *tar, const char *name);
