/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/error.h>
#include <base/i18n.h>

#include "remote_private.h"

/** A procedure whose answer is one volume. */
static CstVolRef *call_for_vol(gpointer self, int number, gpointer args_func, const void *args,
                               CstTask *task, GError **error)
{
    wire_vol_args ret = {0};

    if (!cst_remote_long_call(self, number, args_func, args, xdr_wire_vol_args, &ret, task, error))
        return NULL;
    return cst_remote_vol_take(&ret.vol);
}

CstVolRef *cst_remote_vol_by_name(gpointer self, const CstPoolRef *pool, const char *name,
                                  GError **error)
{
    wire_vol_by_name_args args = {cst_remote_pool_arg(pool), (char *)name};

    return call_for_vol(self, WIRE_PROC_STORAGE_VOL_LOOKUP_BY_NAME, xdr_wire_vol_by_name_args,
                        &args, NULL, error);
}

CstVolRef *cst_remote_vol_by_key(gpointer self, const char *key, GError **error)
{
    wire_text args = {(char *)key};

    return call_for_vol(self, WIRE_PROC_STORAGE_VOL_LOOKUP_BY_KEY, xdr_wire_text, &args, NULL,
                        error);
}

CstVolRef *cst_remote_vol_by_path(gpointer self, const char *path, GError **error)
{
    wire_text args = {(char *)path};

    return call_for_vol(self, WIRE_PROC_STORAGE_VOL_LOOKUP_BY_PATH, xdr_wire_text, &args, NULL,
                        error);
}

CstPoolRef *cst_remote_pool_of_vol(gpointer self, const CstVolRef *vol, GError **error)
{
    wire_vol_args args = {cst_remote_vol_arg(vol)};
    wire_pool_args ret = {0};

    if (!cst_remote_call(self, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_VOLUME, xdr_wire_vol_args, &args,
                         xdr_wire_pool_args, &ret, error))
        return NULL;
    return cst_remote_pool_take(&ret.pool);
}

char *cst_remote_vol_path(gpointer self, const CstVolRef *vol, GError **error)
{
    wire_vol_args args = {cst_remote_vol_arg(vol)};

    return cst_remote_text(self, WIRE_PROC_STORAGE_VOL_GET_PATH, xdr_wire_vol_args, &args, error);
}

char *cst_remote_vol_xml(gpointer self, const CstVolRef *vol, unsigned flags, GError **error)
{
    wire_vol_flags_args args = {cst_remote_vol_arg(vol), flags};

    return cst_remote_text(self, WIRE_PROC_STORAGE_VOL_GET_XML_DESC, xdr_wire_vol_flags_args, &args,
                           error);
}

gboolean cst_remote_vol_info(gpointer self, const CstVolRef *vol, gboolean physical,
                             CstConnVolInfo *ret, GError **error)
{
    wire_vol_flags_args flags_args = {cst_remote_vol_arg(vol), CST_VOL_INFO_PHYSICAL};
    wire_vol_args args = {flags_args.vol};
    wire_vol_info_ret info = {0};
    gboolean ok;

    if (physical)
        ok = cst_remote_call(self, WIRE_PROC_STORAGE_VOL_GET_INFO_FLAGS, xdr_wire_vol_flags_args,
                             &flags_args, xdr_wire_vol_info_ret, &info, error);
    else
        ok = cst_remote_call(self, WIRE_PROC_STORAGE_VOL_GET_INFO, xdr_wire_vol_args, &args,
                             xdr_wire_vol_info_ret, &info, error);
    if (ok)
        *ret = (CstConnVolInfo){info.type, info.capacity, info.allocation,
                                physical ? info.allocation : 0, FALSE};
    return ok;
}

/* --- changes --------------------------------------------------------------------------------- */

CstVolRef *cst_remote_vol_create(gpointer self, const CstPoolRef *pool, const char *xml,
                                 unsigned flags, CstTask *task, GError **error)
{
    wire_vol_create_args args = {cst_remote_pool_arg(pool), (char *)xml, flags};

    return call_for_vol(self, WIRE_PROC_STORAGE_VOL_CREATE_XML, xdr_wire_vol_create_args, &args,
                        task, error);
}

CstVolRef *cst_remote_vol_create_from(gpointer self, const CstPoolRef *pool, const char *xml,
                                      const CstVolRef *source, unsigned flags, CstTask *task,
                                      GError **error)
{
    wire_vol_create_from_args args = {cst_remote_pool_arg(pool), (char *)xml,
                                      cst_remote_vol_arg(source), flags};

    return call_for_vol(self, WIRE_PROC_STORAGE_VOL_CREATE_XML_FROM, xdr_wire_vol_create_from_args,
                        &args, task, error);
}

gboolean cst_remote_vol_delete(gpointer self, const CstVolRef *vol, unsigned flags, CstTask *task,
                               GError **error)
{
    wire_vol_flags_args args = {cst_remote_vol_arg(vol), flags};

    return cst_remote_long_call(self, WIRE_PROC_STORAGE_VOL_DELETE, xdr_wire_vol_flags_args, &args,
                                NULL, NULL, task, error);
}

gboolean cst_remote_vol_wipe(gpointer self, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                             GError **error)
{
    wire_vol_wipe_args args = {cst_remote_vol_arg(vol), algorithm, 0};

    return cst_remote_long_call(self, WIRE_PROC_STORAGE_VOL_WIPE_PATTERN, xdr_wire_vol_wipe_args,
                                &args, NULL, NULL, task, error);
}

gboolean cst_remote_vol_resize(gpointer self, const CstVolRef *vol, uint64_t capacity,
                               unsigned flags, CstTask *task, GError **error)
{
    wire_vol_resize_args args = {cst_remote_vol_arg(vol), capacity, flags};

    return cst_remote_long_call(self, WIRE_PROC_STORAGE_VOL_RESIZE, xdr_wire_vol_resize_args, &args,
                                NULL, NULL, task, error);
}
