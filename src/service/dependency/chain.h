/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/**
 * A node of the volume graph, according to the pools' tables. @name may be a path that is in no
 * pool.
 */
typedef struct {
    CstPool *pool; /* NULL: in no active pool */
    CstPoolState *state;
    CstVolume *volume; /* NULL: missing or unknown */
    GError *unknown;   /* the error of its scan; NULL: the scan succeeded */
    char *name;
} VolumeNode;

/**
 * Scans volume @name of @pool and returns its node. @pool may be NULL. Consumes both arguments. A
 * scan error is stored in the node.
 */
VolumeNode *volume_node_new(CstPool *pool, char *name);
/**
 * Returns the node of the volume at @path. If no pool has it, the node has no pool, and the path as
 * its name.
 */
VolumeNode *volume_node_of_path(CstService *service, const char *path);
/** Frees a node with its references. */
void volume_node_free(VolumeNode *node);
/** Whether @node is the volume @name of @pool. */
gboolean volume_node_is(const VolumeNode *node, const CstPool *pool, const char *name);

/**
 * Returns the volume and its backing chain as VolumeNode *, from the volume down. Claims and opens
 * no volumes. Errors: NO_VOL; LIMIT when the chain is too long or contains a loop; the error of a
 * failed scan.
 */
GPtrArray *volume_backing_chain(CstPool *pool, const char *name, GError **error);
/**
 * Like volume_backing_chain(), but tolerates broken chains. *ret_endless: the chain contains a loop
 * or is too long, and is truncated. A failed scan ends the chain. A failed scan of the volume
 * itself is an error. Each volume is returned once.
 */
GPtrArray *volume_backing_nodes(CstPool *pool, const char *name, gboolean *ret_endless,
                                GError **error);
/** Returns whether the volume @name of @pool is in @nodes (of VolumeNode *). */
gboolean volume_nodes_have(const GPtrArray *nodes, const CstPool *pool, const char *name);
