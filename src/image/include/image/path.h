/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/**
 * Images by their paths. What an image names is opened only as far as the caller agreed: its parts
 * (the extents of a VMDK, a data file of qcow2) from its own directory and nowhere else, because
 * they are written to; its backing files from anywhere, but only when asked to follow them.
 */

typedef enum {
    CST_PATH_FOLLOW = 1 << 0 /**< open backing files, by the names that the images have */
} CstPathFlags;

/**
 * What a chain whose blobs are files may open; @flags are CstPathFlags. Without CST_PATH_FOLLOW
 * chains end after one image. Names of protocols ("nbd://…", "json:{…}") are UNSUPPORTED, parts
 * whose names lead out of the directory INVALID or DENIED.
 */
CstChainFiles cst_path_files(unsigned flags);

/**
 * Returns callbacks for the parts of one image that is created or opened without a chain. Borrows
 * @owner, the file of the image.
 */
CstImageFiles cst_path_parts(CstBlob *owner);

/**
 * Opens the data file that the image at @owner calls @name, wherever it lies, if it is one that the
 * caller has named as well: @consented is a list of paths that ends with NULL. The caller's path is
 * what is opened, and only where the image's name leads to the same file; for writing the file is
 * claimed as by cst_image_hold(). DENIED when the image names another file.
 */
CstBlob *cst_path_open_data(CstBlob *owner, const char *name, const char *const *consented,
                            gboolean writable, GError **error);

/**
 * Returns the path that the reference @name means in the image at the path @owner; NULL when @name
 * is no file but a protocol. g_free() it.
 */
char *cst_path_named(const char *owner, const char *name);

/**
 * Opens the image at @path as @format (NULL: probed, which a guest that may write a raw image can
 * deceive) with @open_flags (CstImageOpenFlags) and @path_flags. For writing it is claimed first,
 * as cst_image_hold() does. DENIED when it is based on a file that is not to be followed.
 */
CstChain *cst_path_open(const char *path, const CstImageFormat *format, unsigned open_flags,
                        unsigned path_flags, GError **error);
