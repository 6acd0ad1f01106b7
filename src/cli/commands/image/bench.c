/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-bench: measures the speed of reading or writing an image through its format driver.
 * Requests have one size and a fixed distance. Each thread has one request in flight. A request
 * beyond the end starts at the beginning again. With --write, the content of the image is lost.
 *
 * Threads get requests from the Bench. Its lock guards the next offset, the number of requests in
 * flight and the first error, which ends the run. A draining flush waits until all other requests
 * have ended, and no request begins during the flush.
 */
#include "image.h"

#include <inttypes.h>
#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/threads.h>
#include <base/units.h>
#include <blob/blob.h>

#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/sheet.h"
#include "output/text.h"

#define COUNT_DEFAULT 75000 /* the defaults of qemu-img */
#define BUFFER_SIZE   4096
#define DEPTH_DEFAULT CST_THREADS_MAX
#define BUFFER_MAX    (64 * CST_MIB)

/** The parameters and the state of one run. */
typedef struct {
    CstBlob *guest;
    CstTask *task;
    uint64_t size; /**< size of the guest-visible content */
    uint64_t count, buffer_size, step, start;
    unsigned depth, pattern;
    uint64_t flush_every; /**< number of requests between flushes; 0: never */
    gboolean write;
    gboolean drain;  /**< a flush waits for all other requests, and blocks new ones */
    gboolean unsafe; /**< flushes are not synced to disk */
    double seconds;  /**< duration */
    GMutex lock;     /**< guards the fields below */
    GCond changed;   /**< a request or a flush has ended */
    uint64_t drawn;
    unsigned under_way;
    gboolean flushing; /**< a draining flush is in progress or waits */
    uint64_t offset;   /**< of the next request */
    GError *error;     /**< the first one */
} Bench;

static gboolean bench_next_request(Bench *bench, uint64_t *ret_offset, gboolean *ret_flush)
{
    gboolean more;

    g_mutex_lock(&bench->lock);
    while (bench->flushing)
        g_cond_wait(&bench->changed, &bench->lock);
    more =
        !bench->error && bench->drawn < bench->count && cst_task_check(bench->task, &bench->error);
    if (more) {
        bench->drawn++;
        *ret_flush = bench->flush_every > 0 && bench->drawn % bench->flush_every == 0;
        if (bench->offset > bench->size - bench->buffer_size)
            bench->offset = 0;
        *ret_offset = bench->offset;
        bench->offset += MIN(bench->step, bench->size);
        bench->flushing = *ret_flush && bench->drain;
        bench->under_way++;
    }
    g_mutex_unlock(&bench->lock);
    return more;
}

/* Wait until the flushing request is the only one in flight. */
static void bench_drain_requests(Bench *bench)
{
    g_mutex_lock(&bench->lock);
    while (bench->drain && bench->under_way > 1)
        g_cond_wait(&bench->changed, &bench->lock);
    g_mutex_unlock(&bench->lock);
}

static gboolean flush_all(Bench *bench, GError **error)
{
    bench_drain_requests(bench);
    return cst_blob_flush(bench->guest, error);
}

/* End a request. Takes ownership of @error. The first error ends the run. */
static void end_request(Bench *bench, gboolean flushed, GError *error)
{
    g_mutex_lock(&bench->lock);
    bench->under_way--;
    if (flushed)
        bench->flushing = FALSE;
    if (error && !bench->error)
        bench->error = g_steal_pointer(&error);
    g_clear_error(&error);
    g_cond_broadcast(&bench->changed);
    g_mutex_unlock(&bench->lock);
}

static gboolean bench_run_request(Bench *bench, void *buf, uint64_t offset, gboolean flush,
                                  GError **error)
{
    size_t len = (size_t)bench->buffer_size;

    if (!bench->write)
        return cst_blob_pread(bench->guest, buf, len, offset, error);
    return cst_blob_pwrite(bench->guest, buf, len, offset, error) &&
           (!flush || flush_all(bench, error));
}

static gpointer bench_thread_main(gpointer data)
{
    Bench *bench = data;
    void *buf = g_malloc(bench->buffer_size);
    gboolean flush = FALSE;
    uint64_t offset = 0;

    memset(buf, (int)bench->pattern, bench->buffer_size);
    while (bench_next_request(bench, &offset, &flush)) {
        GError *error = NULL;

        if (bench_run_request(bench, buf, offset, flush, &error))
            cst_task_advance(bench->task, bench->buffer_size);
        end_request(bench, flush, error);
    }
    g_free(buf);
    return NULL;
}

