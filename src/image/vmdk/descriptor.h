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
    uint32_t next_parent_cid; /**< also valid, while the parent changes; VMDK_NO_PARENT: none */
    gboolean other_parent;    /**< the three about the parent are not what is in the text */
    char *create_type;        /**< NULL: not said */
    char *parent;             /**< parentFileNameHint; NULL: none */
    GArray *lines;            /**< VmdkLine */
    guint extents;            /**< lines in the text */
    uint64_t sectors;         /**< sum of the lines */
    uint64_t heads, track;
    const char *problem; /**< what is wrong, to be shown; NULL: sound */
} VmdkDescriptor;

/**
 * Parses @text. Never fails: damage is reported in problem. Without @keep only the first extent's
 * line is kept, and not the text. vmdk_descriptor_clear() the result.
 */
void vmdk_descriptor_parse(const char *text, gboolean keep, VmdkDescriptor *ret_descriptor);
/** Frees what @descriptor holds and zeroes it. */
void vmdk_descriptor_clear(VmdkDescriptor *descriptor);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmdkDescriptor, vmdk_descriptor_clear)

/** Appends an extent that is writable, at offset 0 of @file. @type and @file are copied. */
void vmdk_descriptor_add(VmdkDescriptor *descriptor, uint64_t sectors, const char *type,
                         const char *file);
/** Returns the type of an extent's line as a constant; "" for a type that no VMDK has. */
const char *vmdk_line_kind(const VmdkLine *line);

static inline VmdkLine *vmdk_descriptor_line(const VmdkDescriptor *descriptor, guint index)
{
    return &g_array_index(descriptor->lines, VmdkLine, index);
}

/**
 * Returns the kept text with the content ID, the extents, the geometry when the size has changed,
 * and the parent when other_parent is set, as @descriptor has them now. All other lines stay as
 * they were. g_free() it.
 */
char *vmdk_descriptor_render(const VmdkDescriptor *descriptor);

/**
 * Returns a new text, of cid, parent_cid, create_type, parent and lines of @descriptor. g_free()
 * it.
 */
char *vmdk_descriptor_compose(const VmdkDescriptor *descriptor, const char *adapter_type,
                              const char *hw_version);
