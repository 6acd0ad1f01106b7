/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "state.h"

/**
 * An image's first cluster as a whole: the header's fields, the extensions behind them, the name of
 * the backing image. It is taken apart, changed in memory, and put together again.
 *
 * The disk changes with one write of the first sector. What lies behind that sector is written
 * before, to where the old header leads nobody: so it either does not change, or moves. Names of
 * features, which only messages show, are taken out first where they are in the way, and put back
 * where there is room.
 */
typedef struct {
    Qcow2 *q;           /**< borrowed; NULL: of a new image */
    uint8_t *raw;       /**< the first cluster as it is on the disk; NULL: of a new image */
    uint64_t bytes;     /**< what may be used of the first cluster */
    uint64_t old_end;   /**< raw: behind the extensions, without the mark that ends them */
    Qcow2Header header; /**< what it shall be; backing_* and length follow by themselves */
    GArray *extensions; /**< Qcow2HeadExtension, in order */
    GBytes *name;       /**< of the backing image; NULL: none */
} Qcow2Head;

typedef struct {
    uint32_t type;
    GBytes *data;
    uint64_t at; /**< of its 8 bytes of head on the disk; 0: new */
} Qcow2HeadExtension;

/** Of a new image with @header, in a first cluster of @bytes bytes. */
void qcow2_head_init(Qcow2Head *head, const Qcow2Header *header, uint64_t bytes);
/** Of @q as it is on the disk. */
gboolean qcow2_head_read(Qcow2Head *head, Qcow2 *q, GError **error);
void qcow2_head_clear(Qcow2Head *head);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Head, qcow2_head_clear)

/** The last extension of @type, which is the one that counts; NULL: there is none. */
const Qcow2HeadExtension *qcow2_head_find(const Qcow2Head *head, uint32_t type);
/** The extension of @type is @len bytes of @data, where it was, or in front; NULL: there is none.
 */
void qcow2_head_set(Qcow2Head *head, uint32_t type, const void *data, size_t len);
/** The same of a string. */
void qcow2_head_set_text(Qcow2Head *head, uint32_t type, const char *text);
/** Names for all feature bits that there are. Version 2 has none. */
void qcow2_head_name_features(Qcow2Head *head);
/** The name of the backing image; NULL: none. */
void qcow2_head_set_backing(Qcow2Head *head, const char *name);

/**
 * The first bytes of the new image; the caller's, *ret_len of them. INVALID when they don't fit.
 * Names of features are left out where they are too many.
 */
uint8_t *qcow2_head_pack(Qcow2Head *head, size_t *ret_len, GError **error);

/**
 * Writes it behind everything that was written before, as qcow2_put_header() does; the image has
 * head->header then. LIMIT when the name of the backing image is too long, UNSUPPORTED when the
 * disk can't change with one write; nothing has changed in either case.
 */
gboolean qcow2_head_write(Qcow2Head *head, GError **error);
