/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * The text descriptor of a VMDK image (VMware "Virtual Disk Format 5.0", "The Descriptor File"), a
 * file of its own or embedded in a sparse extent: `key = value` lines, lines of extents, and a
 * small data base that is kept as it is.
 */
#define VMDK_MAX_DESCRIPTOR  (64u << 10)
#define VMDK_MAX_EXTENTS     4096u
#define VMDK_NO_PARENT       0xffffffffu
#define VMDK_DESCRIPTOR_MARK "# Disk DescriptorFile"

typedef enum { VMDK_RW, VMDK_RDONLY, VMDK_NOACCESS } VmdkAccess;

typedef struct {
    VmdkAccess access;
    uint64_t sectors;
    char *type;      /**< "SPARSE", "FLAT", "ZERO", … */
    char *file;      /**< NULL: none */
    uint64_t offset; /**< in the file, sectors */
} VmdkLine;

typedef struct {
    char *text;
    uint32_t cid; /**< changes whenever the content does */
    uint32_t parent_cid;
    uint32_t next_parent_cid; /**< that it may have as well, or soon; VMDK_NO_PARENT: none */
    gboolean other_parent;    /**< the three about the parent are not what is in the text */
    char *create_type;        /**< NULL: not said */
    char *parent;             /**< parentFileNameHint; NULL: none */
    GArray *lines;            /**< VmdkLine */
    guint extents;            /**< lines in the text */
    uint64_t sectors;         /**< sum of the lines */
    uint64_t heads, track;
    const char *problem; /**< what is wrong, to be shown; NULL: sound */
} VmdkDescriptor;

/** Never fails; see problem. Without @keep only the first line, and no text, is kept. */
void vmdk_descriptor_parse(const char *text, gboolean keep, VmdkDescriptor *ret_descriptor);
void vmdk_descriptor_clear(VmdkDescriptor *descriptor);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmdkDescriptor, vmdk_descriptor_clear)

/** @type and @file are copied. */
void vmdk_descriptor_add(VmdkDescriptor *descriptor, uint64_t sectors, const char *type,
                         const char *file);
/** The type that an extent's line gives, as a constant; "" for those that no VMDK has. */
const char *vmdk_line_kind(const VmdkLine *line);

static inline VmdkLine *vmdk_descriptor_line(const VmdkDescriptor *descriptor, guint index)
{
    return &g_array_index(descriptor->lines, VmdkLine, index);
}

/**
 * The text with the content ID, the lines of extents, when the size has changed the geometry, and
 * when other_parent is set the parent as they are in @descriptor now; everything else as it was.
 */
char *vmdk_descriptor_render(const VmdkDescriptor *descriptor);

/** A new text: cid, parent_cid, create_type, parent and lines from @descriptor. */
char *vmdk_descriptor_compose(const VmdkDescriptor *descriptor, const char *adapter_type,
                              const char *hw_version);
