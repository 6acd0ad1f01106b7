/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/live.h"
#include "volume/image/image_chain.h"

/*
 * The guest-visible content of a volume that is copied: of its image chain, or of a live snapshot,
 * if a running guest has the volume as a disk.
 */
typedef struct {
    ImageChain chain; /* the caller sets task, after and at_rest */
    const LiveSet
        *live;         /* borrowed; NULL: the content is that of the chain, which is then claimed */
    guint live_index;  /* of the volume in the set */
    CstBlob *snapshot; /* the open live snapshot */
} CopySource;

/**
 * Opens volume @name. @snapshot: of its image; NULL: the present content. Returns the content,
 * borrowed; NULL with the errors of image_chain_open() or live_set_open().
 */
CstBlob *copy_source_open(CopySource *source, CstPool *pool, const char *name, const char *snapshot,
                          GError **error);
/**
 * Checks after the last read that the content has one point in time. @ok: result of the copy.
 * Return: FALSE with *error set.
 */
gboolean copy_source_end(const CopySource *source, gboolean ok, GError **error);
/** Closes the images and releases their claims. Also to be called after a failed open. */
void copy_source_close(CopySource *source);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CopySource, copy_source_close)
