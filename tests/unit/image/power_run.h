/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Common parts of the tests of power cuts: a guest's work on an image, recorded with the step of
 * each request, and the states that are valid after the cut. SIZE, the bytes of the disk, is
 * defined by the including file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/units.h>
#include <blob/power.h>
#include <blob/sparse.h>
#include <image/image.h>

#include "backing_guest.h"
#include "same.h"

enum { BACKING = 0xee };

typedef struct {
    const char *format;
    CstImageCreate options;
} Variant;

/* A request of the guest and its position, counted in calls to the blob. */
typedef struct {
    unsigned from; /* calls made before it began */
    unsigned to;   /* calls made when it had ended */
    gboolean is_flush;
    uint8_t byte;
    uint64_t offset, length;
} Request;

typedef struct {
    const CstImageFormat *format;
    CstBlob *power;
    CstBlob *backing; /* NULL: no backing image; else full of BACKING */
    GArray *requests;
} Run;

static CstImage *open_image(const Run *run, CstBlob *blob, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, run->format, flags, run->backing, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return image;
}

static void run_init(Run *run, const Variant *variant)
{
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    CstImageCreate options = variant->options;
    g_autoptr(GError) error = NULL;

    run->format = cst_image_format_find(variant->format, NULL);
    run->requests = g_array_new(FALSE, TRUE, sizeof(Request));
    run->backing = options.backing ? make_backing(options.backing_format, SIZE, BACKING) : NULL;
    options.backing_guest = run->backing;
    if (!cst_image_create(blob, run->format, &options, NULL, &error))
        fail_msg("create: %s", error->message);
    run->power = cst_blob_power_new(blob, NULL);
    assert_non_null(run->power);
}

static void run_clear(Run *run)
{
    g_array_unref(run->requests);
    cst_blob_unref(run->power);
    cst_blob_unref(run->backing);
}

/* @byte 0: by zeroing, which may give the space back. */
static void put(Run *run, CstBlob *guest, uint64_t offset, uint64_t length, uint8_t byte)
{
    Request request = {
        .from = cst_blob_power_steps(run->power), .byte = byte, .offset = offset, .length = length};

    if (byte != 0) {
        g_autofree uint8_t *buf = g_malloc(length);

        memset(buf, byte, length);
        assert_true(cst_blob_pwrite(guest, buf, length, offset, NULL));
    } else {
        assert_true(cst_blob_zero(guest, offset, length, CST_ZERO_MAY_UNMAP, NULL));
    }
    request.to = cst_blob_power_steps(run->power);
    g_array_append_val(run->requests, request);
}

static void flush(Run *run, CstBlob *guest)
{
    Request request = {.from = cst_blob_power_steps(run->power), .is_flush = TRUE};

    assert_true(cst_blob_flush(guest, NULL));
    request.to = cst_blob_power_steps(run->power);
    g_array_append_val(run->requests, request);
}

/*
 * Sets @model to the durable content when the power failed. Returns the first request that may be
 * lost.
 */
static guint recall(const Run *run, unsigned steps, uint8_t *model)
{
    guint flushed = 0;

    memset(model, run->backing ? BACKING : 0, SIZE);
    for (guint i = 0; i < run->requests->len; i++) {
        const Request *request = &g_array_index(run->requests, Request, i);

        if (request->is_flush && request->to <= steps)
            flushed = i;
    }
    for (guint i = 0; i < flushed; i++) {
        const Request *request = &g_array_index(run->requests, Request, i);

        if (!request->is_flush)
            memset(model + request->offset, request->byte, request->length);
    }
    return flushed;
}

/* Whether a write that may have been lost has put @byte here. */
static gboolean may_be(const Run *run, guint first, unsigned steps, uint64_t at, uint8_t byte)
{
    for (guint i = first; i < run->requests->len; i++) {
        const Request *request = &g_array_index(run->requests, Request, i);

        if (!request->is_flush && request->from <= steps && request->byte == byte &&
            at >= request->offset && at - request->offset < request->length)
            return TRUE;
    }
    return FALSE;
}

/* Asserts that each byte is the flushed one or the one of a later write. */
static void assert_flushed_is_there(const Run *run, CstBlob *blob, unsigned steps, uint64_t limit)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_image(run, blob, 0));
    static uint8_t seen[SIZE], model[SIZE];
    guint first = recall(run, steps, model);

    assert_true(cst_blob_pread(guest, seen, limit, 0, NULL));
    for (uint64_t at = 0; (at = next_difference(seen, model, at, limit)) < limit; at++)
        if (!may_be(run, first, steps, at, seen[at]))
            fail_msg("%s: after %u calls byte %" G_GUINT64_FORMAT " is %u, not %u",
                     cst_image_format_name(run->format), steps, at, seen[at], model[at]);
}

/* That a Parallels image was not closed is an error by itself, as QEMU counts. */
static uint64_t errors_to_expect(const Run *run, CstBlob *blob)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, run->format, &info, NULL));
    return strcmp(cst_image_format_name(run->format), "parallels") == 0 && info.dirty ? 1 : 0;
}

static CstImageCheck check(const Run *run, CstBlob *blob, unsigned flags, unsigned steps)
{
    g_autoptr(GError) error = NULL;
    uint64_t expected = errors_to_expect(run, blob);
    CstImageCheck found = {0};

    if (!cst_image_check(blob, run->format, flags, &found, NULL, &error))
        fail_msg("check: %s", error->message);
    if (found.errors > expected)
        fail_msg("%s: %u errors after %u calls", cst_image_format_name(run->format),
                 (unsigned)found.errors, steps);
    return found;
}
