/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * References to pools, volumes and secrets for callers: plain data, which remains valid after the
 * object is deleted. A call with such a reference then fails with NO_POOL, NO_VOL or NO_SECRET.
 */
#include <conn/secrets.h>

CstPoolRef *cst_pool_ref_new(const char *name, const CstUuid *uuid)
{
    CstPoolRef *ref = g_new0(CstPoolRef, 1);

    ref->name = g_strdup(name);
    ref->uuid = *uuid;
    return ref;
}

void cst_pool_ref_free(CstPoolRef *ref)
{
    if (!ref)
        return;
    g_free(ref->name);
    g_free(ref);
}

void cst_vol_ref_free(CstVolRef *ref)
{
    if (!ref)
        return;
    g_free(ref->pool);
    g_free(ref->name);
    g_free(ref->key);
    g_free(ref);
}

void cst_conn_secret_free(CstConnSecret *secret)
{
    if (!secret)
        return;
    g_free(secret->usage_id);
    g_free(secret);
}
