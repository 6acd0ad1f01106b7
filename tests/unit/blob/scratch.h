/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <base/error.h>
#include <blob/blob.h>

#include "../blob_size.h"

/* Returns a blob over an unlinked temporary file, which needs no cleanup. */
static inline CstBlob *scratch_file(uint64_t size)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "cst-blob-XXXXXX", NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    CstBlob *blob;

    g_assert_cmpint(fd, >=, 0);
    unlink(path);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    blob = cst_blob_file_new(fd, "scratch", TRUE, NULL);
    g_assert_nonnull(blob);
    return blob;
}
