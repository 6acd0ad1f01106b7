/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert: copies one image, or several in sequence, into another one, by image-convert's code. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <base/place.h>

#include "bitmaps.h"
#include "commands.h"
#include "commands/image/image.h"
#include "creation.h"
#include "message.h"
#include "run.h"

#define SECTOR          512
#define SPARSE_SIZE_MAX 16777216

/* Checks combinations of options that qemu-img refuses before it opens an image. */
static gboolean check_combination(const CliQemuLine *line)
{
    const char *workers = cli_qemu_value(line, 'm');
    guint64 count = 8;

    if (workers && (!g_ascii_string_to_unsigned(workers, 10, 1, 16, &count, NULL)))
        return cli_qemu_error("Invalid number of coroutines. Allowed number of coroutines is "
                              "between 1 and 16");
    if (cli_qemu_has(line, QEMU_SALVAGE) && cli_qemu_has(line, 'C'))
        return cli_qemu_error("Cannot use copy offloading in salvaging mode");
    if (cli_qemu_has(line, QEMU_SKIP_BROKEN) && !cli_qemu_has(line, QEMU_BITMAPS))
        return cli_qemu_error("Use of --skip-broken-bitmaps requires --bitmaps");
    if (cli_qemu_has(line, QEMU_SALVAGE))
        return cli_qemu_error("--salvage is not supported");
    if (cli_qemu_has(line, QEMU_TARGET_IS_ZERO) && !cli_qemu_has(line, 'n'))
        return cli_qemu_error("--target-is-zero requires use of -n flag");
    if (cli_qemu_has(line, QEMU_TARGET_IMAGE_OPTS) && !cli_qemu_has(line, 'n'))
        return cli_qemu_error("--target-image-opts requires use of -n flag");
    if (cli_qemu_has(line, 'C') && cli_qemu_has(line, 'c'))
        return cli_qemu_error("Cannot enable copy offloading when -c is used");
    if (cli_qemu_has(line, 'C') && cli_qemu_has(line, 'S'))
        return cli_qemu_error("Cannot enable copy offloading when -S is used");
    if (cli_qemu_has(line, 'n') && cli_qemu_has(line, 'o'))
        return cli_qemu_error("-o has no effect when skipping image creation");
    return line->count >= 2 || cli_qemu_error("Must specify image file name");
}

static gboolean set_sparse_size(const CliQemuLine *line, CliQemuRun *run)
{
    guint64 size = 0;

    if (!cli_qemu_has(line, 'S'))
        return TRUE;
    if (!cli_qemu_size(line, 'S', "buffer size for sparse output", 0, G_MAXINT64, &size))
        return FALSE;
    if (size % SECTOR || size > SPARSE_SIZE_MAX)
        return cli_qemu_error("Invalid buffer size for sparse output specified. Valid sizes are "
                              "multiples of %d up to %d. Select 0 to disable sparse detection "
                              "(fully allocates output).",
                              SECTOR, SPARSE_SIZE_MAX);
    cli_qemu_run_set_number(run, "sparse-size", size);
    return TRUE;
}

static gboolean set_rate(const CliQemuLine *line, CliQemuRun *run)
{
    guint64 rate = 0;

    if (!cli_qemu_has(line, 'r'))
        return TRUE;
    if (!cli_qemu_size(line, 'r', "rate limit", 0, G_MAXINT64, &rate))
        return FALSE;
    cli_qemu_run_set_number(run, "rate-limit", rate);
    return TRUE;
}

