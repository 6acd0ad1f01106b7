/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>
#include <service/service.h>

#include "eventbox.h"
#include "local.h"
#include "provider.h"

typedef struct {
    CstService *service;
    char *root; /**< NULL: the default */

    /* Events come from any of the service's threads and wait here for the caller's. */
    CstEventBox events;
    int event_fd;      /**< -1: nobody has asked for events yet */
    guint service_sub; /**< 0: the same */
} CstLocal;

/** The service's handle of @ref; the caller unrefs it. */
CstPool *cst_local_pool(CstLocal *local, const CstPoolRef *ref, GError **error);

/** The pool that a volume is in; libvirt too goes by the pool's name here. */
CstPool *cst_local_pool_of(CstLocal *local, const CstVolRef *vol, GError **error);

/* Slots, by object. */
GPtrArray *cst_local_pool_list(gpointer self, unsigned filter, GError **error);
CstPoolRef *cst_local_pool_by_name(gpointer self, const char *name, GError **error);
CstPoolRef *cst_local_pool_by_uuid(gpointer self, const CstUuid *uuid, GError **error);
CstPoolRef *cst_local_pool_by_target(gpointer self, const char *path, GError **error);
CstPoolRef *cst_local_pool_define(gpointer self, const char *xml, unsigned flags, GError **error);
CstPoolRef *cst_local_pool_create(gpointer self, const char *xml, unsigned flags, GError **error);
gboolean cst_local_pool_undefine(gpointer self, const CstPoolRef *pool, GError **error);
gboolean cst_local_pool_build(gpointer self, const CstPoolRef *pool, unsigned flags,
                              GError **error);
gboolean cst_local_pool_start(gpointer self, const CstPoolRef *pool, unsigned flags,
                              GError **error);
gboolean cst_local_pool_stop(gpointer self, const CstPoolRef *pool, GError **error);
gboolean cst_local_pool_delete(gpointer self, const CstPoolRef *pool, unsigned flags,
                               GError **error);
gboolean cst_local_pool_refresh(gpointer self, const CstPoolRef *pool, unsigned flags,
                                GError **error);
gboolean cst_local_pool_set_autostart(gpointer self, const CstPoolRef *pool, gboolean autostart,
                                      GError **error);
gboolean cst_local_pool_get_autostart(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                      GError **error);
gboolean cst_local_pool_is_active(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                  GError **error);
gboolean cst_local_pool_is_persistent(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                      GError **error);
gboolean cst_local_pool_info(gpointer self, const CstPoolRef *pool, CstConnPoolInfo *ret,
                             GError **error);
char *cst_local_pool_problem(gpointer self, const CstPoolRef *pool, GError **error);
GPtrArray *cst_local_pool_thin(gpointer self, const CstPoolRef *pool, GError **error);
char *cst_local_pool_xml(gpointer self, const CstPoolRef *pool, unsigned flags, GError **error);
gboolean cst_local_pool_count_volumes(gpointer self, const CstPoolRef *pool, guint *ret,
                                      GError **error);
char *cst_local_find_sources(gpointer self, const char *type, const char *spec, GError **error);
char *cst_local_pool_capabilities(gpointer self, GError **error);

GPtrArray *cst_local_vol_list(gpointer self, const CstPoolRef *pool, gboolean details,
                              GError **error);
CstVolRef *cst_local_vol_by_name(gpointer self, const CstPoolRef *pool, const char *name,
                                 GError **error);
CstVolRef *cst_local_vol_by_key(gpointer self, const char *key, GError **error);
CstVolRef *cst_local_vol_by_path(gpointer self, const char *path, GError **error);
CstPoolRef *cst_local_pool_of_vol(gpointer self, const CstVolRef *vol, GError **error);
char *cst_local_vol_path(gpointer self, const CstVolRef *vol, GError **error);
char *cst_local_vol_xml(gpointer self, const CstVolRef *vol, unsigned flags, GError **error);
gboolean cst_local_vol_info(gpointer self, const CstVolRef *vol, gboolean physical,
                            CstConnVolInfo *ret, GError **error);
CstVolRef *cst_local_vol_create(gpointer self, const CstPoolRef *pool, const char *xml,
                                unsigned flags, CstTask *task, GError **error);
CstVolRef *cst_local_vol_create_from(gpointer self, const CstPoolRef *pool, const char *xml,
                                     const CstVolRef *source, unsigned flags, CstTask *task,
                                     GError **error);
gboolean cst_local_vol_delete(gpointer self, const CstVolRef *vol, unsigned flags, CstTask *task,
                              GError **error);
gboolean cst_local_vol_wipe(gpointer self, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                            GError **error);
gboolean cst_local_vol_resize(gpointer self, const CstVolRef *vol, uint64_t capacity,
                              unsigned flags, CstTask *task, GError **error);
gboolean cst_local_vol_upload(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                              uint64_t length, unsigned flags, CstTask *task, GError **error);
gboolean cst_local_vol_download(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                                uint64_t length, unsigned flags, CstTask *task, GError **error);

