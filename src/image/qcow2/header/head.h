/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qcow2/state.h"

/**
 * The first cluster of an image: the fields of the header, the extensions after them, and the name
 * of the backing image. The cluster is read, changed in memory, and written as a whole.
 *
 * One write of the first sector makes the change valid. Content after that sector is written
 * earlier, to bytes that the old header does not use. Content that the old header uses stays
 * unchanged, or is moved first. The extension with the names of features serves only messages. It
 * is removed first if it occupies the needed bytes, and added again if it fits afterwards.
 */
typedef struct {
    Qcow2 *q;           /**< borrowed; NULL: the image is new */
    uint8_t *raw;       /**< the first cluster on the disk; NULL: the image is new */
    uint64_t bytes;     /**< number of bytes of the first cluster that may be used */
    uint64_t old_end;   /**< offset in raw of the mark that ends the extensions */
    Qcow2Header header; /**< fields to write; backing_* and length are set by the composition */
    GArray *extensions; /**< Qcow2HeadExtension, in order */
    GBytes *name;       /**< name of the backing image; NULL: no backing image */
} Qcow2Head;

/** An extension of the header. */
typedef struct {
    uint32_t type;
    GBytes *data; /**< owned */
    uint64_t at;  /**< offset of its type and length on the disk; 0: new */
} Qcow2HeadExtension;

/** Initialises the first cluster of a new image with @header. At most @bytes bytes of it are
 * used. */
void qcow2_head_init(Qcow2Head *head, const Qcow2Header *header, uint64_t bytes);
/** Reads the first cluster of @q. Borrows @q. */
gboolean qcow2_head_read(Qcow2Head *head, Qcow2 *q, GError **error);
/** Frees the members of @head. Accepts a zeroed struct. */
void qcow2_head_clear(Qcow2Head *head);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Head, qcow2_head_clear)

/** Returns the last extension of @type, which is the valid one; NULL if the header has no such
 * extension. The pointer is valid until the extensions change. */
const Qcow2HeadExtension *qcow2_head_find(const Qcow2Head *head, uint32_t type);
/** Sets the extension of @type to a copy of @len bytes of @data, at the position of the old one or
 * first. Removes the extension if @data is NULL. */
void qcow2_head_set(Qcow2Head *head, uint32_t type, const void *data, size_t len);
/** Sets the extension of @type to the string @text. Removes the extension if @text is NULL. */
void qcow2_head_set_text(Qcow2Head *head, uint32_t type, const char *text);
/** Sets the extension with the names of all known feature bits. Removes it in version 2. */
void qcow2_head_name_features(Qcow2Head *head);
/** Sets the name of the backing image; NULL: no backing image. */
void qcow2_head_set_backing(Qcow2Head *head, const char *name);

/**
 * Composes the start of a new image. Returns *ret_len bytes, which the caller frees. Leaves out the
 * names of features if they do not fit. INVALID when the other content does not fit.
 */
uint8_t *qcow2_head_pack(Qcow2Head *head, size_t *ret_len, GError **error);

/**
 * Writes the first cluster after all earlier writes (see qcow2_put_header()). Sets the header of
 * the image's state to head->header. LIMIT when the name of the backing image is too long,
 * UNSUPPORTED when one write cannot make the change; the image reads as before in both cases. After
 * other failures q->lost may be set.
 */
gboolean qcow2_head_write(Qcow2Head *head, GError **error);
