/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/** A volume as the pools' tables know it; @name may be one that no pool has. */
typedef struct {
    CstPool *pool; /* NULL: in no active pool */
    CstPoolState *state;
    CstVolume *volume; /* NULL: not there, or unknown */
    GError *unknown;   /* why it could not be looked at; NULL: it was */
    char *name;
} VolumePlace;

/** Takes @pool (NULL: none) and @name. */
VolumePlace *volume_place_new(CstPool *pool, char *name);
/** What @path means to the active pools, else a place in none, named by it. */
VolumePlace *volume_place_of_path(CstService *service, const char *path);
void volume_place_free(VolumePlace *place);
gboolean volume_place_is(const VolumePlace *place, const CstPool *pool, const char *name);

/**
 * Elements VolumePlace *: the volume, and what it is based on, from it down; nothing is claimed,
 * nor opened. NO_VOL; LIMIT when it leads back to itself; the error of a look that failed.
 */
GPtrArray *volume_places_down(CstPool *pool, const char *name, GError **error);
/**
 * The same, each once; *ret_endless: where it ends, it leads back to itself, or too deep. A look
 * that fails ends it, for the volume itself with the error.
 */
GPtrArray *volume_places_line(CstPool *pool, const char *name, gboolean *ret_endless,
                              GError **error);
gboolean volume_places_have(const GPtrArray *places, const CstPool *pool, const char *name);
