/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <image/path.h>

static CstBlob *open_path(const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd < 0) {
        cst_fail_errno(error, errno, "%s", path);
        return NULL;
    }
    return cst_blob_file_new(fd, path, (flags & O_ACCMODE) == O_RDWR, error);
}

CstBlob *tool_file(const char *path, gboolean writable, gboolean create, GError **error)
{
    return open_path(path, (writable ? O_RDWR : O_RDONLY) | (create ? O_CREAT : 0), error);
}

/* Files beside an image; the data is its directory. */
static CstBlob *open_beside(const char *name, gpointer directory, int flags, GError **error)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    return open_path(path, flags, error);
}

static CstBlob *beside_open(const char *name, gboolean writable, gpointer data, GError **error)
{
    return open_beside(name, data, writable ? O_RDWR : O_RDONLY, error);
}

static CstBlob *beside_create(const char *name, gpointer data, GError **error)
{
    return open_beside(name, data, O_RDWR | O_CREAT | O_EXCL, error);
}

static CstImageFiles files_beside(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);

    return (CstImageFiles){beside_open, beside_create, (gpointer)g_intern_string(directory)};
}

/* @backing NULL: there is none. */
static gboolean open_backing(const char *path, const char *backing, const char *format,
                             CstBlob **ret_backing, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *full = NULL;

    *ret_backing = NULL;
    if (!backing)
        return TRUE;
    full = g_path_is_absolute(backing) ? g_strdup(backing)
                                       : g_build_filename(directory, backing, NULL);
    *ret_backing = tool_guest(full, format ? format : "raw", 0, error);
    return *ret_backing != NULL;
}

CstImage *tool_image(const char *path, const char *format_name, unsigned flags, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(format_name, error);
    g_autoptr(CstBlob) blob =
        tool_file(path, (flags & CST_IMAGE_WRITE) != 0, FALSE, format ? error : NULL);
    g_autoptr(CstBlob) backing = NULL;
    g_auto(CstImageInfo) info = {0};
    const CstImageFiles files = files_beside(path);
    CstImageOpen how = {.files = &files, .flags = flags};

    if (!format || !blob || !cst_image_inspect(blob, format, &info, error) ||
        !open_backing(path, info.backing, info.backing_format, &backing, error))
        return NULL;
    how.backing = backing;
    return cst_image_open_as(blob, format, &how, error);
}

CstBlob *tool_guest(const char *path, const char *format, unsigned flags, GError **error)
{
    CstImage *image = tool_image(path, format, flags, error);

    return image ? cst_image_guest_blob(image) : NULL;
}

gboolean tool_preallocation(const char *text, CstPreallocation *ret_preallocation, GError **error)
{
    static const char *const names[] = {"off", "metadata", "falloc", "full"};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_preallocation = i;
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_INVALID, "preallocation=%s", text);
}

typedef enum {
    OPTION_TEXT,
    OPTION_SIZE,
    OPTION_NUMBER,
    OPTION_SWITCH,
    OPTION_INVERTED_SWITCH
} OptionKind;

/* Where an option of "-o" goes. */
static const struct {
    const char *name;
    OptionKind kind;
    size_t member;
} option_table[] = {
    {"backing_file", OPTION_TEXT, offsetof(CstImageCreate, backing)},
    {"backing_fmt", OPTION_TEXT, offsetof(CstImageCreate, backing_format)},
    {"compat", OPTION_TEXT, offsetof(CstImageCreate, compat)},
    {"compression_type", OPTION_TEXT, offsetof(CstImageCreate, compression)},
    {"subformat", OPTION_TEXT, offsetof(CstImageCreate, subformat)},
    {"adapter_type", OPTION_TEXT, offsetof(CstImageCreate, adapter_type)},
    {"data_file", OPTION_TEXT, offsetof(CstImageCreate, data_file)},
    {"cluster_size", OPTION_SIZE, offsetof(CstImageCreate, cluster_size)},
    {"block_size", OPTION_SIZE, offsetof(CstImageCreate, block_size)},
    {"refcount_bits", OPTION_NUMBER, offsetof(CstImageCreate, refcount_bits)},
    {"table_size", OPTION_NUMBER, offsetof(CstImageCreate, table_size)},
    {"logical_sector_size", OPTION_NUMBER, offsetof(CstImageCreate, sector_size)},
    {"lazy_refcounts", OPTION_SWITCH, offsetof(CstImageCreate, lazy_refcounts)},
    {"extended_l2", OPTION_SWITCH, offsetof(CstImageCreate, extended_l2)},
    {"data_file_raw", OPTION_SWITCH, offsetof(CstImageCreate, data_file_raw)},
    {"force_size", OPTION_INVERTED_SWITCH, offsetof(CstImageCreate, round_size)},
};

