/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>
#include <conn/secrets.h>

#include "transport.h"
#include "uri.h"

struct CstConn {
    const CstTransport *transport;
    gpointer self;      /**< the transport's object */
    char *given_uri;    /**< the URI as the user gave it; NULL: none */
    CstConnUri uri;     /**< what was connected to; empty when embedded */
    char *stale_socket; /**< see cst_conn_stale_socket() */
    gboolean read_only;
    gboolean dry_run;
};

/**
 * Calls the procedure @number of libvirt's program with the structs of its row in the procedure
 * table; @args and @ret may be NULL where it has none. The caller zeroes @ret, and frees its
 * content with xdr_free() on success. @task may be NULL. READ_ONLY for a change over a read-only
 * connection, NO_SUPPORT for a procedure that the server does not have.
 */
gboolean cst_conn_call(CstConn *conn, int number, const void *args, void *ret, CstTask *task,
                       GError **error);
/** As cst_conn_call(), for a procedure of Cistern's own program. */
gboolean cst_conn_own_call(CstConn *conn, int number, const void *args, void *ret, CstTask *task,
                           GError **error);
/** Calls a procedure of libvirt's program whose reply is one string, which the caller frees. */
char *cst_conn_text(CstConn *conn, int number, const void *args, GError **error);

/** Checks whether a call is allowed (READ_ONLY), and sets the thread's dry-run state for it. */
gboolean cst_conn_check_access(const CstConn *conn, const CstProcedure *procedure, GError **error);
/** Returns @ok; sets INTERNAL when the call @name failed without setting @error. */
gboolean cst_conn_check_result(gboolean ok, const char *name, GError **error);
/**
 * Asks whether the server has procedure @number of Cistern's program. Fails only when the
 * connection does.
 */
gboolean cst_conn_supports(CstConn *conn, int number, gboolean *ret_supported, GError **error);
/** Sets NO_SUPPORT: the server has no @what. Always FALSE. */
gboolean cst_conn_fail_unsupported(const char *what, GError **error);
#define cst_conn_fail_unsupported(...) CST_GIVES_FALSE(cst_conn_fail_unsupported(__VA_ARGS__))

/* convert.c: conversion between the protocol's references to objects and ours */

/**
 * Makes the protocol's form of a reference. Its strings are the reference's: it is for arguments
 * only, and never freed with xdr_free().
 */
wire_pool cst_pool_arg(const CstPoolRef *pool);
/** As cst_pool_arg(), for a volume; without a key the protocol's key is "". */
wire_vol cst_vol_arg(const CstVolRef *vol);
/** As cst_pool_arg(), for a secret. */
wire_secret cst_secret_arg(const CstConnSecret *secret);
/** Makes an optional string of *text, borrowed; *text NULL: absent. */
wire_opt_string cst_opt_arg(char **text);
/** Makes a reference from a reply, whose strings it takes over. */
CstPoolRef *cst_pool_ref_take(wire_pool *pool);
/** As cst_pool_ref_take(), for a volume. */
CstVolRef *cst_vol_ref_take(wire_vol *vol);
/** Takes an optional string from a reply; NULL: absent. */
char *cst_opt_take(wire_opt_string text);
/** Makes CstVolHolder * of a reply, which it frees. */
GPtrArray *cst_holders_take(wire_holders_ret *ret);
