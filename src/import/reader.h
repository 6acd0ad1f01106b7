/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/digest.h>

#include "import_private.h"

/**
 * Bytes that come in order: a pipe, a blob from its beginning, what a decompressor makes of another
 * reader. Used by one thread.
 */
typedef struct ImportReader ImportReader;

typedef struct {
    /** Reads at least one byte and at most @len; *ret_len of 0: the end. */
    gboolean (*read)(ImportReader *reader, uint8_t *buf, size_t len, size_t *ret_len,
                     GError **error);
    void (*free)(ImportReader *reader);
} ImportReaderOps;

/** First member of every implementation's struct. */
struct ImportReader {
    const ImportReaderOps *ops;
    char *name;           /**< for messages */
    CstTask *task;        /**< borrowed; may be NULL */
    GByteArray *peeked;   /**< read ahead, and not given out yet */
    uint64_t taken;       /**< bytes given out */
    uint64_t memory;      /**< of an origin: bytes of all decompressors over it */
    ImportReader *origin; /**< the first reader of the chain; this one, if it is the first */
    CstDigest *digest;    /**< borrowed: of all bytes that are given out; may be NULL */
};

/** Initialises the head of an implementation's struct. Copies @name. */
void import_reader_init(ImportReader *reader, const ImportReaderOps *ops, const char *name,
                        CstTask *task);
/** Closes it. NULL is accepted. */
void import_reader_free(ImportReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImportReader, import_reader_free)

/** Reads @len bytes, or what is left before the end. CANCELLED as the task. */
gboolean import_reader_read(ImportReader *reader, void *buf, size_t len, size_t *ret_len,
                            GError **error);
/** Gives the next bytes without taking them: @len of them, or what is left; borrowed. */
gboolean import_reader_peek(ImportReader *reader, size_t len, const uint8_t **ret_bytes,
                            size_t *ret_len, GError **error);

/** Reads @fd, which it takes over: a pipe or a terminal. */
ImportReader *import_reader_of_fd(int fd, const char *name, CstTask *task);
/** Reads @blob from its beginning; references it. */
ImportReader *import_reader_of_blob(CstBlob *blob, CstTask *task);
/** Reads all that is left, for the digest's sake. Advances the task by it. */
gboolean import_reader_drain(ImportReader *reader, GError **error);
