/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies of files in memory (see the header), with a path in /proc of this process. */
#include "memory_file.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/input.h>

#define LOAD_MAX (1u << 20)

gboolean import_memory_file_fill(ImportMemoryFile *ret_file, const char *name, const char *bytes,
                                 size_t len, GError **error)
{
    ret_file->fd = memfd_create("cistern", MFD_CLOEXEC);
    if (ret_file->fd < 0)
        return cst_fail_errno(error, errno, _("cannot keep '%s' in memory"), name);
    if (!cst_pwrite_full(ret_file->fd, bytes, len, 0, name, error))
        return FALSE;
    ret_file->path = g_strdup_printf("/proc/%ld/fd/%d", (long)getpid(), ret_file->fd);
    return TRUE;
}

gboolean import_memory_file_load(ImportMemoryFile *ret_file, const char *path, GError **error)
{
    g_autofree char *bytes = NULL;
    size_t len;

    return cst_input_read(path, CST_FILE_ANY, LOAD_MAX, &bytes, &len, error) &&
           import_memory_file_fill(ret_file, path, bytes, len, error);
}

void import_memory_file_clear(ImportMemoryFile *file)
{
    g_clear_pointer(&file->path, g_free);
    cst_fd_clear(&file->fd);
}
