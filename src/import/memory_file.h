/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/file.h>

/** Bytes in a memory file that a tool or a library opens by path. It opens no file of a user. */
typedef struct {
    char *path; /**< of this process's descriptor; NULL: empty */
    CstFd fd;
} ImportMemoryFile;

#define IMPORT_MEMORY_FILE_INIT \
    {                           \
        .fd = -1                \
    }

/** Copies the bytes to a memory file. @name is for messages. */
gboolean import_memory_file_fill(ImportMemoryFile *ret_file, const char *name, const char *bytes,
                                 size_t len, GError **error);
/** Copies the file @path, at most 1 MiB, to memory; as cst_input_read(). */
gboolean import_memory_file_load(ImportMemoryFile *ret_file, const char *path, GError **error);
/**
 * Copies the file or pipe @path, at most @limit bytes, to memory. Opens it as cst_input_open(), and
 * waits for the data of a pipe.
 */
gboolean import_memory_file_load_any(ImportMemoryFile *ret_file, const char *path, size_t limit,
                                     GError **error);
void import_memory_file_clear(ImportMemoryFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImportMemoryFile, import_memory_file_clear)
