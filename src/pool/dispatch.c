/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Begins calls through a CstBackend, and reports operations that a technology lacks; see
 * dispatch.h.
 */
#include "dispatch.h"

#include <base/error.h>

CstCall pool_call_begin_type(CstPoolType type, const char *slot, const char *pool)
{
    return (CstCall){.kind = cst_pool_type_name(type),
                     .noun = "backend",
                     .slot = slot,
                     .object = pool,
                     .began = cst_call_now()};
}

CstCall pool_call_begin(const CstPoolState *state, const char *slot, const char *volume)
{
    CstCall call = pool_call_begin_type(state->backend->type, slot, state->def->name);

    call.part = volume;
    return call;
}

void pool_blob_watched(const CstPoolState *state, CstBlob *blob)
{
    if (blob && pool_liveness(state))
        cst_blob_set_liveness(blob, pool_liveness(state));
}

gboolean pool_unsupported(const CstPoolState *state, const char *what, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s (pool type '%s')", what,
                    cst_pool_type_name(state->backend->type));
}
