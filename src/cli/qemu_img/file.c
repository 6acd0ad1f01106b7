/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images that a command line names. The commands open them with the functions that the image-*
 * commands have. Before that, each image is checked here, because the messages of a file that
 * cannot be opened are the ones that scripts know.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/place.h>
#include <base/text.h>
#include <image/chain.h>
#include <image/hold.h>
#include <image/path.h>

#include "formats.h"
#include "message.h"

/* Return: the length of the protocol that @name begins with; 0: it is a path. */
static size_t protocol_length(const char *name)
{
    size_t len = strcspn(name, ":/");

    return name[len] == ':' ? len : 0;
}

const char *cli_qemu_path(const char *name)
{
    return g_str_has_prefix(name, "file:") ? name + strlen("file:") : name;
}

gboolean cli_qemu_file_parse(const char *name, const char *format, gboolean image_opts,
                             CliQemuFile *ret_file)
{
    size_t protocol = image_opts ? 0 : protocol_length(name);

    ret_file->name = name;
    ret_file->format = g_strdup(format);
    if (image_opts || g_str_has_prefix(name, "json:"))
        return cli_qemu_spec_parse(name, image_opts, ret_file);
    if (protocol && cli_qemu_path(name) == name)
        return cli_qemu_error("Could not open '%s': Unknown protocol '%.*s'", name, (int)protocol,
                              name);
    /* A name with a colon is shown so that it is a path without "file:", too. */
    ret_file->path = protocol_length(cli_qemu_path(name))
                         ? g_strconcat("./", cli_qemu_path(name), NULL)
                         : g_strdup(cli_qemu_path(name));
    return TRUE;
}

/* --- checks ---------------------------------------------------------------------------------- */

/* Return: why the file at @path cannot be opened; NULL: it can. */
static char *file_problem(const char *path, gboolean writable)
{
    struct stat st;

    if (stat(path, &st) < 0 ||
        faccessat(AT_FDCWD, path, writable ? R_OK | W_OK : R_OK, AT_EACCESS) < 0)
        return g_strdup_printf("Could not open '%s': %s", path, g_strerror(errno));
    return S_ISDIR(st.st_mode)
               ? g_strdup_printf("'file' driver requires '%s' to be a regular file", path)
               : NULL;
}

/* Return: the message that another program uses the image; NULL: no program does. */
static char *lock_problem(const char *path, unsigned flags)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstBlob) blob = cst_blob_file_open(path, FALSE, NULL);
    gboolean changing = FALSE;

    if (flags & CLI_QEMU_WRITE) {
        g_clear_pointer(&blob, cst_blob_unref);
        blob = cst_image_open_unused(path, &why);
        return blob || !g_error_matches(why, CST_ERROR, CST_ERROR_BUSY)
                   ? NULL
                   : g_strdup_printf("Failed to get \"write\" lock\nIs another process using the "
                                     "image [%s]?",
                                     path);
    }
    return blob && !(flags & CLI_QEMU_SHARE) && cst_image_is_locked(blob, &changing) && changing
               ? g_strdup_printf("Failed to get shared \"write\" lock\nIs another process using "
                                 "the image [%s]?",
                                 path)
               : NULL;
}

static gboolean is_same_directory(const char *a, const char *b)
{
    g_autofree char *dir_a = g_path_get_dirname(a), *dir_b = g_path_get_dirname(b);
    struct stat st_a, st_b;

    return stat(dir_a, &st_a) == 0 && stat(dir_b, &st_b) == 0 && cst_stat_is_same(&st_a, &st_b);
}

/*
 * Permits the data file of the image at @path if it is in the image's directory. Otherwise an image
 * would choose which file is read and written.
 */
static void permit_data_file(CliQemuFile *file, const char *path, const CstImageInfo *info)
{
    g_autofree char *data = info->compat && info->data_file && *info->data_file
                                ? cst_path_named(path, info->data_file)
                                : NULL;

    if (data && is_same_directory(data, path))
        cli_qemu_file_add_data(file, data);
}

