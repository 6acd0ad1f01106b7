/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "transport.h"

struct CstConn {
    const CstTransport *transport;
    gpointer self;
    char *asked; /**< the URI as the user gave it; NULL: none */
    gboolean read_only;
    gboolean dry_run;
};

/**
 * The procedure @number of libvirt's program, with the structs of its row: @args and @ret may be
 * NULL where it has none. @ret is zeroed by the caller, and freed with xdr_free() on success.
 * READ_ONLY for what changes something over a read-only connection, NO_SUPPORT where the server
 * does not know it.
 */
gboolean cst_conn_call(CstConn *conn, int number, const void *args, void *ret, CstTask *task,
                       GError **error);
/** The same for one of Cistern's own program. */
gboolean cst_conn_own_call(CstConn *conn, int number, const void *args, void *ret, CstTask *task,
                           GError **error);
/** A procedure of libvirt's program that answers with a text. */
char *cst_conn_text(CstConn *conn, int number, const void *args, GError **error);

/** The checks that each call passes; also tells this thread whether it is a dry run. */
gboolean cst_conn_check_access(const CstConn *conn, const CstProcedure *procedure, GError **error);
/** Passes @ok through; a failure that left @error empty becomes one that says so. */
gboolean cst_conn_check_result(gboolean ok, const char *name, GError **error);
/** Whether the server knows the procedure of Cistern's program. */
gboolean cst_conn_supports(CstConn *conn, int number, gboolean *ret_supported, GError **error);
/** NO_SUPPORT: the server has no @what. Always FALSE. */
gboolean cst_conn_fail_unsupported(const char *what, GError **error);
#define cst_conn_fail_unsupported(...) CST_GIVES_FALSE(cst_conn_fail_unsupported(__VA_ARGS__))

/* convert.c: between the protocol's names of objects and ours */

/** Borrow the reference's strings: for arguments only. */
wire_pool cst_pool_arg(const CstPoolRef *pool);
wire_vol cst_vol_arg(const CstVolRef *vol);
wire_secret cst_secret_arg(const CstConnSecret *secret);
/** Borrows *text; NULL: absent. */
wire_opt_string cst_opt_arg(char **text);
/** Take over what is in the answer. */
CstPoolRef *cst_pool_ref_take(wire_pool *pool);
CstVolRef *cst_vol_ref_take(wire_vol *vol);
char *cst_opt_take(wire_opt_string text); /**< NULL: absent */
