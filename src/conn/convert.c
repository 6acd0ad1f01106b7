/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversion between our references to objects and the protocol's references in arguments and
 * replies. The _arg() functions borrow strings, the _take() functions take ownership.
 */
#include <string.h>

#include "conn_private.h"

wire_pool cst_pool_arg(const CstPoolRef *pool)
{
    wire_pool wire = {.name = pool->name};

    memcpy(wire.uuid, pool->uuid.bytes, sizeof(wire.uuid));
    return wire;
}

wire_vol cst_vol_arg(const CstVolRef *vol)
{
    /* Keys are not optional in the protocol. Servers look up volumes by pool and name. */
    static char none[] = "";

    return (wire_vol){vol->pool, vol->name, vol->key ? vol->key : none};
}

wire_secret cst_secret_arg(const CstConnSecret *secret)
{
    static char none[] = "";
    wire_secret wire = {.usage_type = secret->usage,
                        .usage_id = secret->usage_id ? secret->usage_id : none};

    memcpy(wire.uuid, secret->uuid.bytes, sizeof(wire.uuid));
    return wire;
}

CstPoolRef *cst_pool_ref_take(wire_pool *pool)
{
    CstPoolRef *ref = g_new0(CstPoolRef, 1);

    ref->name = g_steal_pointer(&pool->name);
    memcpy(ref->uuid.bytes, pool->uuid, sizeof(ref->uuid.bytes));
    return ref;
}

CstVolRef *cst_vol_ref_take(wire_vol *vol)
{
    CstVolRef *ref = g_new0(CstVolRef, 1);

    ref->pool = g_steal_pointer(&vol->pool);
    ref->name = g_steal_pointer(&vol->name);
    ref->key = g_steal_pointer(&vol->key);
    return ref;
}

char *cst_opt_take(wire_opt_string text)
{
    return text ? g_steal_pointer(text) : NULL;
}

wire_opt_string cst_opt_arg(char **text)
{
    return *text ? text : NULL;
}
