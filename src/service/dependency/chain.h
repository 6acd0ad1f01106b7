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

/** Takes @pool (NULL: none) and @name. */
VolumeNode *volume_node_new(CstPool *pool, char *name);
/** What @path means to the active pools, else a node in none, named by it. */
VolumeNode *volume_node_of_path(CstService *service, const char *path);
void volume_node_free(VolumeNode *node);
gboolean volume_node_is(const VolumeNode *node, const CstPool *pool, const char *name);

/**
 * Elements VolumeNode *: the volume, and what it is based on, from it down; nothing is claimed,
 * nor opened. NO_VOL; LIMIT when it leads back to itself; the error of a scan that failed.
 */
GPtrArray *volume_backing_chain(CstPool *pool, const char *name, GError **error);
/**
 * The same, each once; *ret_endless: where it ends, it leads back to itself, or too deep. A scan
 * that fails ends it, for the volume itself with the error.
 */
GPtrArray *volume_backing_nodes(CstPool *pool, const char *name, gboolean *ret_endless,
                                GError **error);
gboolean volume_nodes_have(const GPtrArray *nodes, const CstPool *pool, const char *name);
