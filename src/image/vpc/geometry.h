/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#define VPC_MAX_GEOMETRY (65535u * 16 * 255)

typedef struct {
    uint16_t cylinders;
    uint8_t heads;
    uint8_t sectors; /**< per track */
} VpcGeometry;

/**
 * Returns the geometry for @sectors ("Appendix: CHS Calculation"), which may cover a little less.
 */
VpcGeometry vpc_geometry_for(uint64_t sectors);
/**
 * Returns the smallest geometry that covers @sectors; the largest one when that is beyond
 * VPC_MAX_GEOMETRY.
 */
VpcGeometry vpc_geometry_round_up(uint64_t sectors);

static inline uint64_t vpc_geometry_sectors(VpcGeometry geometry)
{
    return (uint64_t)geometry.cylinders * geometry.heads * geometry.sectors;
}
