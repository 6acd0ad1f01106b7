/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/*
 * Images on disk for the tools of the tests. Backing files and data files are followed, which the
 * engine itself never does. Errors name what failed.
 */

CstBlob *tool_file(const char *path, gboolean writable, gboolean create, GError **error);
/** The image at @path with everything that it refers to; @flags are CstImageOpenFlags. */
CstImage *tool_image(const char *path, const char *format, unsigned flags, GError **error);
CstBlob *tool_guest(const char *path, const char *format, unsigned flags, GError **error);

/** Makes an image of @blob by options as qemu-img's -o has them, each one "NAME=VALUE". */
gboolean tool_create(const char *format, CstBlob *blob, uint64_t capacity, int argc, char **argv,
                     GError **error);
gboolean tool_preallocation(const char *text, CstPreallocation *ret_preallocation, GError **error);

/** Checks the image, repairs by @flags, and prints what was found, a line for each figure. */
gboolean tool_check(const char *path, const char *format, unsigned flags, CstImageCheck *ret_check,
                    GError **error);