/** The volume @name, which it takes. */
CstVolRef *cst_local_vol_take(CstPool *pool, char *name, GError **error);

GPtrArray *cst_local_vol_chain(gpointer self, const CstVolRef *vol, GError **error);
GPtrArray *cst_local_vol_holders(gpointer self, const CstVolRef *vol, GError **error);
gboolean cst_local_vol_check(gpointer self, const CstVolRef *vol, unsigned repair, CstTask *task,
                             CstCheckReport *ret, GError **error);
gboolean cst_local_vol_flatten(gpointer self, const CstVolRef *vol, CstTask *task, GError **error);
gboolean cst_local_vol_commit(gpointer self, const CstVolRef *vol, const char *base, unsigned flags,
                              CstTask *task, GError **error);
gboolean cst_local_vol_sparsify(gpointer self, const CstVolRef *vol, CstTask *task, uint64_t *ret,
                                GError **error);
CstVolRef *cst_local_vol_convert(gpointer self, const CstPoolRef *pool, const CstVolRef *source,
                                 const CstVolConvert *how, CstTask *task, GError **error);
gboolean cst_local_vol_rebase(gpointer self, const CstVolRef *vol, const CstVolRebase *how,
                              CstTask *task, GError **error);
gboolean cst_local_vol_declare(gpointer self, const CstVolRef *vol, const CstVolDeclare *how,
                               CstTask *task, GError **error);
GPtrArray *cst_local_vol_problems(gpointer self, const CstVolRef *vol, GError **error);
gboolean cst_local_pool_follow(gpointer self, const CstPoolRef *pool, const CstFollow *follow,
                               CstFollow *ret, GError **error);
gboolean cst_local_vol_compare(gpointer self, const CstVolRef *vol, const CstVolRef *other,
                               CstTask *task, CstCompareReport *ret, GError **error);
gboolean cst_local_vol_measure(gpointer self, const CstVolRef *vol, const char *format,
                               const char *options, CstTask *task, CstMeasureReport *ret,
                               GError **error);
CstVolMap *cst_local_vol_map(gpointer self, const CstVolRef *vol, uint64_t start, guint limit,
                             CstTask *task, GError **error);
gboolean cst_local_vol_bitmap(gpointer self, const CstVolRef *vol, const CstBitmapChange *change,
                              const CstVolRef *source, CstTask *task, GError **error);

GPtrArray *cst_local_job_list(gpointer self, gboolean ended, GError **error);
CstJobInfo *cst_local_job_info(gpointer self, uint64_t id, GError **error);
gboolean cst_local_job_cancel(gpointer self, uint64_t id, GError **error);
gboolean cst_local_job_set_limit(gpointer self, uint64_t id, uint64_t limit, GError **error);

GPtrArray *cst_local_snapshot_list(gpointer self, const CstVolRef *vol, GError **error);
gboolean cst_local_snapshot_create(gpointer self, const CstVolRef *vol, const char *name,
                                   uint64_t limit, CstTask *task, GError **error);
gboolean cst_local_snapshot_revert(gpointer self, const CstVolRef *vol, const char *name,
                                   CstTask *task, GError **error);
gboolean cst_local_snapshot_delete(gpointer self, const CstVolRef *vol, const char *name,
                                   CstTask *task, GError **error);
gboolean cst_local_snapshot_rename(gpointer self, const CstVolRef *vol, const char *name,
                                   const char *new_name, GError **error);
gboolean cst_local_snapshot_clone(gpointer self, const CstVolRef *vol, const char *name,
                                  const char *new_volume, CstTask *task, GError **error);

GPtrArray *cst_local_secret_list(gpointer self, unsigned filter, GError **error);
CstConnSecret *cst_local_secret_by_uuid(gpointer self, const CstUuid *uuid, GError **error);
CstConnSecret *cst_local_secret_by_usage(gpointer self, int usage, const char *usage_id,
                                         GError **error);
CstConnSecret *cst_local_secret_define(gpointer self, const char *xml, unsigned flags,
                                       GError **error);
gboolean cst_local_secret_undefine(gpointer self, const CstConnSecret *secret, GError **error);
char *cst_local_secret_xml(gpointer self, const CstConnSecret *secret, GError **error);
gboolean cst_local_secret_set_value(gpointer self, const CstConnSecret *secret,
                                    const uint8_t *value, size_t len, GError **error);
gboolean cst_local_secret_get_value(gpointer self, const CstConnSecret *secret, uint8_t **ret_value,
                                    size_t *ret_len, GError **error);

void cst_local_events_clear(CstLocal *local);
gboolean cst_local_subscribe(gpointer self, CstConnEventType type, const CstUuid *uuid,
                             CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
gboolean cst_local_unsubscribe(gpointer self, guint id, GError **error);
gboolean cst_local_wait_events(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                               GError **error);
