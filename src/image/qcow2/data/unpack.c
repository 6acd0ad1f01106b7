/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Decompresses clusters. The input is untrusted: output ends with the cluster, and the memory for a
 * zstd window is limited. Bytes after the compressed data in its last sector are ignored. No lock
 * is needed.
 */
#include <base/error.h>
#include <base/i18n.h>

#include <zstd.h>

#include "inflate.h"
#include "qcow2/state.h"

static gboolean unzstd_cluster(const uint8_t *packed, size_t packed_len, uint8_t *cluster,
                               size_t cluster_len)
{
    ZSTD_inBuffer in = {packed, packed_len, 0};
    ZSTD_outBuffer out = {cluster, cluster_len, 0};
    ZSTD_DCtx *context = ZSTD_createDCtx();

    /* a larger window is useless for one cluster and would cost memory */
    if (!context || ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 23))) {
        ZSTD_freeDCtx(context);
        return FALSE;
    }
    while (out.pos < out.size) {
        size_t in_before = in.pos, out_before = out.pos;

        if (ZSTD_isError(ZSTD_decompressStream(context, &out, &in)) ||
            (in.pos == in_before && out.pos == out_before))
            break;
    }
    ZSTD_freeDCtx(context);
    return out.pos == out.size;
}

gboolean qcow2_unpack(Qcow2 *q, const uint8_t *packed, size_t packed_len, uint8_t *cluster,
                      GError **error)
{
    gboolean ok = q->header.compression == QCOW2_ZSTD
                      ? unzstd_cluster(packed, packed_len, cluster, q->cluster_size)
                      : cst_inflate(packed, packed_len, cluster, q->cluster_size);

    return ok || qcow2_corrupt(q, error, _("a compressed cluster is damaged"));
}
