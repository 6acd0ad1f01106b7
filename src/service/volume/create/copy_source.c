/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy_source.h"

CstBlob *copy_source_open(CopySource *source, CstPool *pool, const char *name, const char *snapshot,
                          GError **error)
{
    if (!source->live)
        return image_chain_open(&source->chain, pool, name, error)
                   ? image_chain_guest(&source->chain, snapshot, error)
                   : NULL;
    source->snapshot = live_set_open(source->live, source->live_index, error);
    if (!source->snapshot)
        live_set_explain(source->live, error);
    return source->snapshot;
}

gboolean copy_source_end(const CopySource *source, gboolean ok, GError **error)
{
    if (!source->live)
        return ok && image_chain_is_as_before(&source->chain, error);
    if (!ok)
        live_set_explain(source->live, error);
    return ok && live_set_check(source->live, error);
}

void copy_source_close(CopySource *source)
{
    g_clear_pointer(&source->snapshot, cst_blob_unref);
    image_chain_close(&source->chain);
}
