/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/** A node of the graph of volumes, as the pools' tables know it; @name may be one no pool has. */
typedef struct {
    CstPool *pool; /* NULL: in no active pool */
    CstPoolState *state;
    CstVolume *volume; /* NULL: not there, or unknown */
    GError *unknown;   /* why it could not be scanned; NULL: it was */
    char *name;
} VolumeNode;

/**
 * Returns the node of volume @name of @pool (NULL: none), scanned now; takes both over. A scan that
 * fails is noted in the node.
 */
VolumeNode *volume_node_new(CstPool *pool, char *name);
/** Returns the node of the volume at @path, or one in no pool with the path as its name. */
VolumeNode *volume_node_of_path(CstService *service, const char *path);
/** Frees a node with its references. */
void volume_node_free(VolumeNode *node);
/** Whether @node is the volume @name of @pool. */
gboolean volume_node_is(const VolumeNode *node, const CstPool *pool, const char *name);

/**
 * Returns the volume and what it is based on, from it down, as VolumeNode *; claims and opens
 * nothing. NO_VOL; LIMIT when the chain leads back to itself; the error of a scan that failed.
 */
GPtrArray *volume_backing_chain(CstPool *pool, const char *name, GError **error);
/**
 * Returns the same, each volume once. *ret_endless: the chain leads back to itself or is too deep,
 * and ends there. A scan that fails ends the chain; that of the volume itself fails the call.
 */
GPtrArray *volume_backing_nodes(CstPool *pool, const char *name, gboolean *ret_endless,
                                GError **error);
/** Whether the volume @name of @pool is among @nodes (of VolumeNode *). */
gboolean volume_nodes_have(const GPtrArray *nodes, const CstPool *pool, const char *name);
