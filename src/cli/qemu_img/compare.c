/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare: compares the content of two images. The exit status is 0 if they are the same, 1 if they
 * differ, and above 1 after a failure.
 */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "commands/image/image.h"
#include "message.h"
#include "run.h"

enum { STATUS_DIFFERENT = 1, STATUS_OPEN = 2, STATUS_READ = 4 };

static void collect_run(const CstMapRun *run, CstBlob *file, gpointer data)
{
    GArray *runs = data;

    g_array_append_val(runs, *run);
}

/* Return: the runs of @file, CstMapRun; NULL with @error set. */
static GArray *read_runs(const CliQemuLine *line, const CliQemuFile *file, GError **error)
{
    g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(CstMapRun));
    g_auto(CliQemuRun) run = {0};

    cli_qemu_run_init(&run, &cli_image_map_command, line);
    cli_qemu_run_set_file(&run, "file", "format", file);
    return cli_image_map_file(&run.ctl, run.args, collect_run, runs, error) ? g_steal_pointer(&runs)
                                                                            : NULL;
}

static gboolean has_same_status(const CstMapRun *a, const CstMapRun *b)
{
    return a->present == b->present && a->zero == b->zero && a->data == b->data;
}

/* Return: the first offset at which the runs have different states; UINT64_MAX: there is none. */
static uint64_t first_other_status(const GArray *a, const GArray *b)
{
    guint i = 0, j = 0;

    while (i < a->len && j < b->len) {
        const CstMapRun *in_a = &g_array_index(a, CstMapRun, i);
        const CstMapRun *in_b = &g_array_index(b, CstMapRun, j);
        uint64_t end_a = in_a->start + in_a->length, end_b = in_b->start + in_b->length;

        if (!has_same_status(in_a, in_b))
            return MAX(in_a->start, in_b->start);
        i += end_a <= end_b;
        j += end_b <= end_a;
    }
    return UINT64_MAX;
}

/* With -s, the state of each range counts before its content. */
static gboolean judge_states(const CliQemuLine *line, const CliQemuFile *a, const CliQemuFile *b,
                             const CstDifference *difference, int *ret_status, GError **error)
{
    g_autoptr(GArray) runs_a = read_runs(line, a, error);
    g_autoptr(GArray) runs_b = runs_a ? read_runs(line, b, error) : NULL;
    uint64_t offset;

    if (!runs_b)
        return FALSE;
    offset = first_other_status(runs_a, runs_b);
    if (offset == UINT64_MAX || (!difference->same && difference->offset < offset))
        return TRUE;
    if (!cli_qemu_has(line, 'q'))
        printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", offset);
    *ret_status = STATUS_DIFFERENT;
    return TRUE;
}

static int judge(const CstDifference *difference, gboolean strict, gboolean quiet)
{
    if (strict && !difference->sizes_same) {
        if (!quiet)
            printf("Strict mode: Image size mismatch!\n");
        return STATUS_DIFFERENT;
    }
    if (!difference->sizes_same && !quiet &&
        (difference->same || difference->offset >= difference->common))
        printf("Warning: Image size mismatch!\n");
    if (!difference->same) {
        if (!quiet)
            printf("Content mismatch at offset %" PRIu64 "!\n", difference->offset);
        return STATUS_DIFFERENT;
    }
    if (!quiet)
        printf("Images are identical.\n");
    return 0;
}

static gboolean open_image(const CliQemuLine *line, int index, int format, CliQemuRun *run,
                           CliQemuFile *file)
{
    if (!cli_qemu_file_parse(line->words[index], cli_qemu_value(line, format),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), file) ||
        !cli_qemu_file_check(
            file, CLI_QEMU_BACKING | (cli_qemu_has(line, 'U') ? CLI_QEMU_SHARE : 0), NULL))
        return FALSE;
    cli_qemu_run_set_file(run, index ? "b" : "a", index ? "b-format" : "a-format", file);
    return TRUE;
}

static int run_compare(const CliQemuLine *line)
{
    g_auto(CliQemuFile) a = {0};
    g_auto(CliQemuFile) b = {0};
    g_auto(CliQemuRun) run = {0};
    CstDifference difference;
    g_autoptr(GError) why = NULL;
    int status = 0;

    if (line->count != 2)
        return !cli_qemu_usage("Expecting two image file names");
    cli_qemu_run_init(&run, &cli_image_compare_command, line);
    if (!open_image(line, 0, 'f', &run, &a) || !open_image(line, 1, 'F', &run, &b))
        return STATUS_OPEN;
    if (!cli_image_compare_files(&run.ctl, run.args, &difference, &why) ||
        (cli_qemu_has(line, 's') && difference.sizes_same &&
         !judge_states(line, &a, &b, &difference, &status, &why))) {
        cli_qemu_fail(NULL, why);
        return STATUS_READ;
    }
    if (status)
        return status;
    return judge(&difference, cli_qemu_has(line, 's'), cli_qemu_has(line, 'q'));
}

static const struct option compare_names[] = {
    QEMU_NAME_HELP, QEMU_NAME_OBJECT, QEMU_NAME_IMAGE_OPTS, QEMU_NAME_FORCE_SHARE, {0},
};

const CliQemuCommand cli_qemu_compare = {
    .name = "compare",
    .letters = ":hf:F:T:pqsU",
    .names = compare_names,
    .usage = "[--image-opts] [-f FORMAT] [-F FORMAT] [-T CACHE] [-p] [-q] [-s] [-U] FILE1 FILE2",
    .run = run_compare,
};
