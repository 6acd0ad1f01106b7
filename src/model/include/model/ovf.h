/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Descriptors of virtual machines in the Open Virtualization Format (DMTF DSP0243), as far as they
 * are about disks.
 */

/** A disk with content. */
typedef struct {
    char *id;   /**< "vmdisk1", for messages */
    char *file; /**< the path of its file below the descriptor's directory: never a URL */
} CstOvfDisk;

/**
 * Parses the untrusted @text, which @what names in messages, and gives its disks in their order:
 * elements CstOvfDisk, at least one. XML for what is no descriptor; DENIED for a disk whose file is
 * not beside it; UNSUPPORTED for files in pieces, for disks based on others and for two disks in
 * one file; NOT_FOUND when no disk has content. @ret_empty: how many have none.
 */
GPtrArray *cst_ovf_disks(const char *text, const char *what, guint *ret_empty, GError **error);
