/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "rbd.h"

/**
 * What an image is, queried by the methods that an OSD offers on an image's objects (class "rbd";
 * Ceph's cls_rbd and doc/dev/rbd-layering), as librbd itself does, without opening the image. All
 * released clients and servers agree on them. What can't be decoded is left to librbd.
 */

typedef struct {
    uint64_t size;
    uint64_t features;
    uint64_t flags;
    uint8_t order; /**< of the object size */
    gboolean mapped;
    uint64_t allocated; /**< bytes in objects that are there; when mapped */
    int64_t parent_pool;
    char *parent_namespace;
    char *parent_id; /**< NULL: no clone */
    char *parent;    /**< path of the parent: "pool/image"; NULL: none, or not yet looked up */
} RbdHeader;

enum { RBD_ANSWERS_MAX = 4 };

/** Buffers of librados' that answers come in. */
typedef struct {
    char *data[RBD_ANSWERS_MAX];
    size_t len[RBD_ANSWERS_MAX];
    int result[RBD_ANSWERS_MAX];
} RbdAnswers;

/** For RbdJob.flags: what is allocated is of no interest. */
#define RBD_PROBE_CAPACITY_ONLY 1u

/** Frees what the header holds. */
void cst_rbd_header_clear(RbdHeader *header);
/** Frees librados' buffers, for the next step. */
void cst_rbd_answers_clear(const CstCeph *ceph, RbdAnswers *answers);

/* Each adds its questions to @op and returns the name of the object to ask. */

/** Queries the id of image @name. */
char *cst_rbd_id_ask(const CstCeph *ceph, rados_read_op_t op, const char *name,
                     RbdAnswers *answers);
/** Returns the image's id, which the caller frees; NULL when it can't be decoded. */
char *cst_rbd_id_decode(const RbdAnswers *answers);
/**
 * Queries whether there is an image of the old format; the operation fails with -ENOENT when not.
 */
char *cst_rbd_old_ask(const CstCeph *ceph, rados_read_op_t op, const char *name);
/** Queries the name of image @id in this pool and namespace; decode it as an id. */
char *cst_rbd_name_ask(const CstCeph *ceph, rados_read_op_t op, const char *id,
                       RbdAnswers *answers);
/** Queries size, features, flags and parent. */
char *cst_rbd_header_ask(const CstCeph *ceph, rados_read_op_t op, const char *id,
                         RbdAnswers *answers);
/** Fills in @header; FALSE when an answer is missing or makes no sense. */
gboolean cst_rbd_header_decode(const RbdAnswers *answers, RbdHeader *header);
/** Whether the cluster keeps a valid map of the image's objects. */
gboolean cst_rbd_header_has_map(const RbdHeader *header);
/** Queries the map of the image's objects. */
char *cst_rbd_map_ask(const CstCeph *ceph, rados_read_op_t op, const char *id, RbdAnswers *answers);
/**
 * Fills in what is allocated, of a header that was decoded; FALSE when the map is not of its size.
 */
gboolean cst_rbd_map_decode(const RbdAnswers *answers, RbdHeader *header);
/**
 * Returns the size of all objects that the image may have, which is what libvirt calls its
 * allocation.
 */
uint64_t cst_rbd_header_objects_size(const RbdHeader *header);
