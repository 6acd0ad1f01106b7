/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * What is declared of the content of volumes that are no files: LUNs, logical volumes, partitions,
 * objects. Documents of their pools name no formats, so they are raw to whoever has not declared
 * that they hold an image. docs/security-model.md has the rules.
 */

/** Whether @volume is of that kind, and not a file of a pool of images. */
gboolean trust_device_applies(CstPoolState *state, const CstVolume *volume);
/**
 * Finds the format of what @volume holds: the one that is declared if it is on a device, else that
 * of its record. *ret_format is static; NULL only where the record has none.
 */
gboolean trust_content_format(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                              const char **ret_format, GError **error);
/** What a volume was called before it got another name. */
typedef struct {
    CstPoolState *state; /**< of the pool that it was in */
    const char *name;
    const char *key; /**< NULL: its path */
} FormerVolume;

/**
 * Has what is declared of the device that was @former be so of @volume of @state, which it is now;
 * @format: of what it holds, NULL: nothing is declared. On the disk when it returns.
 */
gboolean trust_device_rename(CstService *service, const FormerVolume *former, CstPoolState *state,
                             const CstVolume *volume, const char *format, GError **error);
/**
 * Declares the format of what @volume, which is on a device, holds; NULL and plain formats: nothing
 * any more. It is on the disk when the call returns. Succeeds, and does nothing, for files.
 */
gboolean trust_device_declare(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                              const char *format, GError **error);
