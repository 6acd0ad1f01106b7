/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "provider.h"

#include "provider.h"

struct CstConn {
    const CstConnOps *ops;
    gpointer self;
    gboolean read_only;
};

typedef enum { CST_ACCESS_READ, CST_ACCESS_WRITE } CstConnAccess;

/**
 * FALSE when a writing call meets a read-only connection, or when the provider has no such call.
 * @api is libvirt's name of the call, as its own message has it.
 */
gboolean cst_conn_allow(const CstConn *conn, gboolean present, CstConnAccess access,
                        const char *api, GError **error);

/** Passes @ok through; a failure that left @error empty becomes one that says so. */
gboolean cst_conn_checked(gboolean ok, const char *api, GError **error);

/** Body of a dispatcher whose slot gives a gboolean. */
#define CST_DISPATCH(conn, slot, access, api, ...)                          \
    (cst_conn_allow(conn, (conn)->ops->slot != NULL, access, api, error) && \
     cst_conn_checked((conn)->ops->slot((conn)->self, ##__VA_ARGS__, error), api, error))

/** The same for a slot that gives a pointer, stored in @result. */
#define CST_DISPATCH_PTR(conn, result, slot, access, api, ...)                                    \
    (cst_conn_allow(conn, (conn)->ops->slot != NULL, access, api, error) &&                       \
     cst_conn_checked(((result) = (conn)->ops->slot((conn)->self, ##__VA_ARGS__, error)) != NULL, \
                      api, error))
