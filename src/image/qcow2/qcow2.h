/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"

/** The callbacks that qcow2.c enters into the table of the format. format.h has their contracts. */

gboolean qcow2_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                      CstTask *task, GError **error);

gboolean qcow2_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);

CstImage *qcow2_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                     GError **error);
void qcow2_close(CstImage *image);
gboolean qcow2_pread(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error);
gboolean qcow2_locate(CstImage *image, uint64_t offset, uint64_t length,
                      CstBlobLocation *ret_location, GError **error);
uint64_t qcow2_share_unit(CstImage *image);
gboolean qcow2_take_shared(CstImage *image, uint64_t offset, CstBlob *src, uint64_t src_offset,
                           uint64_t length, GError **error);
gboolean qcow2_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset,
                      GError **error);
gboolean qcow2_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                    GError **error);
gboolean qcow2_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error);
gboolean qcow2_flush(CstImage *image, GError **error);
gboolean qcow2_amend(CstImage *image, const CstImageAmend *amend, CstTask *task, GError **error);
gboolean qcow2_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                      CstTask *task, GError **error);
gboolean qcow2_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                           GError **error);
gboolean qcow2_empty(CstImage *image, CstTask *task, GError **error);
uint64_t qcow2_zero_unit(CstImage *image);
gboolean qcow2_trim(CstImage *image, CstTask *task, GError **error);
/** A flag in addition to CstCheckFlags: the repair is automatic and not requested by the user. It
 * removes no snapshot. */
#define QCOW2_CHECK_UNASKED (1u << 16)
gboolean qcow2_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                     unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);

GPtrArray *qcow2_snapshot_list(CstImage *image, GError **error);
gboolean qcow2_snapshot_create(CstImage *image, const char *name, CstTask *task, GError **error);
gboolean qcow2_snapshot_revert(CstImage *image, const char *name, CstTask *task, GError **error);
gboolean qcow2_snapshot_delete(CstImage *image, const char *name, CstTask *task, GError **error);
gboolean qcow2_snapshot_rename(CstImage *image, const char *name, const char *new_name,
                               GError **error);
gboolean qcow2_snapshot_changed(CstImage *image, const char *since, const char *until,
                                CstTask *task, CstChanged *changed, GError **error);

uint64_t qcow2_packed_unit(CstImage *image);
gboolean qcow2_write_packed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                            GError **error);

extern const CstBitmapOps qcow2_bitmap_ops;
