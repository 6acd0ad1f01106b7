/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <api/api.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <service/pools.h>
#include <service/secrets.h>

/* Tables, each ended by a row without a handler. */
extern const CstProcedure cst_api_pool_procedures[];
extern const CstProcedure cst_api_volume_procedures[];
extern const CstProcedure cst_api_image_procedures[];
extern const CstProcedure cst_api_snapshot_procedures[];
extern const CstProcedure cst_api_job_procedures[];
extern const CstProcedure cst_api_secret_procedures[];
extern const CstProcedure cst_api_host_procedures[];
extern const CstProcedure cst_api_empty_procedures[];

/* objects.c: between the structs of the protocol and the service's objects */

/** The pool that a volume's name says it is in; the caller unrefs it. NO_POOL. */
CstPool *cst_api_vol_pool(CstService *service, const wire_vol *vol, GError **error);
void cst_api_fill_pool(wire_pool *ret, CstPool *pool);
/** Takes @key over. */
void cst_api_set_vol(wire_vol *ret, CstPool *pool, const char *name, char *key);
/** Asks for the key. NO_VOL. */
gboolean cst_api_fill_vol(wire_vol *ret, CstPool *pool, const char *name, GError **error);

/** Borrowed; NULL: absent. */
const char *cst_api_opt_text(const wire_opt_string text);
/** Takes @text over; NULL: absent. */
wire_opt_string cst_api_opt(char *text);
/** Takes @text over; NULL becomes the empty text, for strings that aren't optional. */
char *cst_api_text(char *text);

/** libvirt's refusal of a longer list than it knows ("maxnames > REMOTE_…_LIST_MAX"). */
gboolean cst_api_check_max(int max, int limit, const char *what, const char *limit_name,
                           GError **error);
