/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * An image with the images it is based on. Which files may be opened is the caller's decision, file
 * by file: nothing that an image names is opened unless a callback here gives it out.
 */
typedef struct CstChain CstChain;

/** More images than this in a chain, or a chain that comes back to itself, is LIMIT. */
#define CST_CHAIN_MAX 256

/** @owner is the image (its file) that names the other one. All return a new reference. */
typedef struct {
    /** @name is a backing reference as the image has it. NULL: chains end after one image. */
    CstBlob *(*open_backing)(CstBlob *owner, const char *name, gpointer data, GError **error);
    /**
     * The format of @backing, which open_backing has opened, where the opener knows it; NULL: it
     * is what the image declares. NULL callback: always that.
     */
    const CstImageFormat *(*format_of)(CstBlob *backing, gpointer data);
    /** A part of an image of several files. NULL: such images are refused. */
    CstBlob *(*open_part)(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error);
    /**
     * The file that a qcow2 image has its guest's data in, which could be any file, and is written
     * to. NULL: open_part, in chains that follow backing files; else it is refused.
     */
    CstBlob *(*open_data)(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error);
    /** Makes an empty part beside the image. NULL: can't. */
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
/** The same without opening any of the images: only cst_chain_blob() and _info() may be asked
 * before cst_chain_open_images(). */
CstChain *cst_chain_look(CstBlob *blob, const CstImageFormat *format, const CstChainFiles *files,
                         GError **error);
/**
 * Opens the images of a chain that was looked at, the one on top with @flags, or (for reading) as
 * its snapshot @snapshot (NULL: as it is now).
 */
gboolean cst_chain_open_images(CstChain *chain, unsigned flags, const char *snapshot,
                               GError **error);
/** Closes everything; what was written is safe only after cst_image_flush() of the image. */
void cst_chain_free(CstChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstChain, cst_chain_free)

/** The image on top; borrowed. Not after cst_chain_guest(). */
CstImage *cst_chain_image(CstChain *chain);
/** What the guest sees of the whole chain, for reading and writing; borrowed. */
CstBlob *cst_chain_guest(CstChain *chain);

/** Images in the chain; 0 is the one on top. */
guint cst_chain_length(const CstChain *chain);
/** The file of that image; borrowed. */
CstBlob *cst_chain_blob(const CstChain *chain, guint index);
/** What that image says of itself; borrowed. */
const CstImageInfo *cst_chain_info(const CstChain *chain, guint index);
