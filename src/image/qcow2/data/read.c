/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads the guest's bytes: qcow2's callbacks for the reader of all block formats (blocks.h), and
 * the location of bytes in files. The tables are searched under the lock. Data is read and
 * decompressed without it. Encrypted images, and images whose data file was not opened, are
 * refused.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "qcow2/qcow2.h"
#include "qcow2/state.h"

gboolean qcow2_backing_shows(const Qcow2 *q, uint64_t offset)
{
    return q->blocks.lacks_backing || (q->blocks.backing && offset < q->blocks.backing_size);
}

static gboolean blocks_unpack(CstBlocks *blocks, const CstRun *run, uint8_t *buf, size_t len,
                              uint64_t offset, GError **error)
{
    Qcow2 *q = (Qcow2 *)blocks;
    uint64_t host = 0, length = 0, inside = offset & (q->cluster_size - 1);
    g_autofree uint8_t *packed = NULL, *cluster = NULL;
    gboolean whole = len == q->cluster_size;

    qcow2_packed_place(q, run->host, &host, &length);
    packed = cst_alloc(length, 1, blocks->blob->name, error);
    if (!whole)
        cluster = packed ? cst_alloc(q->cluster_size, 1, blocks->blob->name, error) : NULL;
    if (!packed || (!whole && !cluster) ||
        !cst_blocks_read_host(blocks, packed, length, host, error) ||
        !qcow2_unpack(q, packed, length, whole ? buf : cluster, error))
        return FALSE;
    if (!whole)
        memcpy(buf, cluster + inside, len);
    return TRUE;
}

static gboolean blocks_run_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                               GError **error)
{
    static const CstRunKind kinds[] = {[QCOW2_UNALLOCATED] = CST_RUN_BACKING,
                                       [QCOW2_ZERO] = CST_RUN_ZERO,
                                       [QCOW2_DATA] = CST_RUN_DATA,
                                       [QCOW2_PACKED] = CST_RUN_PACKED};
    Qcow2Run run;

    if (!qcow2_map((Qcow2 *)blocks, offset, length, &run, error))
        return FALSE;
    *ret_run = (CstRun){kinds[run.kind], run.length, run.host};
    return TRUE;
}

const CstBlocksOps qcow2_blocks_ops = {.map = blocks_run_map, .unpack = blocks_unpack};

gboolean qcow2_check_content(const Qcow2 *q, GError **error)
{
    if (q->header.crypt != QCOW2_CRYPT_NONE)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is encrypted: its content can't be read or written here; "
                          "'qemu-img convert' with a secret object can decrypt it"),
                        q->blocks.blob->name);
    return !q->lacks_data ||
           cst_fail(error, CST_ERROR_INVALID, _("'%s' is opened without its data file"),
                    q->blocks.blob->name);
}

gboolean qcow2_pread(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error)
{
    return qcow2_check_content(qcow2_of(image), error) &&
           cst_blocks_pread(image, buf, len, offset, error);
}

/* Reports a location for a preallocated cluster that reads as zeroes, too. */
gboolean qcow2_locate(CstImage *image, uint64_t offset, uint64_t length,
                      CstBlobLocation *ret_location, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    CstBlobLocation location = {NULL, 0, length};
    gboolean ok;
    Qcow2Run run;

    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_map(q, offset, length, &run, error);
    g_mutex_unlock(&q->blocks.lock);
    if (!ok)
        return FALSE;
    location.length = run.length;
    if (q->header.crypt != QCOW2_CRYPT_NONE) { /* the file has encrypted bytes, not the guest's */
        *ret_location = location;
        return TRUE;
    }
    if (run.kind == QCOW2_UNALLOCATED && q->blocks.backing && offset < q->blocks.backing_size)
        location = (CstBlobLocation){q->blocks.backing, offset,
                                     MIN(run.length, q->blocks.backing_size - offset)};
    else if (run.kind == QCOW2_DATA || (run.kind != QCOW2_PACKED && run.host != 0))
        location = (CstBlobLocation){q->blocks.data, run.host, run.length};
    *ret_location = location;
    return TRUE;
}