/* Return: why the damaged or unsupported image cannot be opened. */
static char *format_problem(CstBlob *blob, const CstImageInfo *info)
{
    const char *not_this = cli_qemu_not_this_format(info->format);
    g_auto(CstImageInfo) probed = {0};

    return not_this && cst_image_inspect(blob, NULL, &probed, NULL) && probed.format != info->format
               ? g_strdup(not_this)
               : g_strdup(info->problem);
}

static char *image_problem(CliQemuFile *file, const char *path, const char *format, unsigned flags,
                           unsigned depth, const CstImageFormat **ret_format);

static char *backing_problem(CliQemuFile *file, const char *path, const CstImageInfo *info,
                             unsigned flags, unsigned depth)
{
    g_autofree char *backing = cst_path_named(path, info->backing);
    g_autofree char *why = NULL;
    const CstImageFormat *format;

    if (!backing)
        why = g_strdup_printf("Unknown protocol '%.*s'", (int)strcspn(info->backing, ":"),
                              info->backing);
    else if (depth < CST_CHAIN_MAX)
        why = image_problem(file, backing, info->backing_format, flags & ~(unsigned)CLI_QEMU_WRITE,
                            depth + 1, &format);
    return why ? g_strdup_printf("Could not open backing file: %s", why) : NULL;
}

/* Return: why the image at @path cannot be opened; NULL: it can. @file is the top image. */
static char *image_problem(CliQemuFile *file, const char *path, const char *format, unsigned flags,
                           unsigned depth, const CstImageFormat **ret_format)
{
    g_auto(CstImageInfo) info = {0};
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) why = NULL;
    char *problem;

    *ret_format = format ? cst_image_format_find(format, NULL) : NULL;
    if (format && !*ret_format)
        return g_strdup_printf("Unknown driver '%s'", format);
    problem = file_problem(path, (flags & CLI_QEMU_WRITE) != 0);
    if (!problem && (flags & CLI_QEMU_WRITE) && file->read_only)
        problem = g_strdup("Block node is read-only");
    if (!problem)
        problem = lock_problem(path, flags);
    if (problem)
        return problem;
    blob = cst_blob_file_open(path, FALSE, &why);
    if (!blob || !cst_image_inspect(blob, *ret_format, &info, &why))
        return g_strdup(why->message);
    *ret_format = info.format;
    if (info.problem && !(flags & CLI_QEMU_BROKEN))
        return format_problem(blob, &info);
    permit_data_file(file, path, &info);
    return info.backing && (flags & CLI_QEMU_BACKING)
               ? backing_problem(file, path, &info, flags, depth)
               : NULL;
}

char *cli_qemu_file_problem(CliQemuFile *file, unsigned flags, const CstImageFormat **ret_format)
{
    return image_problem(file, file->path, file->format, flags, 0, ret_format);
}

/* Warns of a raw format that was detected, because a guest can write the header of another one. */
static void warn_of_guess(const CliQemuFile *file, const CstImageFormat *format)
{
    g_autofree char *path = cst_text_escape(file->path);

    if (file->format || !cst_image_format_is_raw(format))
        return;
    fprintf(stderr,
            "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
            "         Automatically detecting the format is dangerous for raw images, write "
            "operations on block 0 will be restricted.\n"
            "         Specify the 'raw' format explicitly to remove the restrictions.\n",
            path);
}

gboolean cli_qemu_file_check(CliQemuFile *file, unsigned flags, const CstImageFormat **ret_format)
{
    const CstImageFormat *format = NULL;
    g_autofree char *problem = cli_qemu_file_problem(file, flags, &format);

    if (problem) {
        g_auto(GStrv) lines = g_strsplit(problem, "\n", 2);

        cli_qemu_error("Could not open '%s': %s", file->name, lines[0]);
        if (lines[1])
            cli_qemu_hint(lines[1]);
        return FALSE;
    }
    if (flags & CLI_QEMU_WRITE)
        warn_of_guess(file, format);
    if (ret_format)
        *ret_format = format;
    return TRUE;
}
