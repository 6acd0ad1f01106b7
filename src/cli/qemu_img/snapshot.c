/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot: lists, creates, applies and deletes internal snapshots, by image-snapshot's code. */
#include <stdio.h>

#include <image/snapshot.h>

#include "commands.h"
#include "commands/image/image.h"
#include "message.h"
#include "run.h"
#include "snapshots.h"

static int list_snapshots(const CliQemuFile *file, const CstImageFormat *format)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstBlob) blob = cst_blob_file_open(file->path, FALSE, &why);
    g_autoptr(CstImage) image =
        blob ? cst_image_open(blob, format, CST_IMAGE_NO_DATA, NULL, &why) : NULL;
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!image)
        return !cli_qemu_error("Could not open '%s': %s", file->name, why->message);
    if (!cst_image_format_has_snapshots(format))
        return 0;
    snapshots = cst_image_snapshot_list(image, &why);
    if (!snapshots)
        return !cli_qemu_fail(NULL, why);
    if (snapshots->len > 0) {
        printf("Snapshot list:\n");
        cli_qemu_print_snapshots(snapshots);
    }
    return 0;
}

/** An action of the command and of image-snapshot. */
typedef struct {
    int id;
    const char *option; /**< of image-snapshot */
} Action;

static const Action actions[] = {
    {'c', "create"},
    {'a', "apply"},
    {'d', "delete"},
};

/* The texts that qemu-img has for the reasons that scripts meet. */
static const char *snapshot_reason(const Action *action, const GError *why)
{
    if (action->id == 'c')
        return g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED) ||
                       g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT)
                   ? "-95 (Operation not supported)"
               : g_error_matches(why, CST_ERROR, CST_ERROR_LIMIT) ? "-27 (File too large)"
                                                                  : why->message;
    return g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) ? "snapshot not found"
                                                                : why->message;
}

/*
 * Return: why qemu-img refuses the action, for reasons that it finds first; NULL: it does not
 * refuse it.
 */
static const char *refusal(const Action *action, const CliQemuFile *file,
                           const CstImageFormat *format)
{
    g_autoptr(CstBlob) blob = cst_blob_file_open(file->path, FALSE, NULL);
    g_auto(CstImageInfo) info = {0};

    if (!blob || !cst_image_inspect(blob, format, &info, NULL))
        return NULL;
    if (action->id == 'a' && info.bitmaps > 0)
        return "Device has active dirty bitmaps";
    return action->id == 'c' && info.refcount_bits == 1 ? "-22 (Invalid argument)" : NULL;
}

static int change_snapshot(const CliQemuLine *line, const Action *action, CliQemuFile *file,
                           const CstImageFormat *format)
{
    const char *name = cli_qemu_value(line, action->id);
    const char *early = refusal(action, file, format);
    g_autoptr(GError) why = NULL;
    g_auto(CliQemuRun) run = {0};

    if (early)
        return !cli_qemu_error("Could not %s snapshot '%s': %s", action->option, name, early);
    cli_qemu_run_init(&run, &cli_image_snapshot_command, line);
    cli_qemu_run_set_file(&run, "file", "format", file);
    cli_qemu_run_set(&run, action->option, name);
    return cli_qemu_run(&run, &why)
               ? 0
               : !cli_qemu_error("Could not %s snapshot '%s': %s", action->option, name,
                                 snapshot_reason(action, why));
}

static int run_snapshot(const CliQemuLine *line)
{
    const Action *action = NULL;
    const CstImageFormat *format = NULL;
    g_auto(CliQemuFile) file = {0};
    unsigned asked = cli_qemu_has(line, 'l');

    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        if (cli_qemu_has(line, actions[i].id)) {
            action = &actions[i];
            asked++;
        }
    if (asked > 1)
        return !cli_qemu_usage("Cannot mix '-l', '-a', '-c', '-d'");
    if (line->count != 1)
        return !cli_qemu_usage("Expecting one image file name");
    if (!cli_qemu_file_parse(line->words[0], NULL, cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(
            &file, (action ? CLI_QEMU_WRITE : 0) | (cli_qemu_has(line, 'U') ? CLI_QEMU_SHARE : 0),
            &format))
        return 1;
    if (action)
        return change_snapshot(line, action, &file, format);
    return cli_qemu_has(line, 'l') ? list_snapshots(&file, format) : 0;
}

static const struct option snapshot_names[] = {
    QEMU_NAME_HELP, QEMU_NAME_OBJECT, QEMU_NAME_IMAGE_OPTS, QEMU_NAME_FORCE_SHARE, {0},
};

const CliQemuCommand cli_qemu_snapshot = {
    .name = "snapshot",
    .letters = ":la:c:d:hqU",
    .names = snapshot_names,
    .usage = "[--image-opts] [-U] [-q] [-l | -a SNAPSHOT | -c SNAPSHOT | -d SNAPSHOT] FILE",
    .run = run_snapshot,
};
