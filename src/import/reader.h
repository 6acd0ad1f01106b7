/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/digest.h>

#include "import_private.h"

/**
 * A sequential source of bytes: a pipe, a blob from its beginning, or the output of a decompressor
 * over another reader. Used by one thread.
 */
typedef struct ImportReader ImportReader;

typedef struct {
    /** Reads at least one and at most @len bytes. *ret_len of 0: the end. */
    gboolean (*read)(ImportReader *reader, uint8_t *buf, size_t len, size_t *ret_len,
                     GError **error);
    void (*free)(ImportReader *reader);
} ImportReaderOps;

/** First member of every implementation's struct. */
struct ImportReader {
    const ImportReaderOps *ops;
    char *name;           /**< for messages */
    CstTask *task;        /**< borrowed; may be NULL */
    GByteArray *peeked;   /**< bytes read ahead and not returned yet */
    uint64_t taken;       /**< bytes returned */
    uint64_t memory;      /**< of the first reader: bytes of memory of all decompressors over it */
    ImportReader *origin; /**< the first reader of the chain; may be this one */
    CstDigest *digest;    /**< borrowed: of all bytes that are returned; may be NULL */
};

/** Initialises the head of an implementation's struct. Copies @name. */
void import_reader_init(ImportReader *reader, const ImportReaderOps *ops, const char *name,
                        CstTask *task);
/** Closes the reader. NULL is accepted. */
void import_reader_free(ImportReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportReader, import_reader_free)

/** Reads @len bytes, or fewer before the end. Fails with CANCELLED if the task is cancelled. */
gboolean import_reader_read(ImportReader *reader, void *buf, size_t len, size_t *ret_len,
                            GError **error);
/**
 * Returns the next @len bytes, or fewer before the end, without consuming them. *@ret_bytes is
 * borrowed.
 */
gboolean import_reader_peek(ImportReader *reader, size_t len, const uint8_t **ret_bytes,
                            size_t *ret_len, GError **error);

/** Makes a reader of @fd, a pipe or a terminal, and owns @fd. */
ImportReader *import_reader_of_fd(int fd, const char *name, CstTask *task);
/** Makes a reader of @blob from its beginning. Acquires a reference of @blob. */
ImportReader *import_reader_of_blob(CstBlob *blob, CstTask *task);
/** Reads all remaining bytes, so that the digest covers them. Advances the task. */
gboolean import_reader_drain(ImportReader *reader, GError **error);
