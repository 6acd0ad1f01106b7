/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The identity that a daemon of libvirt declares. A call keeps a reference, because the connection
 * may replace its identity while the call runs.
 */
#include <api/api.h>

CstApiIdentity *cst_api_identity_new(void)
{
    return g_atomic_rc_box_new0(CstApiIdentity);
}

CstApiIdentity *cst_api_identity_ref(CstApiIdentity *identity)
{
    return identity ? g_atomic_rc_box_acquire(identity) : NULL;
}

static void identity_clear(gpointer data)
{
    CstApiIdentity *identity = data;

    g_free(identity->user);
    g_free(identity->sasl);
    g_free(identity->tls);
}

void cst_api_identity_unref(CstApiIdentity *identity)
{
    if (identity)
        g_atomic_rc_box_release_full(identity, identity_clear);
}
