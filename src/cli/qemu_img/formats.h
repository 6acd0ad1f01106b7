/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <image/image.h>

/** Properties of qemu-img's driver of a format, for the same answers. */
typedef enum {
    CLI_QEMU_CHECKS = 1 << 0,       /**< has a check */
    CLI_QEMU_CHECK_COUNTS = 1 << 1, /**< the check counts clusters */
    CLI_QEMU_CHECK_END = 1 << 2,    /**< the check reports the end of the image */
    CLI_QEMU_MEASURES = 1 << 3,     /**< can be measured */
    CLI_QEMU_ROUNDS = 1 << 4,       /**< rounds the size of a new image unless "force_size" is on */
    CLI_QEMU_BITMAPS = 1 << 6,      /**< has bitmaps */
    CLI_QEMU_PLAIN = 1 << 5         /**< the size of the file is the size of the disk */
} CliQemuTraits;

/** Returns the traits (CliQemuTraits) of @format. */
unsigned cli_qemu_traits(const CstImageFormat *format);
/** Returns the message for a file that is no image of @format; borrowed. */
const char *cli_qemu_not_this_format(const CstImageFormat *format);
/** Returns the size of the disk as qemu-img shows it: plain files are rounded up to sectors. */
uint64_t cli_qemu_disk_size(const CstImageFormat *format, uint64_t capacity);
