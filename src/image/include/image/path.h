/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/chain.h>

/**
 * Opens images by path. A file that an image refers to is opened only as far as the caller agreed.
 * Parts (the extents of a VMDK, a data file of qcow2) are opened only in the image's own directory,
 * because they are written to. Backing files are opened from any directory, but only with
 * CST_PATH_FOLLOW.
 */

typedef enum {
    CST_PATH_FOLLOW = 1 << 0 /**< open backing files, by the names in the images */
} CstPathFlags;

/**
 * Returns the policy for a chain whose blobs are files. @flags are CstPathFlags. Without
 * CST_PATH_FOLLOW chains end after one image. Names of protocols ("nbd://…", "json:{…}") are
 * UNSUPPORTED. Parts with a name outside the directory are INVALID or DENIED.
 */
CstChainFiles cst_path_files(unsigned flags);

/**
 * Returns callbacks for the parts of one image that is created or opened without a chain. Borrows
 * @owner, the file of the image.
 */
CstImageFiles cst_path_parts(CstBlob *owner);

/**
 * Opens the data file @name of the image at @owner, in any directory, if the caller has named the
 * file, too. @consented is a list of paths that ends with NULL. Opens the caller's path, and only
 * if the image's name leads to the same file. For writing the file is claimed as by
 * cst_image_hold(). DENIED when the image refers to another file.
 */
CstBlob *cst_path_open_data(CstBlob *owner, const char *name, const char *const *consented,
                            gboolean writable, GError **error);

/**
 * Returns the path of the reference @name in the image at the path @owner. NULL when @name is a
 * protocol and not a file. g_free() it.
 */
char *cst_path_named(const char *owner, const char *name);

/**
 * As cst_path_named(), for the backing file @name of the image @owner. Removes ".." from the path,
 * because cst_blob_file_open() refuses it in a directory that another user can move. Keeps ".." if
 * the path without it leads to another file. A protocol is UNSUPPORTED. g_free() the result.
 */
char *cst_path_backing(CstBlob *owner, const char *name, GError **error);

/** Prepends both names and the next step to a DENIED *@error of opening that backing file. */
void cst_path_explain_backing(CstBlob *owner, const char *name, GError **error);

/**
 * Opens the image at @path as @format with @open_flags (CstImageOpenFlags) and @path_flags. A NULL
 * @format is probed, which is unsafe if a guest can write a raw image. For writing the image is
 * claimed first, as by cst_image_hold(). DENIED when it has a backing file that must not be
 * followed.
 */
CstChain *cst_path_open(const char *path, const CstImageFormat *format, unsigned open_flags,
                        unsigned path_flags, GError **error);
