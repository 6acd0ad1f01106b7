/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <api/api.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <service/pools.h>
#include <service/secrets.h>

/* Tables of procedures. Each ends with a row without a handler. */
extern const CstProcedure cst_api_pool_procedures[];
extern const CstProcedure cst_api_trash_procedures[];
extern const CstProcedure cst_api_volume_procedures[];
extern const CstProcedure cst_api_image_procedures[];
extern const CstProcedure cst_api_snapshot_procedures[];
extern const CstProcedure cst_api_stream_procedures[];
extern const CstProcedure cst_api_job_procedures[];
extern const CstProcedure cst_api_schedule_procedures[];
extern const CstProcedure cst_api_event_procedures[];
extern const CstProcedure cst_api_audit_procedures[];
extern const CstProcedure cst_api_usage_procedures[];
extern const CstProcedure cst_api_chain_procedures[];
extern const CstProcedure cst_api_secret_procedures[];
extern const CstProcedure cst_api_tag_procedures[];
extern const CstProcedure cst_api_host_procedures[];
extern const CstProcedure cst_api_domain_procedures[];
extern const CstProcedure cst_api_doctor_procedures[];
extern const CstProcedure cst_api_empty_procedures[];

/* objects.c: conversion between the protocol's structs and the service's objects */

/**
 * Finds the pool of @vol by name, and sets pool and volume in the log's context. Returns the pool,
 * which the caller unrefs, or NULL with NO_POOL.
 */
CstPool *cst_api_vol_pool(CstService *service, const wire_vol *vol, GError **error);
/** Fills @ret with @pool's name and UUID. */
void cst_api_fill_pool(wire_pool *ret, CstPool *pool);
/** Fills @ret with the names and the @key of a volume of @pool. @ret owns @key. */
void cst_api_set_vol(wire_vol *ret, CstPool *pool, const char *name, char *key);
/**
 * Like cst_api_set_vol(), with the key from the service. Returns FALSE with NO_VOL. May access the
 * pool's storage.
 */
gboolean cst_api_fill_vol(wire_vol *ret, CstPool *pool, const char *name, GError **error);

/** Returns the text of an optional string, borrowed, or NULL when it is absent. */
const char *cst_api_opt_text(const wire_opt_string text);
/** Returns @text as an optional string, which owns it; NULL: absent. */
wire_opt_string cst_api_opt(char *text);
/**
 * Returns @text, or a new empty string if @text is NULL. For strings that are not optional. The
 * caller owns the result.
 */
char *cst_api_text(char *text);

/**
 * Fails with RPC unless 0 <= @max <= @limit, with libvirt's message "maxnames > REMOTE_…_LIST_MAX".
 */
gboolean cst_api_check_max(int max, int limit, const char *what, const char *limit_name,
                           GError **error);
