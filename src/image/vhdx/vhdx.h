/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "blocks.h"
#include "measuring.h"

/**
 * The format's callbacks, see format.h. They acquire the head's lock, so callers must not hold it.
 */

gboolean vhdx_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                     CstTask *task, GError **error);
gboolean vhdx_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
CstImage *vhdx_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error);
void vhdx_close(CstImage *image);
gboolean vhdx_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset, GError **error);
gboolean vhdx_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                   GError **error);
gboolean vhdx_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error);
gboolean vhdx_flush(CstImage *image, GError **error);
gboolean vhdx_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                     CstTask *task, GError **error);
gboolean vhdx_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                          GError **error);
gboolean vhdx_expect(CstImage *image, CstImage *parent, GError **error);
gboolean vhdx_follow(CstImage *image, CstImage *parent, GError **error);
gboolean vhdx_empty(CstImage *image, CstTask *task, GError **error);
gboolean vhdx_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                    unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);
