/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of a block device in QEMU's two notations. Both become pairs of a dotted name and a
 * value. The driver of the format and the one of the protocol, the file, the external data file,
 * and "read-only" have an effect. Options that only tune QEMU's access are accepted without an
 * effect.
 */
#include "spec.h"

#include <string.h>

#include <base/json.h>

#include "line.h"
#include "message.h"

void cli_qemu_file_clear(CliQemuFile *file)
{
    g_free(file->path);
    g_free(file->format);
    g_clear_pointer(&file->data_files, g_ptr_array_unref);
    memset(file, 0, sizeof(*file));
}

void cli_qemu_file_add_data(CliQemuFile *file, const char *path)
{
    if (!file->data_files)
        file->data_files = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(file->data_files, g_strdup(path));
}

/** The parsed options. */
typedef struct {
    CliQemuFile *file;
    const char *text; /**< for messages */
    char *protocol;   /**< "file.driver" */
    gboolean failed;  /**< a message has been printed */
} Spec;

/* Options that change how QEMU accesses a file, but not its content. */
static const char *const without_effect[] = {"auto-read-only",
                                             "force-share",
                                             "node-name",
                                             "discard",
                                             "cache",
                                             "detect-zeroes",
                                             "aio",
                                             "locking",
                                             "lazy-refcounts",
                                             "driver",
                                             "overlap-check",
                                             "pass-discard-other",
                                             "l2-cache-size",
                                             "cache-size",
                                             "x-check-cache-dropped",
                                             "drop-cache",
                                             "pass-discard-request",
                                             "pass-discard-snapshot",
                                             "refcount-cache-size",
                                             "l2-cache-entry-size",
                                             "cache-clean-interval",
                                             NULL};

static void replace_text(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
}

static gboolean has_no_effect(const char *name)
{
    g_autofree char *first = g_strndup(name, strcspn(name, "."));

    return g_strv_contains(without_effect, first);
}

/* The image is read-only if it is so itself or its file is. */
static void spec_set_read_only(Spec *spec, const char *value)
{
    static const char *const on[] = {"on", "yes", "true", "y", NULL};
    static const char *const off[] = {"off", "no", "false", "n", NULL};

    if (g_strv_contains(on, value))
        spec->file->read_only = TRUE;
    else if (!spec->failed && !g_strv_contains(off, value)) {
        spec->failed = TRUE;
        cli_qemu_error("Could not open '%s': Parameter 'read-only' expects 'on' or 'off'",
                       spec->text);
    }
}

static void spec_set(const char *name, const char *value, gpointer data)
{
    Spec *spec = data;
    CliQemuFile *file = spec->file;

    if (strcmp(name, "driver") == 0) {
        replace_text(&file->format, value);
    } else if (strcmp(name, "file.driver") == 0) {
        replace_text(&spec->protocol, value);
    } else if (strcmp(name, "file.filename") == 0 || strcmp(name, "filename") == 0 ||
               strcmp(name, "file") == 0) {
        replace_text(&file->path, g_str_has_prefix(value, "file:") ? value + 5 : value);
    } else if (strcmp(name, "read-only") == 0 || strcmp(name, "file.read-only") == 0) {
        spec_set_read_only(spec, value);
    } else if (strcmp(name, "data-file.filename") == 0) {
        cli_qemu_file_add_data(file, value);
    } else if (!spec->failed && strcmp(name, "data-file.driver") != 0 &&
               !has_no_effect(g_str_has_prefix(name, "file.") ? name + 5 : name)) {
        spec->failed = TRUE;
        cli_qemu_error("Could not open '%s': Block format '%s' does not support the option '%s'",
                       spec->text, file->format ? file->format : "raw", name);
    }
}

static void spec_set_option(const char *name, const char *value, gpointer data)
{
    spec_set(name, value ? value : "on", data);
}

/* A driver of QEMU that has a file and no format is a raw image in that file. */
static gboolean is_file_driver(const char *driver)
{
    return strcmp(driver, "file") == 0 || strcmp(driver, "host_device") == 0;
}

static gboolean spec_finish(Spec *spec)
{
    CliQemuFile *file = spec->file;
    const char *protocol = spec->protocol;

    if (spec->failed)
        return FALSE;
    if (protocol && !is_file_driver(protocol))
        return cli_qemu_error("Could not open '%s': Unknown driver '%s'", spec->text, protocol);
    if (!file->path)
        return cli_qemu_error("Could not open '%s': A block device must be specified for \"file\"",
                              spec->text);
    if (file->format && is_file_driver(file->format))
        replace_text(&file->format, "raw");
    return TRUE;
}

gboolean cli_qemu_spec_parse(const char *text, gboolean image_opts, CliQemuFile *ret_file)
{
    Spec spec = {.file = ret_file, .text = text};
    gboolean ok = TRUE;

    if (image_opts)
        cli_qemu_list_walk(text, spec_set_option, &spec);
    else
        ok = cst_json_walk(text + strlen("json:"), spec_set, &spec) ||
             cli_qemu_error("Could not open '%s': Could not parse the JSON options", text);
    ok = ok && spec_finish(&spec);
    g_free(spec.protocol);
    return ok;
}
