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
 * Return the geometry for @sectors ("Appendix: CHS Calculation"), which may cover slightly less.
 */
VpcGeometry vpc_geometry_for(uint64_t sectors);
/**
 * Return the smallest geometry that covers @sectors; the largest geometry if @sectors exceeds
 * VPC_MAX_GEOMETRY.
 */
VpcGeometry vpc_geometry_round_up(uint64_t sectors);

static inline uint64_t vpc_geometry_sectors(VpcGeometry geometry)
{
    return (uint64_t)geometry.cylinders * geometry.heads * geometry.sectors;
}
