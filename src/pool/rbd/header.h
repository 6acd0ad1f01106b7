/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "rbd.h"

/**
 * What an image is, asked for with the methods that an OSD offers on an image's objects (class
 * "rbd"; Ceph's cls_rbd and doc/dev/rbd-layering): librbd's own way, without opening the image.
 * They are what every released client and server agree on. What can't be decoded is for librbd.
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

void cst_rbd_header_clear(RbdHeader *header);
void cst_rbd_answers_clear(const CstCeph *ceph, RbdAnswers *answers);

/* Each adds its questions to @op and returns the name of the object to ask. */

char *cst_rbd_id_ask(const CstCeph *ceph, rados_read_op_t op, const char *name,
                     RbdAnswers *answers);
/** NULL when it can't be decoded. */
char *cst_rbd_id_decode(const RbdAnswers *answers);
/** Whether there is an image of the old format: -ENOENT when not. */
char *cst_rbd_old_ask(const CstCeph *ceph, rados_read_op_t op, const char *name);
/** What the image @id of this pool and namespace is called: decoded as an id is. */
char *cst_rbd_name_ask(const CstCeph *ceph, rados_read_op_t op, const char *id,
                       RbdAnswers *answers);
char *cst_rbd_header_ask(const CstCeph *ceph, rados_read_op_t op, const char *id,
                         RbdAnswers *answers);
gboolean cst_rbd_header_decode(const RbdAnswers *answers, RbdHeader *header);
/** Whether the cluster keeps a map of the image's objects that can be believed. */
gboolean cst_rbd_header_has_map(const RbdHeader *header);
char *cst_rbd_map_ask(const CstCeph *ceph, rados_read_op_t op, const char *id, RbdAnswers *answers);
gboolean cst_rbd_map_decode(const RbdAnswers *answers, RbdHeader *header);
/** All objects that the image may have: what libvirt calls its allocation. */
uint64_t cst_rbd_header_objects_size(const RbdHeader *header);
