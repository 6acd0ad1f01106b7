/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "state.h"

/**
 * The first cluster of an image: the header's fields, the extensions behind them, the name of the
 * backing image. It is read, changed in memory, and written as a whole.
 *
 * One write of the first sector makes the change. What lies behind that sector is written before,
 * to bytes that the old header does not use: so it either stays as it is, or moves. The extension
 * with the names of features, which only messages show, is removed first if it is in the way, and
 * added again if there is room.
 */
typedef struct {
    Qcow2 *q;         /**< borrowed; NULL: the image is new */
    uint8_t *raw;     /**< the first cluster as it is on the disk; NULL: the image is new */
    uint64_t bytes;   /**< how much of the first cluster may be used */
    uint64_t old_end; /**< offset in raw behind the extensions, where the mark that ends them is */
    Qcow2Header header; /**< fields to be written; backing_* and length are set when composed */
    GArray *extensions; /**< Qcow2HeadExtension, in order */
    GBytes *name;       /**< name of the backing image; NULL: none */
} Qcow2Head;

/** An extension of the header. */
typedef struct {
    uint32_t type;
    GBytes *data; /**< owned */
    uint64_t at;  /**< offset of its type and length on the disk; 0: new */
} Qcow2HeadExtension;

/** Sets up the first cluster of a new image with @header; at most @bytes bytes of it are used. */
void qcow2_head_init(Qcow2Head *head, const Qcow2Header *header, uint64_t bytes);
/** Reads the first cluster of @q, which is borrowed. */
gboolean qcow2_head_read(Qcow2Head *head, Qcow2 *q, GError **error);
/** Frees what @head owns. May be called for a struct of zeroes. */
void qcow2_head_clear(Qcow2Head *head);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Head, qcow2_head_clear)

/** Returns the last extension of @type, which is the valid one; NULL if there is none. Valid until
 * the extensions change. */
const Qcow2HeadExtension *qcow2_head_find(const Qcow2Head *head, uint32_t type);
/** Sets the extension of @type to a copy of @len bytes of @data, in the place of the old one or in
 * front of the others. @data may be NULL: removes the extension. */
void qcow2_head_set(Qcow2Head *head, uint32_t type, const void *data, size_t len);
/** Sets the extension of @type to a string; @text may be NULL: removes the extension. */
void qcow2_head_set_text(Qcow2Head *head, uint32_t type, const char *text);
/** Sets the extension with the names of all known feature bits; removes it in version 2. */
void qcow2_head_name_features(Qcow2Head *head);
/** Sets the name of the backing image; @name may be NULL: there is none. */
void qcow2_head_set_backing(Qcow2Head *head, const char *name);

/**
 * Returns the first *ret_len bytes of a new image; the caller's. Leaves out the names of features
 * where they do not fit. INVALID when the rest does not fit either.
 */
uint8_t *qcow2_head_pack(Qcow2Head *head, size_t *ret_len, GError **error);

/**
 * Writes the first cluster after everything that was written before (see qcow2_put_header()), and
 * sets the header of the image's state to head->header. LIMIT when the name of the backing image is
 * too long, UNSUPPORTED when the header has no room in which one write could change it; nothing
 * has changed for readers in either case. After other failures q->lost may be set.
 */
gboolean qcow2_head_write(Qcow2Head *head, GError **error);
