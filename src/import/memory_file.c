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

/* Reads up to @limit bytes of @fd, a file or pipe. */
static gboolean memory_file_read(int fd, const char *path, size_t limit, GByteArray *bytes,
                                 GError **error)
{
    uint8_t buffer[4096];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cst_fail_errno(error, errno, _("cannot read '%s'"), path);
        if ((size_t)n > limit - bytes->len)
            return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is larger than %zu bytes"), path,
                            limit);
        g_byte_array_append(bytes, buffer, (guint)n);
    }
    return TRUE;
}

gboolean import_memory_file_load_any(ImportMemoryFile *ret_file, const char *path, size_t limit,
                                     GError **error)
{
    g_autofree char *complaint = g_strdup_printf(_("cannot read '%s'"), path);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_auto(CstFd) fd = cst_input_open(path, complaint, error);

    return fd >= 0 && memory_file_read(fd, path, limit, bytes, error) &&
           import_memory_file_fill(ret_file, path, (const char *)bytes->data, bytes->len, error);
}

void import_memory_file_clear(ImportMemoryFile *file)
{
    g_clear_pointer(&file->path, g_free);
    cst_fd_clear(&file->fd);
}
