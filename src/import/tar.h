/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "import_private.h"

/**
 * A tar archive (POSIX ustar, pax, GNU) in a blob, as a table of its regular files. Names are only
 * ever compared: nothing is unpacked to where an archive says.
 */
typedef struct ImportTar ImportTar;

typedef struct {
    char *name;      /**< without a leading "./" */
    uint64_t offset; /**< of the content in the blob */
    uint64_t length;
} ImportTarEntry;

/** Bytes by which an archive is recognised. */
#define IMPORT_TAR_HEAD 512

/** Whether @len bytes are the header of an entry. */
gboolean import_tar_probe(const uint8_t *head, size_t len);
/**
 * Reads the headers. CORRUPT for damaged ones and entries that are longer than the archive; DENIED
 * for links and devices, which an OVA has no use for; UNSUPPORTED for sparse entries; LIMIT for
 * more entries than an OVA has.
 */
ImportTar *import_tar_open(CstBlob *blob, CstTask *task, GError **error);
void import_tar_free(ImportTar *tar);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportTar, import_tar_free)

/** Whether the mark was there that ends an archive. FALSE: it may have been cut off. */
gboolean import_tar_is_complete(const ImportTar *tar);
/** How many files there are. */
guint import_tar_count(const ImportTar *tar);
/** One of them; borrowed. */
const ImportTarEntry *import_tar_entry(const ImportTar *tar, guint index);
/** The file called @name, which is there once; NULL: not at all. */
const ImportTarEntry *import_tar_find(const ImportTar *tar, const char *name);
