/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The geometry (cylinders, heads, sectors per track) that the specification's appendix derives from
 * a size, and its inverse. A geometry may not cover the whole size: programs that use the geometry
 * see a disk of vpc_geometry_sectors().
 */
#include "geometry.h"

VpcGeometry vpc_geometry_for(uint64_t sectors)
{
    uint64_t tracks, heads;

    sectors = MIN(sectors, VPC_MAX_GEOMETRY);
    if (sectors >= 65535u * 16 * 63)
        return (VpcGeometry){(uint16_t)(sectors / 255 / 16), 16, 255};
    tracks = sectors / 17;
    heads = MAX((tracks + 1023) / 1024, 4);
    if (heads <= 16 && tracks < heads * 1024)
        return (VpcGeometry){(uint16_t)(tracks / heads), (uint8_t)heads, 17};
    tracks = sectors / 31;
    if (tracks < 16 * 1024)
        return (VpcGeometry){(uint16_t)(tracks / 16), 16, 31};
    return (VpcGeometry){(uint16_t)(sectors / 63 / 16), 16, 63};
}

/* Searches step by step like QEMU, so that both create images of the same size. */
VpcGeometry vpc_geometry_round_up(uint64_t sectors)
{
    VpcGeometry geometry = vpc_geometry_for(sectors);
    uint64_t wanted = MIN(sectors, VPC_MAX_GEOMETRY);

    for (uint64_t more = sectors; vpc_geometry_sectors(geometry) < wanted; more++)
        geometry = vpc_geometry_for(more);
    return geometry;
}
