/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "provider.h"

struct CstConn {
    const CstConnOps *ops;
    gpointer self;
    gboolean read_only;
    gboolean dry_run;
};

typedef enum { CST_ACCESS_READ, CST_ACCESS_WRITE } CstConnAccess;

/**
 * FALSE when a writing call meets a read-only connection. @api is libvirt's name of the call. Also
 * tells the calling thread whether the call is a dry run.
 */
gboolean cst_conn_allow(const CstConn *conn, CstConnAccess access, const char *api, GError **error);

/** The provider has no call @api. Always FALSE. */
gboolean cst_conn_lacks(const char *api, GError **error);
#define cst_conn_lacks(...) CST_GIVES_FALSE(cst_conn_lacks(__VA_ARGS__))

/** Passes @ok through; a failure that left @error empty becomes one that says so. */
gboolean cst_conn_checked(gboolean ok, const char *api, GError **error);

/** Body of a dispatcher whose slot gives a gboolean. */
#define CST_DISPATCH(conn, slot, access, api, ...)                                              \
    (cst_conn_allow(conn, access, api, error) &&                                                \
     ((conn)->ops->slot                                                                         \
          ? cst_conn_checked((conn)->ops->slot((conn)->self, ##__VA_ARGS__, error), api, error) \
          : cst_conn_lacks(api, error)))

/** The same for a slot that gives a pointer, stored in @result. */
#define CST_DISPATCH_PTR(conn, result, slot, access, api, ...)                                \
    (cst_conn_allow(conn, access, api, error) &&                                              \
     ((conn)->ops->slot ? cst_conn_checked(((result) = (conn)->ops->slot(                     \
                                                (conn)->self, ##__VA_ARGS__, error)) != NULL, \
                                           api, error)                                        \
                        : cst_conn_lacks(api, error)))