/* Checks the source images. The last word is the target. */
static gboolean set_sources(const CliQemuLine *line, CliQemuRun *run)
{
    const unsigned flags = CLI_QEMU_BACKING | (cli_qemu_has(line, 'U') ? CLI_QEMU_SHARE : 0);

    for (int i = 0; i < line->count - 1; i++) {
        g_auto(CliQemuFile) file = {0};

        if (!cli_qemu_file_parse(line->words[i], cli_qemu_value(line, 'f'),
                                 cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
            !cli_qemu_file_check(&file, flags, NULL))
            return FALSE;
        cli_qemu_run_set_file(run, i ? "more" : "source", i ? NULL : "source-format", &file);
    }
    return TRUE;
}

/*
 * Return: TRUE if the file @path of the target is one of the source files, which qemu-img has
 * locked. set_sources() has parsed the sources before.
 */
static gboolean is_a_source(const CliQemuLine *line, const char *path)
{
    struct stat target, st;

    if (stat(path, &target) < 0)
        return FALSE;
    for (int i = 0; i < line->count - 1; i++) {
        g_auto(CliQemuFile) source = {0};

        if (cli_qemu_file_parse(line->words[i], NULL, cli_qemu_has(line, QEMU_IMAGE_OPTS),
                                &source) &&
            stat(source.path, &st) == 0 && cst_stat_is_same(&target, &st))
            return TRUE;
    }
    return FALSE;
}

/* Prints the message about a target that is also read. @path: its file. */
static gboolean fail_locked(const CliQemuLine *line, const char *format, const char *path)
{
    const char *target = line->words[line->count - 1];
    g_autofree char *hint = g_strdup_printf("Is another process using the image [%s]?", path);

    if (cli_qemu_has(line, 'n'))
        cli_qemu_error("Could not open '%s': Failed to get \"write\" lock", target);
    else
        cli_qemu_error("%s: error while converting %s: Failed to get \"write\" lock", target,
                       format);
    cli_qemu_hint(hint);
    return FALSE;
}

/* Sets the options of a new target. */
static gboolean set_creation(const CliQemuLine *line, const char *format, CliQemuRun *run)
{
    const CstImageFormat *found = cst_image_format_find(format, NULL);
    const char *backing;
    g_auto(CliQemuCreation) creation = {0};
    g_autofree char *options = NULL;
    g_autofree char *context =
        g_strdup_printf("%s: error while converting %s", line->words[line->count - 1], format);

    if (!cli_qemu_list(line, 'o', &options))
        return FALSE;
    if (!found)
        return cli_qemu_error("Unknown file format '%s'", format);
    if (!cst_image_format_can_create(found))
        return cli_qemu_error("Format driver '%s' does not support image creation", format);
    if (!cli_qemu_creation_parse(&creation, NULL, format, options) ||
        !cli_qemu_creation_set_backing(&creation, cli_qemu_value(line, 'B'),
                                       cli_qemu_value(line, 'F')))
        return FALSE;
    backing = cli_qemu_creation_get(&creation, "backing_file");
    if (backing && line->count > 2)
        return cli_qemu_error("Having a backing file for the target makes no sense when "
                              "concatenating multiple input images");
    if (backing && !cli_qemu_creation_get(&creation, "backing_fmt"))
        return cli_qemu_error("Use of backing file requires explicit backing format");
    cli_qemu_creation_apply(&creation, run);
    creation.context = context;
    return cli_qemu_creation_check(&creation);
}

/* Checks an existing target. */
static gboolean set_existing(const CliQemuLine *line, const char *format, CliQemuRun *run)
{
    g_auto(CliQemuFile) file = {0};

    if (!cli_qemu_file_parse(line->words[line->count - 1],
                             cli_qemu_has(line, QEMU_TARGET_IMAGE_OPTS) ? NULL : format,
                             cli_qemu_has(line, QEMU_TARGET_IMAGE_OPTS), &file))
        return FALSE;
    if (is_a_source(line, file.path))
        return fail_locked(line, format, file.path);
    if (!cli_qemu_file_check(&file, CLI_QEMU_WRITE, NULL))
        return FALSE;
    cli_qemu_run_set(run, "no-create", NULL);
    cli_qemu_run_set_file(run, "target", "target-format", &file);
    return TRUE;
}

static gboolean set_target(const CliQemuLine *line, CliQemuRun *run)
{
    const char *format = cli_qemu_value(line, 'O');
    const char *path = cli_qemu_path(line->words[line->count - 1]);

    format = format ? format : "raw";
    if (cli_qemu_has(line, 'n'))
        return set_existing(line, format, run);
    if (!set_creation(line, format, run))
        return FALSE;
    if (is_a_source(line, path))
        return fail_locked(line, format, path);
    cli_qemu_run_set(run, "target", path);
    cli_qemu_run_set(run, "target-format", format);
    return TRUE;
}

/* Prints the message for a failed conversion. Return: the exit status. */
static int fail_conversion(const CliQemuLine *line, const char *snapshot, const GError *why)
{
    const char *format = cli_qemu_value(line, 'O');
    g_autofree char *reason = cli_qemu_reason(why);
    gboolean unsupported = g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED) ||
                           g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT);

    if (snapshot && g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return !cli_qemu_error("Failed to load snapshot: Can't find snapshot");
    if (cli_qemu_has(line, 'c') && unsupported)
        return !cli_qemu_error("Compression not supported for this file format");
    if (cli_qemu_has(line, 'n') && g_error_matches(why, CST_ERROR, CST_ERROR_INVALID))
        return !cli_qemu_error("output file is smaller than input file");
    return !cli_qemu_error("%s: error while converting %s: %s", line->words[line->count - 1],
                           format ? format : "raw", reason);
}

