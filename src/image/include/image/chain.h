/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * An image with its backing images. The caller decides for each file whether it may be opened. A
 * file that an image refers to is opened only through a callback of CstChainFiles.
 */
typedef struct CstChain CstChain;

/** Maximum number of images of a chain. A longer chain, or one that contains itself, is LIMIT. */
#define CST_CHAIN_MAX 256

/**
 * The caller's policy for opening files. @owner is the file of the image that contains the
 * reference. All callbacks return a new reference, or NULL with @error set.
 */
typedef struct {
    /** Opens the backing reference @name of the image. NULL: chains end after one image. */
    CstBlob *(*open_backing)(CstBlob *owner, const char *name, gpointer data, GError **error);
    /**
     * Returns the format of @backing, a result of open_backing, if the caller knows it. NULL: use
     * the format that the image declares. NULL callback: always use the declared format.
     */
    const CstImageFormat *(*format_of)(CstBlob *backing, gpointer data);
    /** Opens a part of an image of several files. NULL: such images are refused. */
    CstBlob *(*open_part)(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error);
    /**
     * Opens the external data file of a qcow2 image for reading or writing. The reference is
     * untrusted and may be the name of any file. NULL: use open_part in chains that follow backing
     * files, else refuse the image.
     */
    CstBlob *(*open_data)(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error);
    /** Creates an empty part in the directory of the image. NULL: parts cannot be created. */
    CstBlob *(*create_part)(CstBlob *owner, const char *name, gpointer data, GError **error);
    gpointer data; /**< must outlive the chain */
} CstChainFiles;

/**
 * Opens @blob as @format (NULL: probed) with @flags (CstImageOpenFlags), and its backing images for
 * reading only. A backing file without a declared format is probed. Such a file must not refer to
 * another file (DENIED), because a guest could write a header with the reference into a raw disk.
 * @files NULL: no other file is opened.
 *
 * An image opens even if its backing image is left out, but content of the backing image cannot be
 * read.
 */
CstChain *cst_chain_open(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                         const CstChainFiles *files, GError **error);
/**
 * Collects the chain: opens each file and inspects its image, but opens no image. Before
 * cst_chain_open_images() only cst_chain_length(), cst_chain_blob() and cst_chain_info() may be
 * called.
 */
CstChain *cst_chain_look(CstBlob *blob, const CstImageFormat *format, const CstChainFiles *files,
                         GError **error);
/**
 * Opens the images of a chain from cst_chain_look(): the top image with @flags, the images below
 * for reading only. @snapshot: show this snapshot of the top image, for reading; NULL: its present
 * content.
 */
gboolean cst_chain_open_images(CstChain *chain, unsigned flags, const char *snapshot,
                               GError **error);
/** Closes all images and files. Written data is durable only after cst_image_flush(). */
void cst_chain_free(CstChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstChain, cst_chain_free)

/**
 * Returns the top image; borrowed. Do not call it after cst_chain_guest(), which consumes the
 * image.
 */
CstImage *cst_chain_image(CstChain *chain);
/** Returns the guest's view of the whole chain, writable if the top image is; borrowed. */
CstBlob *cst_chain_guest(CstChain *chain);

/** Returns the number of images in the chain. Image 0 is the top one. */
guint cst_chain_length(const CstChain *chain);
/** Returns the file of image @index; borrowed. */
CstBlob *cst_chain_blob(const CstChain *chain, guint index);
/** Returns the header information of image @index; borrowed. */
const CstImageInfo *cst_chain_info(const CstChain *chain, guint index);

/* --- not in the library: several views of one chain, its files, and a check ------------------- */

/** Returns FALSE with @error set if the copied content cannot be used. */
typedef gboolean (*CstChainCheck)(gpointer data, GError **error);
/**
 * Sets a check of the files that are read. cst_chain_rebase(), cst_chain_flatten() and
 * cst_chain_commit() call it after the content was copied, and before a reference changes or the
 * top image is emptied. If the check fails, the reference or the content of the top image stays,
 * and the operation fails with its error.
 */
void cst_chain_set_check(CstChain *chain, CstChainCheck check, gpointer data);

/**
 * Opens another guest's view of the whole chain for reading, at snapshot @snapshot of the top image
 * (NULL: now). The view is independent of other open views. Returns a new reference, which must be
 * dropped before the chain is freed.
 */
CstBlob *cst_chain_view(CstChain *chain, const char *snapshot, GError **error);
/**
 * Returns the files of the chain (CstBlob): the file of each image in their order, then each part
 * and data file that an image has opened. The caller frees the array. May be called from any
 * thread.
 */
GPtrArray *cst_chain_files(CstChain *chain);
/** Whether the chain has opened the file for writing, as an image or as a part. Any thread. */
gboolean cst_chain_writes(CstChain *chain, CstBlob *blob);
