/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * The text descriptor of a VMDK image (VMware "Virtual Disk Format 5.0", "The Descriptor File"). It
 * is a separate file or embedded in a sparse extent. It consists of `key = value` lines, lines of
 * extents, and a small data base that is preserved unchanged.
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
    char *file;      /**< NULL: the line names no file */
    uint64_t offset; /**< in the file, sectors */
} VmdkLine;

typedef struct {
    char *text;
    uint32_t cid; /**< content ID; changes when the content changes */
    uint32_t parent_cid;
    uint32_t next_parent_cid; /**< also valid during a change; VMDK_NO_PARENT: not set */
    gboolean other_parent;    /**< parent_cid, next_parent_cid and parent differ from the text */
    char *create_type;        /**< NULL: not in the text */
    char *parent;             /**< parentFileNameHint; NULL: no parent */
    GArray *lines;            /**< VmdkLine */
    guint extents;            /**< lines in the text */
    uint64_t sectors;         /**< sum of the lines */
    uint64_t heads, track;
    const char *problem; /**< user-visible description of the damage; NULL: sound */
} VmdkDescriptor;

/**
 * Parse @text. Never fails: damage is reported in problem. Without @keep, only the first extent's
 * line is kept, and the text is dropped. The caller frees the result with vmdk_descriptor_clear().
 */
void vmdk_descriptor_parse(const char *text, gboolean keep, VmdkDescriptor *ret_descriptor);
/** Free the fields of @descriptor and zero it. */
void vmdk_descriptor_clear(VmdkDescriptor *descriptor);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmdkDescriptor, vmdk_descriptor_clear)

/** Append a writable extent at offset 0 of @file. @type and @file are copied. */
void vmdk_descriptor_add(VmdkDescriptor *descriptor, uint64_t sectors, const char *type,
                         const char *file);
/** Return the type of an extent's line as a constant string; "" for an unknown type. */
const char *vmdk_line_kind(const VmdkLine *line);

static inline VmdkLine *vmdk_descriptor_line(const VmdkDescriptor *descriptor, guint index)
{
    return &g_array_index(descriptor->lines, VmdkLine, index);
}

/**
 * Render the kept text with the present values of @descriptor: the content ID and the extents, the
 * geometry if the size has changed, and the parent if other_parent is set. All other lines are
 * copied unchanged. The caller frees the result with g_free().
 */
char *vmdk_descriptor_render(const VmdkDescriptor *descriptor);

/**
 * Compose a new text from cid, parent_cid, create_type, parent and lines of @descriptor. The caller
 * frees the result with g_free().
 */
char *vmdk_descriptor_compose(const VmdkDescriptor *descriptor, const char *adapter_type,
                              const char *hw_version);
