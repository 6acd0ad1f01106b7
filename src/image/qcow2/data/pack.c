/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Compresses clusters. The functions use only the compression type in the image's header, so any
 * number of threads may compress at the same time.
 */
#include <zstd.h>

#include "deflate.h"
#include "qcow2/state.h"

/* Each thread keeps its compression context, because creating one takes longer than compressing a
 * small cluster. */
static void free_zstd(void *context)
{
    ZSTD_freeCCtx(context);
}

static GPrivate zstds = G_PRIVATE_INIT(free_zstd);

static size_t zstd_cluster(const uint8_t *cluster, size_t len, uint8_t *packed, size_t room)
{
    ZSTD_CCtx *context = g_private_get(&zstds);
    size_t size;

    if (!context) {
        context = ZSTD_createCCtx();
        if (!context)
            return 0;
        g_private_set(&zstds, context);
    }
    size = ZSTD_compress2(context, packed, room, cluster, len);
    return ZSTD_isError(size) ? 0 : size;
}

size_t qcow2_pack(const Qcow2 *q, const uint8_t *cluster, uint8_t *packed, size_t room)
{
    if (q->header.compression == QCOW2_ZSTD)
        return zstd_cluster(cluster, q->cluster_size, packed, room);
    return cst_deflate(cluster, q->cluster_size, packed, room);
}
