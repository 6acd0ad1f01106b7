/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Declarations about the content of volumes that are not files: LUNs, logical volumes, partitions,
 * objects. The XML documents of their pools contain no formats. A volume is raw for every user who
 * has not declared that it contains an image. docs/security-model.md has the rules.
 */

/** Returns whether @volume is such a volume, and not a file of a pool of images. */
gboolean trust_device_applies(CstPoolState *state, const CstVolume *volume);
/**
 * Finds the format of @volume's content: for a device the declared format, else the format of its
 * record. *ret_format is static, and NULL only if the record has no format.
 */
gboolean trust_content_format(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                              const char **ret_format, GError **error);
/** The former identity of a renamed volume. */
typedef struct {
    CstPoolState *state; /**< of its former pool */
    const char *name;
    const char *key; /**< NULL: its path is the key */
} FormerVolume;

/**
 * Moves the declaration of the device @former to @volume of @state, which is the same device under
 * its new name. @format: of its content; NULL: no declaration. Durable on return.
 */
gboolean trust_device_rename(CstService *service, const FormerVolume *former, CstPoolState *state,
                             const CstVolume *volume, const char *format, GError **error);
/**
 * Declares the format of the content of @volume, which is on a device. NULL and plain formats
 * remove the declaration. Durable on return. Does nothing for files, and succeeds.
 */
gboolean trust_device_declare(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                              const char *format, GError **error);
