/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * libarchive, loaded on first use, because most imports read no archive. The library's ABI
 * (libarchive.so.13) is stable. Therefore the functions are declared here, and the build needs no
 * header of it.
 */
struct archive;
struct archive_entry;

typedef ssize_t ImportArchiveRead(struct archive *archive, void *data, const void **ret_bytes);
typedef int64_t ImportArchiveSeek(struct archive *archive, void *data, int64_t offset, int whence);

#define IMPORT_ARCHIVE_OK    0
#define IMPORT_ARCHIVE_EOF   1
#define IMPORT_ARCHIVE_WARN  (-20)
#define IMPORT_ARCHIVE_FATAL (-30)

typedef struct {
    struct archive *(*archive_read_new)(void);
    int (*archive_read_free)(struct archive *archive);
    int (*archive_read_support_format_zip_seekable)(struct archive *archive);
    int (*archive_read_support_format_7zip)(struct archive *archive);
    int (*archive_read_support_format_tar)(struct archive *archive);
    int (*archive_read_set_callback_data)(struct archive *archive, void *data);
    int (*archive_read_set_read_callback)(struct archive *archive, ImportArchiveRead *function);
    int (*archive_read_set_seek_callback)(struct archive *archive, ImportArchiveSeek *function);
    int (*archive_read_open1)(struct archive *archive);
    int (*archive_read_next_header)(struct archive *archive, struct archive_entry **ret_entry);
    ssize_t (*archive_read_data)(struct archive *archive, void *buf, size_t len);
    const char *(*archive_format_name)(struct archive *archive);
    const char *(*archive_error_string)(struct archive *archive);
    void (*archive_set_error)(struct archive *archive, int number, const char *format, ...);
    const char *(*archive_entry_pathname)(struct archive_entry *entry);
    mode_t (*archive_entry_filetype)(struct archive_entry *entry);
    int64_t (*archive_entry_size)(struct archive_entry *entry);
    int (*archive_entry_is_encrypted)(struct archive_entry *entry);
} ImportLibarchive;

/**
 * Loads the library on the first call. Returns NULL with UNSUPPORTED, which names the package. From
 * any thread.
 */
const ImportLibarchive *import_libarchive(GError **error);
