/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overwrites a blob by the passes of an algorithm: patterns of one to three bytes, or random bytes,
 * in the published order. Each pass writes and syncs all bytes before the next one begins, so that
 * each pass reaches the medium. A cancelled wipe leaves the written bytes.
 */
#include "wipe_passes.h"

#include <string.h>
#include <sys/random.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <blob/steps.h>

#define CHUNK (1 * CST_MIB)

typedef enum { PASS_END, PASS_PATTERN, PASS_RANDOM } PassKind;

/* A pass: a pattern of one to three bytes, repeated, or random bytes. */
typedef struct {
    PassKind kind;
    uint8_t len;
    uint8_t bytes[3];
} Pass;

/*
 * Rows of the tables below: a pass of random bytes, of one byte, of three alternating bytes, and
 * the end.
 */
#define R               \
    {                   \
        PASS_RANDOM, 0, \
        {               \
            0           \
        }               \
    }
#define P(b)             \
    {                    \
        PASS_PATTERN, 1, \
        {                \
            b            \
        }                \
    }
#define P3(a, b, c)      \
    {                    \
        PASS_PATTERN, 3, \
        {                \
            a, b, c      \
        }                \
    }
#define END          \
    {                \
        PASS_END, 0, \
        {            \
            0        \
        }            \
    }

/* The passes of scrub(1), to which libvirt's documentation of the algorithms refers. */
static const Pass zero_passes[] = {P(0x00), END};
static const Pass nnsa_passes[] = {R, R, P(0x00), END};
static const Pass dod_passes[] = {R, P(0x00), P(0xff), END};
static const Pass bsi_passes[] = {P(0xff), P(0xfe), P(0xfd), P(0xfb), P(0xf7),
                                  P(0xef), P(0xdf), P(0xbf), P(0x7f), END};
static const Pass gutmann_passes[] = {R,
                                      R,
                                      R,
                                      R,
                                      P(0x55),
                                      P(0xaa),
                                      P3(0x92, 0x49, 0x24),
                                      P3(0x49, 0x24, 0x92),
                                      P3(0x24, 0x92, 0x49),
                                      P(0x00),
                                      P(0x11),
                                      P(0x22),
                                      P(0x33),
                                      P(0x44),
                                      P(0x55),
                                      P(0x66),
                                      P(0x77),
                                      P(0x88),
                                      P(0x99),
                                      P(0xaa),
                                      P(0xbb),
                                      P(0xcc),
                                      P(0xdd),
                                      P(0xee),
                                      P(0xff),
                                      P3(0x92, 0x49, 0x24),
                                      P3(0x49, 0x24, 0x92),
                                      P3(0x24, 0x92, 0x49),
                                      P3(0x6d, 0xb6, 0xdb),
                                      P3(0xb6, 0xdb, 0x6d),
                                      P3(0xdb, 0x6d, 0xb6),
                                      R,
                                      R,
                                      R,
                                      R,
                                      END};
static const Pass schneier_passes[] = {P(0x00), P(0xff), R, R, R, R, R, END};
static const Pass pfitzner7_passes[] = {R, R, R, R, R, R, R, END};
static const Pass pfitzner33_passes[] = {R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R,
                                         R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, R, END};
static const Pass random_passes[] = {R, END};

static const Pass *const algorithms[CST_WIPE_LAST] = {
    [CST_WIPE_ZERO] = zero_passes,
    [CST_WIPE_NNSA] = nnsa_passes,
    [CST_WIPE_DOD] = dod_passes,
    [CST_WIPE_BSI] = bsi_passes,
    [CST_WIPE_GUTMANN] = gutmann_passes,
    [CST_WIPE_SCHNEIER] = schneier_passes,
    [CST_WIPE_PFITZNER7] = pfitzner7_passes,
    [CST_WIPE_PFITZNER33] = pfitzner33_passes,
    [CST_WIPE_RANDOM] = random_passes,
};

/* getrandom() may return fewer bytes than requested. */
static gboolean fill_random(uint8_t *buf, size_t len, GError **error)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = getrandom(buf + done, len - done, 0);

        if (n < 0)
            return cst_fail(error, CST_ERROR_IO, _("the kernel gives no random bytes"));
        done += (size_t)n;
    }
    return TRUE;
}

/*
 * The phase of the pattern follows the offset, because the chunk's length need not be a multiple of
 * three.
 */
static void fill_pattern(uint8_t *buf, size_t len, uint64_t offset, const Pass *pass)
{
    if (pass->len == 1) {
        memset(buf, pass->bytes[0], len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        buf[i] = pass->bytes[(offset + i) % pass->len];
}

/*
 * Writes one pass from the beginning to the end, and syncs it. @buf has CHUNK bytes. Random bytes
 * are new for each chunk.
 */
static gboolean run_pass(CstBlob *blob, uint64_t size, const Pass *pass, uint8_t *buf,
                         CstTask *task, GError **error)
{
    for (uint64_t offset = 0; offset < size;) {
        size_t len = (size_t)MIN(CHUNK, size - offset);

        if (!cst_task_check(task, error))
            return FALSE;
        if (pass->kind == PASS_RANDOM) {
            if (!fill_random(buf, len, error))
                return FALSE;
        } else {
            fill_pattern(buf, len, offset, pass);
        }
        if (!cst_blob_pwrite(blob, buf, len, offset, error))
            return FALSE;
        cst_task_advance(task, len);
        offset += len;
    }
    return cst_blob_flush(blob, error);
}

/*
 * As in libvirt, truncates a sparse file to zero and extends it again instead of overwriting it.
 * *ret_done FALSE: the blob is not sparse, and its bytes have to be written.
 */
static gboolean zero_sparse(CstBlob *blob, uint64_t size, gboolean *ret_done, GError **error)
{
    CstExtent extent;

    *ret_done = FALSE;
    if (size == 0 || !cst_blob_can_resize(blob))
        return TRUE;
    if (!cst_blob_extent(blob, 0, size, &extent, error))
        return FALSE;
    if (extent.length == size && !(extent.flags & CST_EXTENT_HOLE))
        return TRUE;
    *ret_done = cst_blob_resize(blob, 0, error) && cst_blob_resize(blob, size, error) &&
                cst_blob_flush(blob, error);
    return *ret_done;
}

gboolean wipe_blob(CstBlob *blob, CstWipeAlgorithm algorithm, CstTask *task, GError **error)
{
    g_autofree uint8_t *buf = NULL;
    uint64_t size;
    unsigned passes = 0;
    gboolean done = FALSE;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    /* CST_ZERO_FAST: only if the storage zeroes without writing. */
    if (algorithm == CST_WIPE_TRIM)
        return size == 0 || (cst_blob_zero_steps(blob, 0, size, CST_ZERO_MAY_UNMAP | CST_ZERO_FAST,
                                                 task, error) &&
                             cst_blob_flush(blob, error));
    if (algorithm == CST_WIPE_ZERO && !zero_sparse(blob, size, &done, error))
        return FALSE;
    if (done)
        return TRUE;
    buf = g_malloc(CHUNK);
    while (algorithms[algorithm][passes].kind != PASS_END)
        passes++;
    cst_task_set_total(task, passes * size);
    for (unsigned i = 0; i < passes; i++)
        if (!run_pass(blob, size, &algorithms[algorithm][i], buf, task, error))
            return FALSE;
    return TRUE;
}
