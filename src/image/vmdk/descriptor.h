/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "look.h"

/**
 * The text descriptor of a VMDK image (VMware "Virtual Disk Format 5.0", "The Descriptor File"),
 * a file of its own or embedded in a sparse extent.
 */
#define VMDK_MAX_DESCRIPTOR (64u << 10)

typedef struct {
    uint64_t sectors; /**< sum of the extents */
    unsigned extents;
} VmdkExtents;

/**
 * Takes subformat and backing from @text (writable, NUL-terminated) into look->info, and the first
 * extent's file as the data file. A size that overflows is a problem.
 */
void vmdk_descriptor_parse(CstImageLook *look, char *text, VmdkExtents *ret_extents);
