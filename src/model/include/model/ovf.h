/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Descriptors of virtual machines in the Open Virtualization Format (DMTF DSP0243). Only their
 * disks are parsed.
 */

/** A disk with content. */
typedef struct {
    char *id;   /**< "vmdisk1", for messages */
    char *file; /**< path of its file below the descriptor's directory, never a URL */
} CstOvfDisk;

/**
 * Parses the untrusted @text and returns its disks in order: an array of at least one CstOvfDisk.
 * @what names the text in messages. @ret_empty: number of disks without content.
 *
 * Fails with XML if the text is not a valid descriptor, DENIED if the file of a disk is not below
 * the descriptor's directory, LIMIT for too many disks, and NOT_FOUND if no disk has content. Fails
 * with UNSUPPORTED for files in chunks, for disks based on another disk, for unknown compressions,
 * and for two disks in one file.
 */
GPtrArray *cst_ovf_disks(const char *text, const char *what, guint *ret_empty, GError **error);