/*
 * Sets *ret_copy for --bitmaps. Return: FALSE after a message if the bitmaps cannot be copied.
 */
static gboolean set_bitmaps(const CliQemuLine *line, CliQemuFile *source,
                            CliQemuBitmapCopy *ret_copy)
{
    const char *format = cli_qemu_value(line, 'O');

    if (line->count > 2)
        return cli_qemu_error("Copying bitmaps only possible with single source");
    if (!cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), source) ||
        !cli_qemu_file_check(source, CLI_QEMU_SHARE, &ret_copy->source_format))
        return FALSE;
    ret_copy->source = source->path;
    ret_copy->target = cli_qemu_path(line->words[1]);
    ret_copy->target_format = cst_image_format_find(format ? format : "raw", NULL);
    ret_copy->skip_broken = cli_qemu_has(line, QEMU_SKIP_BROKEN);
    return !ret_copy->target_format || cli_qemu_bitmaps_check(ret_copy);
}

static int run_convert(const CliQemuLine *line)
{
    const char *format = cli_qemu_value(line, 'O');
    g_autofree char *snapshot = NULL, *options = NULL;
    gboolean bitmaps = cli_qemu_has(line, QEMU_BITMAPS);
    g_autoptr(GError) why = NULL;
    g_auto(CliQemuFile) source = {0};
    g_auto(CliQemuRun) run = {0};
    CliQemuBitmapCopy copy = {0};

    if (!cli_qemu_list(line, 'o', &options))
        return 1;
    if (cli_qemu_wants_help(options))
        return cli_qemu_creation_help(format ? format : "raw");
    cli_qemu_run_init(&run, &cli_image_convert_command, line);
    if (!cli_qemu_snapshot_value(cli_qemu_value(line, 'l'), &snapshot) ||
        !set_sparse_size(line, &run) || !set_rate(line, &run) || !check_combination(line) ||
        !set_sources(line, &run) || (bitmaps && !set_bitmaps(line, &source, &copy)) ||
        !set_target(line, &run))
        return 1;
    cli_qemu_run_set_value(&run, "snapshot", snapshot);
    if (g_strcmp0(cli_qemu_value(line, 't'), "unsafe") == 0)
        cli_qemu_run_set(&run, "cache", "unsafe");
    if (cli_qemu_has(line, 'c'))
        cli_qemu_run_set(&run, "compress", NULL);
    if (cli_qemu_has(line, QEMU_TARGET_IS_ZERO))
        cli_qemu_run_set(&run, "target-is-zero", NULL);
    if (!cli_qemu_run(&run, &why))
        return fail_conversion(line, snapshot, why);
    return bitmaps && !cli_qemu_bitmaps_copy(&copy);
}

static const struct option convert_names[] = {
    QEMU_NAME_HELP,
    QEMU_NAME_OBJECT,
    {"source-image-opts", no_argument, NULL, QEMU_IMAGE_OPTS},
    QEMU_NAME_IMAGE_OPTS,
    QEMU_NAME_FORCE_SHARE,
    {"target-image-opts", no_argument, NULL, QEMU_TARGET_IMAGE_OPTS},
    {"salvage", no_argument, NULL, QEMU_SALVAGE},
    {"target-is-zero", no_argument, NULL, QEMU_TARGET_IS_ZERO},
    {"bitmaps", no_argument, NULL, QEMU_BITMAPS},
    {"skip-broken-bitmaps", no_argument, NULL, QEMU_SKIP_BROKEN},
    {0},
};

const CliQemuCommand cli_qemu_convert = {
    .name = "convert",
    .letters = ":hf:O:B:CcF:o:l:S:pt:T:qnm:WUr:",
    .names = convert_names,
    .usage =
        "[--image-opts] [-U] [-C] [-c] [-p] [-q] [-n [--target-is-zero]] [-f FORMAT] [-t CACHE] "
        "[-T CACHE] [-O FORMAT] [-B BACKING_FILE [-F BACKING_FORMAT]] [-o OPTIONS] "
        "[-l SNAPSHOT] [-S SPARSE_SIZE] [-r RATE] [-m WORKERS] [-W] FILE... TARGET",
    .run = run_convert,
};
