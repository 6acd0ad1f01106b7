/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/** Checks that no process has the volume open, including machines. BUSY names the holders. */
gboolean volume_not_open(const VolumeClaim *claim, GError **error);
/**
 * Like volume_not_open(), and checks that no domain with a managed save has it. BUSY names the
 * holders. Fails also if libvirt runs and does not answer.
 */
gboolean volume_not_held(const VolumeClaim *claim, GError **error);
/**
 * Checks that no process writes to a claimed volume, before an image is based on it. BUSY names the
 * writers. Readers are permitted, for example machines on other overlays.
 */
gboolean volume_may_be_base(const VolumeClaim *claim, GError **error);
/**
 * Checks that no process writes to the image of a claimed volume (open as @blob), before it is
 * copied. BUSY names the process. A copy made while its metadata changes would probably not be a
 * valid image. Raw volumes pass, because a guest must be able to start from their content at any
 * point in time.
 */
gboolean volume_not_written(const VolumeClaim *claim, const CstVolume *volume, CstBlob *blob,
                            GError **error);
/**
 * Checks before a change of the content of a claimed volume (wipe, upload, shrink, revert). BUSY
 * names the holders of the volume, or shows the tree of images that are based on it and would
 * change as well.
 */
gboolean volume_not_shown(const VolumeClaim *claim, GError **error);
/**
 * Checks, before the reference of an image to its backing file changes, or that file does, that the
 * pool keeps no snapshot which needs the backing file. Such a snapshot is a copy of the image's
 * file with the reference of that time. After the change, no volume would protect that backing
 * file. @after: the reference that the image will have (as in its header); NULL: no reference. BUSY
 * names a snapshot. Snapshots inside of the image are no obstacle.
 */
gboolean volume_backing_not_kept(CstPoolState *state, const CstVolume *volume, const char *after,
                                 GError **error);
/**
 * Reads the reference to the backing file in snapshot @name, which the pool keeps. *ret_backing:
 * NULL if it has none, or is not an image of the volume's format. The caller frees it.
 */
gboolean volume_kept_backing(CstPoolState *state, const CstVolume *volume, const char *name,
                             char **ret_backing, GError **error);
/** Whether @error means that the content is damaged or of another format, and was read. */
gboolean volume_content_is_odd(const GError *error);
/** Like volume_not_shown(), for a volume that the operation itself has open, with QEMU's locks. */
gboolean volume_shows_in_none(const VolumeClaim *claim, GError **error);
/**
 * Checks before the deletion of a claimed volume that no volume depends on it. BUSY shows the tree
 * of dependents, by image or by technology. With like_libvirt, backing files of images pass.
 */
gboolean volume_not_needed(const VolumeClaim *claim, GError **error);
/**
 * Like volume_not_needed(), for a move to the trash. Dependents in the trash are permitted here;
 * volume_not_needed() fails with BUSY because of them.
 */
gboolean volume_not_needed_outside_trash(const VolumeClaim *claim, GError **error);
/**
 * Like volume_not_needed(), for images only. For a technology that checks its own clones
 * (CstBackend.delete_refuses).
 */
gboolean volume_not_needed_by_images(const VolumeClaim *claim, GError **error);
