/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "rbd.h"

/**
 * Reads the properties of an image without opening it, with the methods that an OSD offers for an
 * image's objects (class "rbd"; Ceph's cls_rbd and doc/dev/rbd-layering). librbd uses the same
 * methods, and all released clients and servers support them. Answers that cannot be decoded are
 * left to librbd.
 */

typedef struct {
    uint64_t size;
    uint64_t features;
    uint64_t flags;
    uint8_t order; /**< exponent of the object size */
    gboolean mapped;
    uint64_t allocated; /**< bytes in existing objects; only if mapped */
    int64_t parent_pool;
    char *parent_namespace;
    char *parent_id; /**< NULL: not a clone */
    char *parent;    /**< path of the parent: "pool/image"; NULL: not a clone, or not looked up
                          yet */
} RbdHeader;

enum { RBD_ANSWERS_MAX = 4 };

/** Answers in librados' buffers. */
typedef struct {
    char *data[RBD_ANSWERS_MAX];
    size_t len[RBD_ANSWERS_MAX];
    int result[RBD_ANSWERS_MAX];
} RbdAnswers;

/** For RbdJob.flags: do not read the allocation. */
#define RBD_PROBE_CAPACITY_ONLY 1u

/** Frees the members of the header. */
void cst_rbd_header_clear(RbdHeader *header);
/** Frees librados' buffers for the next step. */
void cst_rbd_answers_clear(const CstCeph *ceph, RbdAnswers *answers);

/*
 * Each function adds its requests to @op and returns the name of the object to query. The caller
 * frees it.
 */

/** Requests the id of image @name. */
char *cst_rbd_id_ask(const CstCeph *ceph, rados_read_op_t op, const char *name,
                     RbdAnswers *answers);
/** Returns the image's id, which the caller frees; NULL if it cannot be decoded. */
char *cst_rbd_id_decode(const RbdAnswers *answers);
/** Requests whether an image of the old format exists; the operation fails with -ENOENT if not. */
char *cst_rbd_old_ask(const CstCeph *ceph, rados_read_op_t op, const char *name);
/**
 * Requests the name of image @id in this pool and namespace. Decode it with cst_rbd_id_decode().
 */
char *cst_rbd_name_ask(const CstCeph *ceph, rados_read_op_t op, const char *id,
                       RbdAnswers *answers);
/** Requests size, features, flags and parent. */
char *cst_rbd_header_ask(const CstCeph *ceph, rados_read_op_t op, const char *id,
                         RbdAnswers *answers);
/** Fills in @header. FALSE if an answer is missing or not valid. */
gboolean cst_rbd_header_decode(const RbdAnswers *answers, RbdHeader *header);
/** Whether the image has a valid object map. */
gboolean cst_rbd_header_has_map(const RbdHeader *header);
/** Requests the object map. */
char *cst_rbd_map_ask(const CstCeph *ceph, rados_read_op_t op, const char *id, RbdAnswers *answers);
/** Fills in the allocation of a decoded header. FALSE if the map is too short for the image. */
gboolean cst_rbd_map_decode(const RbdAnswers *answers, RbdHeader *header);
/** Returns the size of all objects that the image may have. libvirt shows it as the allocation. */
uint64_t cst_rbd_header_objects_size(const RbdHeader *header);
