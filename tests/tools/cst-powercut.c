/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * usage: cst-powercut IN OUT SEED COUNT [FORMAT]
 *
 * Works on the image IN (of format qcow2 unless told) until the power fails somewhere, COUNT times
 * over. What was flushed must still be there. The images that are left are OUT.0, OUT.1, … for
 * somebody else to check.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <blob/fault.h>
#include <image/image.h>

#define STEPS 60

static const char *format = "qcow2";

typedef struct {
    GRand *rand;
    CstBlob *inner, *fault, *guest;
    uint64_t size;
    uint8_t *now;       /* what the guest should see */
    uint8_t *flushed;   /* what it should see after a power cut … */
    uint8_t *uncertain; /* … except where this is set */
} Run;

static void must(gboolean ok, const char *what, GError *error)
{
    if (ok)
        return;
    fprintf(stderr, "cst-powercut: %s: %s\n", what, error ? error->message : "differs");
    exit(1);
}

static CstBlob *open_guest(CstBlob *blob, unsigned flags)
{
    GError *error = NULL;
    CstImage *image =
        cst_image_open(blob, cst_image_format_find(format, NULL), flags, NULL, &error);

    must(image != NULL, "open", error);
    return cst_image_guest_blob(image);
}

static CstBlob *load(const char *path)
{
    g_autofree char *data = NULL;
    gsize len = 0;

    must(g_file_get_contents(path, &data, &len, NULL), path, NULL);
    return cst_blob_memory_new(data, len);
}

static void run_init(Run *run, const char *path, guint32 seed)
{
    GError *error = NULL;

    run->rand = g_rand_new_with_seed(seed);
    run->inner = load(path);
    run->fault = cst_blob_fault_new(run->inner);
    must(cst_blob_fault_track(run->fault, &error), "track", error);
    run->guest = open_guest(run->fault, CST_IMAGE_WRITE);
    must(cst_blob_get_size(run->guest, &run->size, &error), "size", error);
    run->now = g_malloc(run->size);
    must(cst_blob_pread(run->guest, run->now, run->size, 0, &error), "read", error);
    run->flushed = g_memdup2(run->now, run->size);
    run->uncertain = g_malloc0(run->size);
}

static void run_clear(Run *run)
{
    g_rand_free(run->rand);
    cst_blob_unref(run->fault);
    cst_blob_unref(run->inner);
    g_free(run->now);
    g_free(run->flushed);
    g_free(run->uncertain);
}

static void change(Run *run)
{
    uint64_t offset = g_rand_int_range(run->rand, 0, (gint32)run->size);
    uint64_t length = g_rand_int_range(run->rand, 1, 200000);
    int kind = g_rand_int_range(run->rand, 0, 5), byte = g_rand_int_range(run->rand, 1, 255);
    GError *error = NULL;
    gboolean ok;

    if (g_rand_boolean(run->rand))
        offset = offset / 65536 * 65536;
    length = MIN(length, run->size - offset);
    memset(run->now + offset, kind < 3 ? byte : 0, length);
    memset(run->uncertain + offset, 1, length);
    if (kind < 3)
        ok = cst_blob_pwrite(run->guest, run->now + offset, length, offset, &error);
    else
        ok = cst_blob_zero(run->guest, offset, length, kind == 3 ? CST_ZERO_MAY_UNMAP : 0, &error);
    must(ok, "change", error);
}

static void flush(Run *run)
{
    GError *error = NULL;

    must(cst_blob_flush(run->guest, &error), "flush", error);
    memcpy(run->flushed, run->now, run->size);
    memset(run->uncertain, 0, run->size);
}

static void verify(Run *run)
{
    g_autoptr(CstBlob) guest = open_guest(run->inner, 0);
    g_autofree uint8_t *seen = g_malloc(run->size);
    GError *error = NULL;

    must(cst_blob_pread(guest, seen, run->size, 0, &error), "read back", error);
    for (uint64_t i = 0; i < run->size; i++)
        must(run->uncertain[i] || seen[i] == run->flushed[i], "flushed data", NULL);
}

static void save(Run *run, const char *path)
{
    g_autofree char *data = NULL;
    uint64_t size = 0;

    must(cst_blob_get_size(run->inner, &size, NULL), "size", NULL);
    data = g_malloc(size);
    must(cst_blob_pread(run->inner, data, size, 0, NULL), "read", NULL);
    must(g_file_set_contents(path, data, (gssize)size, NULL), path, NULL);
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 6)
        return 2;
    if (argc == 6)
        format = argv[5];
    for (guint32 i = 0; i < (guint32)atoi(argv[4]); i++) {
        g_autofree char *out = g_strdup_printf("%s.%u", argv[2], i);
        Run run;
        int steps;

        run_init(&run, argv[1], (guint32)atoi(argv[3]) + i);
        steps = g_rand_int_range(run.rand, 1, STEPS);
        for (int step = 0; step < steps; step++) {
            change(&run);
            if (g_rand_int_range(run.rand, 0, 6) == 0)
                flush(&run);
        }
        if (g_rand_boolean(run.rand)) /* or in the middle of the last flush */
            cst_blob_fault_arm(run.fault, CST_FAULT_FLUSH,
                               (unsigned)g_rand_int_range(run.rand, 1, 5), CST_FAULT_CUT);
        if (g_rand_boolean(run.rand))
            cst_blob_flush(run.guest, NULL);
        must(cst_blob_fault_power_cut(run.fault, run.rand, NULL), "cut", NULL);
        cst_blob_unref(run.guest);
        verify(&run);
        save(&run, out);
        run_clear(&run);
    }
    return 0;
}
