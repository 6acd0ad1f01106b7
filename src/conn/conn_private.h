/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>
#include <conn/secrets.h>

#include "transport.h"
#include "uri.h"

struct CstConn {
    const CstTransport *transport;
    gpointer self;      /**< the transport's object */
    char *given_uri;    /**< the URI as the user gave it; NULL: not given */
    CstConnUri uri;     /**< URI of the server; empty if embedded */
    char *stale_socket; /**< see cst_conn_stale_socket() */
    char *root;         /**< --root, or root= of the URI; NULL: this user's default */
    gboolean read_only;
    gboolean dry_run;
};

/**
 * Calls the procedure @number of libvirt's program with the structs of its row in the procedure
 * table. @args and @ret may be NULL if the procedure does not have them. The caller zeroes @ret,
 * and on success frees its content with xdr_free(). @task may be NULL. Fails with READ_ONLY for a
 * change over a read-only connection, and with NO_SUPPORT if the server does not have the
 * procedure.
 */
gboolean cst_conn_call(CstConn *conn, int number, const void *args, void *ret, CstTask *task,
                       GError **error);
/** As cst_conn_call(), for a procedure of Cistern's own program. */
gboolean cst_conn_own_call(CstConn *conn, int number, const void *args, void *ret, CstTask *task,
                           GError **error);
/** Calls a procedure of libvirt's program with one string as its reply, which the caller frees. */
char *cst_conn_text(CstConn *conn, int number, const void *args, GError **error);

/** Checks whether a call is allowed (READ_ONLY), and sets the thread's dry-run state for it. */
gboolean cst_conn_check_access(const CstConn *conn, const CstProcedure *procedure, GError **error);
/** Returns @ok. Sets INTERNAL if the call @name failed without setting @error. */
gboolean cst_conn_check_result(gboolean ok, const char *name, GError **error);
/**
 * Returns whether the server has procedure @number of Cistern's program. Fails only if the
 * connection fails.
 */
gboolean cst_conn_supports(CstConn *conn, int number, gboolean *ret_supported, GError **error);
/** Sets NO_SUPPORT: the server does not have @what. Always returns FALSE. */
gboolean cst_conn_fail_unsupported(const char *what, GError **error);
#define cst_conn_fail_unsupported(...) CST_GIVES_FALSE(cst_conn_fail_unsupported(__VA_ARGS__))

/* convert.c: conversion between the protocol's references to objects and ours */

/**
 * Returns the protocol's form of a reference. Its strings belong to @pool, so use it for arguments
 * only, and never free it with xdr_free().
 */
wire_pool cst_pool_arg(const CstPoolRef *pool);
/** As cst_pool_arg(), for a volume. Without a key the protocol's key is "". */
wire_vol cst_vol_arg(const CstVolRef *vol);
/** As cst_pool_arg(), for a secret. */
wire_secret cst_secret_arg(const CstConnSecret *secret);
/** Returns an optional string with *text, borrowed; *text NULL: absent. */
wire_opt_string cst_opt_arg(char **text);
/** Makes a reference from a reply. Takes ownership of the strings in @pool. */
CstPoolRef *cst_pool_ref_take(wire_pool *pool);
/** As cst_pool_ref_take(), for a volume. */
CstVolRef *cst_vol_ref_take(wire_vol *vol);
/** Takes an optional string out of a reply; NULL: absent. */
char *cst_opt_take(wire_opt_string text);
/** Makes an array of CstVolHolder * from @count holders of a reply, and moves their texts to it. */
GPtrArray *cst_holders_take(wire_holder *wire, u_int count);
