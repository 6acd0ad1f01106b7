/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/** Checks that nobody has the volume open, machines included; BUSY names who has. */
gboolean volume_not_held(const VolumeClaim *claim, GError **error);
/**
 * Checks, before an image is based on a claimed volume, that nobody writes to that; BUSY names
 * everybody who does. Whoever only reads it, as machines on other images that are based on it do,
 * is no matter.
 */
gboolean volume_may_be_base(const VolumeClaim *claim, GError **error);
/**
 * Checks, before the image of a claimed volume (open as @blob) is copied, that nobody writes to it;
 * BUSY names the process. A copy made while its metadata changes is likely to be no valid image.
 * Raw volumes pass: their content at any moment is one that a guest has to be able to start from.
 */
gboolean volume_not_written(const CstVolume *volume, CstBlob *blob, GError **error);
/**
 * Checks before whatever changes the content of a claimed volume (wipe, upload, shrink, revert).
 * BUSY names who has the volume open, or shows the tree of images that are based on it and would
 * read something else.
 */
gboolean volume_not_shown(const VolumeClaim *claim, GError **error);
/** The same for one that this work itself has open, with QEMU's locks. */
gboolean volume_shows_in_none(const VolumeClaim *claim, GError **error);
/**
 * Checks before a claimed volume is deleted that nothing depends on it; BUSY shows the tree of
 * everything that does, by image or by technology. With like_libvirt, backing files of images pass.
 */
gboolean volume_not_needed(const VolumeClaim *claim, GError **error);
/**
 * The same before it goes to the trash, where deleted volumes may go on to be based on it. What is
 * in the trash is BUSY for volume_not_needed().
 */
gboolean volume_not_needed_outside_trash(const VolumeClaim *claim, GError **error);
/** The same of images alone, where the technology sees to its own (CstBackend.delete_refuses). */
gboolean volume_not_needed_by_images(const VolumeClaim *claim, GError **error);
