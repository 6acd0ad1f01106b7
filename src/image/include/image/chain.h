/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * An image with the images it is based on. Which files may be opened is the caller's decision, file
 * by file: nothing that an image names is opened unless a callback here gives it out.
 */
typedef struct CstChain CstChain;

/** Most images of a chain. A longer one, or one that contains itself, is LIMIT. */
#define CST_CHAIN_MAX 256

/**
 * The caller's policy of which files may be opened. @owner is the file of the image that names
 * another one; all callbacks return a new reference, or NULL with @error set.
 */
typedef struct {
    /** Opens the backing reference @name of the image. NULL: chains end after one image. */
    CstBlob *(*open_backing)(CstBlob *owner, const char *name, gpointer data, GError **error);
    /**
     * Returns the format of @backing, which open_backing has opened, if the caller knows it; NULL:
     * the format that the image declares is used. NULL callback: always that.
     */
    const CstImageFormat *(*format_of)(CstBlob *backing, gpointer data);
    /** Opens a part of an image of several files. NULL: such images are refused. */
    CstBlob *(*open_part)(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error);
    /**
     * Opens the external data file of a qcow2 image. The image could name any file, and it is
     * written to. NULL: open_part is called, in chains that follow backing files; else the image is
     * refused.
     */
    CstBlob *(*open_data)(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error);
    /** Creates an empty part in the directory of the image. NULL: can't. */
    CstBlob *(*create_part)(CstBlob *owner, const char *name, gpointer data, GError **error);
    gpointer data; /**< must live as long as the chain */
} CstChainFiles;

/**
 * Opens @blob as @format (NULL: probed) with @flags (CstImageOpenFlags), and what it is based on
 * for reading only. A backing file whose format the image does not declare is probed, and may then
 * not point to another file itself (DENIED): else whoever writes the guest's disk could choose what
 * is read.
 * @files NULL: nothing else is opened.
 *
 * An image whose backing is left out opens, but what it does not hold can't be read.
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
 * Opens the images of a chain from cst_chain_look(): the top one with @flags, those below for
 * reading only. @snapshot: show this snapshot of the top image, for reading; NULL: its present
 * content.
 */
gboolean cst_chain_open_images(CstChain *chain, unsigned flags, const char *snapshot,
                               GError **error);
/** Closes everything; what was written is safe only after cst_image_flush() of the image. */
void cst_chain_free(CstChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstChain, cst_chain_free)

/**
 * Returns the top image; borrowed. Not to be called after cst_chain_guest(), which takes the image
 * over.
 */
CstImage *cst_chain_image(CstChain *chain);
/** Returns what the guest sees of the whole chain, writable if the top image is; borrowed. */
CstBlob *cst_chain_guest(CstChain *chain);

/** Returns the number of images in the chain. Image 0 is the top one. */
guint cst_chain_length(const CstChain *chain);
/** Returns the file of image @index; borrowed. */
CstBlob *cst_chain_blob(const CstChain *chain, guint index);
/** Returns what the header of image @index says; borrowed. */
const CstImageInfo *cst_chain_info(const CstChain *chain, guint index);

/* --- not in the library: several views of one chain ------------------------------------------- */

/**
 * Opens what the guest sees of the whole chain now, or saw at snapshot @snapshot of the top image,
 * for reading and beside whatever else is open of it. A new reference, which ends before the chain.
 */
CstBlob *cst_chain_view(CstChain *chain, const char *snapshot, GError **error);