static gboolean run_bench(CstTask *task, gpointer data, GError **error)
{
    Bench *bench = data;
    gint64 begun = g_get_monotonic_time();

    if (bench->write && !cst_may_change(error))
        return FALSE;
    bench->task = task;
    cst_task_set_total(task, bench->count * bench->buffer_size);
    g_mutex_init(&bench->lock);
    g_cond_init(&bench->changed);
    cst_threads_run(bench_thread_main, bench, bench->depth);
    g_mutex_clear(&bench->lock);
    g_cond_clear(&bench->changed);
    if (bench->error) {
        g_propagate_error(error, g_steal_pointer(&bench->error));
        return FALSE;
    }
    bench->seconds = (double)(g_get_monotonic_time() - begun) / G_USEC_PER_SEC;
    return TRUE;
}

static gboolean read_numbers(const CliArgs *args, Bench *bench, GError **error)
{
    unsigned count = COUNT_DEFAULT, every = 0;

    *bench = (Bench){.buffer_size = BUFFER_SIZE, .depth = DEPTH_DEFAULT};
    bench->write = cli_args_has(args, "write");
    bench->drain = !cli_args_has(args, "no-drain");
    if (!cli_args_uint(args, "count", &count, error) ||
        !cli_args_uint(args, "depth", &bench->depth, error) ||
        !cli_args_uint(args, "pattern", &bench->pattern, error) ||
        !cli_args_uint(args, "flush-interval", &every, error) ||
        !cli_args_size(args, "offset", 1, &bench->start, error) ||
        !cli_args_size(args, "buffer-size", 1, &bench->buffer_size, error) ||
        !cli_image_cache(args, &bench->unsafe, error))
        return FALSE;
    bench->count = count;
    bench->flush_every = every;
    bench->step = bench->buffer_size;
    if (!cli_args_size(args, "step-size", 1, &bench->step, error))
        return FALSE;
    if (bench->depth == 0 || bench->depth > CST_THREADS_MAX)
        return cst_fail(error, CST_ERROR_USAGE, _("--depth must be from 1 to %u"), CST_THREADS_MAX);
    if (bench->buffer_size == 0 || bench->buffer_size > BUFFER_MAX)
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("--buffer-size must be from 1 to 64M"));
    return bench->pattern <= G_MAXUINT8 ||
           cst_fail(error, CST_ERROR_USAGE, "%s", _("--pattern must be from 0 to 255"));
}

static gboolean check_numbers(const CliArgs *args, Bench *bench, GError **error)
{
    if (!bench->write && (cli_args_has(args, "pattern") || cli_args_has(args, "flush-interval")))
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("--pattern and --flush-interval go with --write"));
    if (!bench->flush_every && cli_args_has(args, "no-drain"))
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("--no-drain goes with --flush-interval"));
    if (!cst_blob_get_size(bench->guest, &bench->size, error))
        return FALSE;
    if (bench->buffer_size > bench->size || bench->start > bench->size - bench->buffer_size)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("image '%s' of %" PRIu64 " bytes is too small for a request of %" PRIu64
                          " at %" PRIu64 "; see --buffer-size and --offset"),
                        bench->guest->name, bench->size, bench->buffer_size, bench->start);
    bench->offset = bench->start;
    return TRUE;
}

/** Open the image, for writing with --write. */
static CstChain *bench_open_image(CliCtl *ctl, const CliArgs *args, const Bench *bench,
                                  GError **error)
{
    const CstChainFiles files = cli_image_files(ctl);
    const CstImageFormat *format = NULL;
    g_autoptr(CstBlob) blob = NULL;

    if (!bench->write)
        return cli_image_source(ctl, args, "file", "format", error);
    blob = cli_image_changing(ctl, args, &format, error);
    if (!blob || !cli_image_may_follow(args, blob, format, error) ||
        !cli_confirm(ctl, error, _("Overwrite the content of image '%s'?"), blob->name))
        return NULL;
    if (bench->unsafe)
        cst_blob_file_skip_sync(blob);
    return cst_chain_open(blob, format, CST_IMAGE_WRITE, &files, error);
}

