/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench: measures the speed of an image, by image-bench's code, which uses the page cache. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "commands/image/image.h"
#include "message.h"
#include "run.h"

#define DEPTH_DEFAULT 64

/** An option with a number, and the option of image-bench. */
typedef struct {
    int id;
    const char *option;
    const char *what; /**< in the message about a wrong value */
    guint64 most;
} Number;

static const Number numbers[] = {
    {'c', "count", "request count", G_MAXINT32},
    {'d', "depth", "queue depth", G_MAXINT32},
    {'o', "offset", "offset", G_MAXINT64},
    {'s', "buffer-size", "buffer size", G_MAXINT32},
    {'S', "step-size", "step size", G_MAXINT32},
    {QEMU_PATTERN, "pattern", "pattern byte", G_MAXUINT8},
    {QEMU_FLUSH_INTERVAL, "flush-interval", "flush interval", G_MAXINT32},
};

/* Sets the numbers. A depth above the number of threads is reduced to it. */
static gboolean set_numbers(const CliQemuLine *line, CliQemuRun *run)
{
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        const char *text = cli_qemu_value(line, numbers[i].id);
        guint64 value = 0;

        if (!text)
            continue;
        if (strchr("osS", numbers[i].id)) {
            if (!cli_qemu_parse_size(text, numbers[i].what, 0, numbers[i].most, &value))
                return FALSE;
        } else if (!g_ascii_string_to_unsigned(text, 10, 0, numbers[i].most, &value, NULL)) {
            return cli_qemu_error("Invalid %s specified", numbers[i].what);
        }
        if (numbers[i].id == 'd')
            value = MIN(value, DEPTH_DEFAULT);
        cli_qemu_run_set_number(run, numbers[i].option, value);
    }
    return TRUE;
}

static void print_start(CliCtl *ctl, const CliImageBench *bench)
{
    fprintf(ctl->out,
            "Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %u in parallel "
            "(starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
            bench->count, bench->write ? "write" : "read", bench->buffer_size, bench->depth,
            bench->start, bench->step);
}

static int run_bench(const CliQemuLine *line)
{
    gboolean write = cli_qemu_has(line, 'w');
    g_auto(CliQemuFile) file = {0};
    g_autoptr(GError) why = NULL;
    g_auto(CliQemuRun) run = {0};
    CliImageBench report;

    cli_qemu_run_init(&run, &cli_image_bench_command, line);
    if (!set_numbers(line, &run))
        return 1;
    if (line->count != 1)
        return !cli_qemu_usage("Expecting one image file name");
    if (!write && cli_qemu_has(line, QEMU_FLUSH_INTERVAL))
        return !cli_qemu_error("--flush-interval is only available in write tests");
    if (!cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(&file,
                             CLI_QEMU_BACKING | (write ? CLI_QEMU_WRITE : 0) |
                                 (cli_qemu_has(line, 'U') ? CLI_QEMU_SHARE : 0),
                             NULL))
        return 1;
    cli_qemu_run_set_file(&run, "file", "format", &file);
    if (write)
        cli_qemu_run_set(&run, "write", NULL);
    if (cli_qemu_has(line, QEMU_NO_DRAIN))
        cli_qemu_run_set(&run, "no-drain", NULL);
    if (!cli_image_bench_file(&run.ctl, run.args, print_start, &report, &why))
        return !cli_qemu_fail("Failed request", why);
    printf("Run completed in %3.3f seconds.\n", report.seconds);
    return 0;
}

static const struct option bench_names[] = {
    QEMU_NAME_HELP,
    {"flush-interval", required_argument, NULL, QEMU_FLUSH_INTERVAL},
    QEMU_NAME_IMAGE_OPTS,
    {"pattern", required_argument, NULL, QEMU_PATTERN},
    {"no-drain", no_argument, NULL, QEMU_NO_DRAIN},
    QEMU_NAME_FORCE_SHARE,
    {0},
};

const CliQemuCommand cli_qemu_bench = {
    .name = "bench",
    .letters = ":hc:d:f:ni:o:qs:S:t:wU",
    .names = bench_names,
    .usage = "[-c COUNT] [-d DEPTH] [-f FORMAT] [--flush-interval=COUNT] [--no-drain] [-o OFFSET] "
             "[--pattern=BYTE] [-q] [-s BUFFER_SIZE] [-S STEP_SIZE] [-t CACHE] [-w] [-U] FILE",
    .run = run_bench,
};
