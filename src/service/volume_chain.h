/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "volume_plan.h"

/** A volume as the pools' tables know it; @name may be one that no pool has. */
typedef struct {
    CstPool *pool; /* NULL: in no active pool */
    CstPoolState *state;
    CstVolume *volume; /* NULL: not there */
    char *name;
} VolumePlace;

/**
 * Elements VolumePlace *: the volume, and what it is based on, from it down; nothing is claimed,
 * nor opened. NO_VOL; LIMIT when it leads back to itself.
 */
GPtrArray *volume_places_down(CstPool *pool, const char *name, GError **error);
gboolean volume_places_have(const GPtrArray *places, const CstPool *pool, const char *name);