static CliImageBench bench_report(const Bench *bench)
{
    return (CliImageBench){.write = bench->write,
                           .depth = bench->depth,
                           .count = bench->count,
                           .buffer_size = bench->buffer_size,
                           .start = bench->start,
                           .step = bench->step,
                           .seconds = bench->seconds};
}

gboolean cli_image_bench_file(CliCtl *ctl, const CliArgs *args, CliImageBenchFunc begins,
                              CliImageBench *ret_report, GError **error)
{
    g_autoptr(CstChain) chain = NULL;
    CliImageBench report;
    Bench bench;

    if (!read_numbers(args, &bench, error))
        return FALSE;
    chain = bench_open_image(ctl, args, &bench, error);
    if (!chain)
        return FALSE;
    bench.guest = cst_chain_guest(chain);
    if (!check_numbers(args, &bench, error))
        return FALSE;
    report = bench_report(&bench);
    begins(ctl, &report);
    if (!cli_run_task(ctl, _("Measuring"), run_bench, &bench, error) ||
        (bench.write && !cst_blob_flush(bench.guest, error)))
        return cli_failed(ctl, _("Failed to measure image %s"), bench.guest->name);
    *ret_report = bench_report(&bench);
    return TRUE;
}

static void bench_print_start(CliCtl *ctl, const CliImageBench *bench)
{
    cli_print(ctl,
              bench->write ? _("Sending %u write requests, %u bytes each, %u in parallel\n")
                           : _("Sending %u read requests, %u bytes each, %u in parallel\n"),
              (unsigned)bench->count, (unsigned)bench->buffer_size, bench->depth);
}

static void bench_print_report(CliCtl *ctl, const CliImageBench *bench)
{
    double seconds = MAX(bench->seconds, 1e-6);
    const CliFact facts[] = {
        cli_fact_number("requests", NULL, TRUE, bench->count),
        cli_fact_number("buffer_size", NULL, TRUE, bench->buffer_size),
        cli_fact_number("depth", NULL, TRUE, bench->depth),
        cli_fact_real("seconds", bench->seconds),
    };

    cli_print(ctl, _("Run completed in %.3f seconds: %.0f requests, %.1f MiB per second\n"),
              bench->seconds, (double)bench->count / seconds,
              (double)(bench->count * bench->buffer_size) / (double)CST_MIB / seconds);
    cli_sheet_print(ctl, facts, G_N_ELEMENTS(facts));
}

static gboolean cmd_bench(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *path = NULL;
    CliImageBench report;

    if (!cli_args_string(args, "file", &path, error))
        return FALSE;
    if (cli_args_has(args, "write"))
        cli_plan(ctl, _("Would overwrite the content of image %s"), path);
    if (!cli_image_bench_file(ctl, args, bench_print_start, &report, error))
        return FALSE;
    bench_print_report(ctl, &report);
    return TRUE;
}

static const CliOption bench_options[] = {
    IMAGE_FILE,
    SOURCE_FORMAT,
    LETTERED("count", 'c', N_("requests; default: 75000")),
    LETTERED("depth", 'd', N_("requests at a time, up to 64, the default")),
    LETTERED("offset", 'o', N_("where the first request begins")),
    LETTERED("buffer-size", 's', N_("bytes of a request; default: 4k")),
    LETTERED("step-size", 'S', N_("bytes from one request to the next; default: one request")),
    {.name = "write",
     .kind = CLI_OPT_BOOL,
     .letter = 'w',
     .help = N_("write, which overwrites the content; else read")},
    CLI_NAMED("pattern", N_("with --write: the byte that is written; default: 0")),
    CLI_NAMED("flush-interval", N_("with --write: requests between flushes; default: no flush")),
    CLI_SWITCH("no-drain",
               N_("with --flush-interval: do not wait for other requests before a flush")),
    CACHE,
    FOLLOW,
    DATA_FILE,
    FORCE_SHARE,
    {0},
};

const CliCommand cli_image_bench_command = {
    .name = "image-bench",
    .summary = N_("measure how fast an image is read or written"),
    .description =
        N_("Send requests through the image's format and report how long they took. The page cache "
           "is used. With --write the content is overwritten, after a question or with --yes."),
    .options = bench_options,
    .handler = cmd_bench,
    .flags = OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