static void put_option(OptionKind kind, void *member, const char *value)
{
    switch (kind) {
    case OPTION_TEXT: *(const char **)member = value; break;
    case OPTION_SIZE: *(uint64_t *)member = strtoull(value, NULL, 0); break;
    case OPTION_NUMBER: *(unsigned *)member = (unsigned)strtoul(value, NULL, 0); break;
    case OPTION_SWITCH: *(gboolean *)member = strcmp(value, "on") == 0; break;
    case OPTION_INVERTED_SWITCH: *(gboolean *)member = strcmp(value, "on") != 0; break;
    }
}

static gboolean set_option(CstImageCreate *options, char *pair, GError **error)
{
    char *value = strchr(pair, '=');

    if (!value)
        return cst_fail(error, CST_ERROR_INVALID, "'%s' is no option", pair);
    *value++ = '\0';
    if (strcmp(pair, "preallocation") == 0)
        return tool_preallocation(value, &options->preallocation, error);
    for (size_t i = 0; i < G_N_ELEMENTS(option_table); i++)
        if (strcmp(pair, option_table[i].name) == 0) {
            put_option(option_table[i].kind, (char *)options + option_table[i].member, value);
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_INVALID, "'%s' is no option", pair);
}

gboolean tool_create(const char *format_name, CstBlob *blob, uint64_t capacity, int argc,
                     char **argv, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(format_name, error);
    const CstImageFiles files = files_beside(blob->name);
    CstImageCreate options = {.capacity = capacity, .files = &files};
    g_autoptr(CstBlob) backing = NULL;

    if (!format)
        return FALSE;
    for (int i = 0; i < argc; i++)
        if (!set_option(&options, argv[i], error))
            return FALSE;
    /* VMDK stores what its backing image is */
    if (strcmp(format_name, "vmdk") == 0 &&
        !open_backing(blob->name, options.backing, options.backing_format, &backing, error))
        return FALSE;
    options.backing_guest = backing;
    return cst_image_create(blob, format, &options, NULL, error);
}

gboolean tool_check(const char *path, const char *format_name, unsigned flags,
                    CstImageCheck *ret_check, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(format_name, error);
    g_autoptr(CstBlob) blob = format ? tool_file(path, flags != 0, FALSE, error) : NULL;
    CstImageFiles files;

    if (!blob)
        return FALSE;
    files = cst_path_parts(blob);
    if (!cst_image_check_as(blob, format, flags, &files, ret_check, NULL, error))
        return FALSE;
    printf("errors=%" G_GUINT64_FORMAT "\nleaks=%" G_GUINT64_FORMAT
           "\nerrors_fixed=%" G_GUINT64_FORMAT "\nleaks_fixed=%" G_GUINT64_FORMAT
           "\nallocated=%" G_GUINT64_FORMAT "\ntotal=%" G_GUINT64_FORMAT "\n",
           ret_check->errors, ret_check->leaks, ret_check->errors_fixed, ret_check->leaks_fixed,
           ret_check->allocated_clusters, ret_check->total_clusters);
    printf("fragmented=%" G_GUINT64_FORMAT "\ncompressed=%" G_GUINT64_FORMAT
           "\nend=%" G_GUINT64_FORMAT "\n",
           ret_check->fragmented_clusters, ret_check->compressed_clusters, ret_check->image_end);
    return TRUE;
}
