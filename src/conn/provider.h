/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * What a provider implements; one slot per call of conn.h, same contract as documented there. Only
 * conn.c, conn_pools.c, conn_volumes.c, conn_snapshots.c and conn_secrets.c call through this
 * table: they have checked that the call is allowed on a read-only connection and that the slot is
 * filled. A NULL slot is answered with "not supported by this server". A slot that fails sets
 * @error.
 */
typedef struct {
    gboolean embedded;

    void (*close)(gpointer self);
    char *(*uri)(gpointer self, GError **error);
    char *(*hostname)(gpointer self, GError **error);
    char *(*type)(gpointer self, GError **error);
    gboolean (*lib_version)(gpointer self, uint64_t *ret, GError **error);
    gboolean (*hv_version)(gpointer self, uint64_t *ret, GError **error);
    char *(*capabilities)(gpointer self, GError **error);

    GPtrArray *(*pool_list)(gpointer self, unsigned filter, GError **error);
    CstPoolRef *(*pool_by_name)(gpointer self, const char *name, GError **error);
    CstPoolRef *(*pool_by_uuid)(gpointer self, const CstUuid *uuid, GError **error);
    CstPoolRef *(*pool_by_target)(gpointer self, const char *path, GError **error);
    CstPoolRef *(*pool_define)(gpointer self, const char *xml, unsigned flags, GError **error);
    CstPoolRef *(*pool_create)(gpointer self, const char *xml, unsigned flags, GError **error);
    gboolean (*pool_undefine)(gpointer self, const CstPoolRef *pool, GError **error);
    gboolean (*pool_build)(gpointer self, const CstPoolRef *pool, unsigned flags, GError **error);
    gboolean (*pool_start)(gpointer self, const CstPoolRef *pool, unsigned flags, GError **error);
    gboolean (*pool_stop)(gpointer self, const CstPoolRef *pool, GError **error);
    gboolean (*pool_delete)(gpointer self, const CstPoolRef *pool, unsigned flags, GError **error);
    gboolean (*pool_refresh)(gpointer self, const CstPoolRef *pool, unsigned flags, GError **error);
    gboolean (*pool_set_autostart)(gpointer self, const CstPoolRef *pool, gboolean autostart,
                                   GError **error);
    gboolean (*pool_get_autostart)(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                   GError **error);
    gboolean (*pool_is_active)(gpointer self, const CstPoolRef *pool, gboolean *ret,
                               GError **error);
    gboolean (*pool_is_persistent)(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                   GError **error);
    gboolean (*pool_info)(gpointer self, const CstPoolRef *pool, CstConnPoolInfo *ret,
                          GError **error);
    char *(*pool_problem)(gpointer self, const CstPoolRef *pool, GError **error);
    GPtrArray *(*pool_thin)(gpointer self, const CstPoolRef *pool, GError **error);
    char *(*pool_xml)(gpointer self, const CstPoolRef *pool, unsigned flags, GError **error);
    gboolean (*pool_count_volumes)(gpointer self, const CstPoolRef *pool, guint *ret,
                                   GError **error);
    char *(*find_sources)(gpointer self, const char *type, const char *spec, GError **error);
    char *(*pool_capabilities)(gpointer self, GError **error);

    GPtrArray *(*vol_list)(gpointer self, const CstPoolRef *pool, gboolean details, GError **error);
    CstVolRef *(*vol_by_name)(gpointer self, const CstPoolRef *pool, const char *name,
                              GError **error);
    CstVolRef *(*vol_by_key)(gpointer self, const char *key, GError **error);
    CstVolRef *(*vol_by_path)(gpointer self, const char *path, GError **error);
    CstPoolRef *(*pool_of_vol)(gpointer self, const CstVolRef *vol, GError **error);
    char *(*vol_path)(gpointer self, const CstVolRef *vol, GError **error);
    char *(*vol_xml)(gpointer self, const CstVolRef *vol, unsigned flags, GError **error);
    gboolean (*vol_info)(gpointer self, const CstVolRef *vol, gboolean physical,
                         CstConnVolInfo *ret, GError **error);
    CstVolRef *(*vol_create)(gpointer self, const CstPoolRef *pool, const char *xml, unsigned flags,
                             CstTask *task, GError **error);
    CstVolRef *(*vol_create_from)(gpointer self, const CstPoolRef *pool, const char *xml,
                                  const CstVolRef *source, unsigned flags, CstTask *task,
                                  GError **error);
    gboolean (*vol_delete)(gpointer self, const CstVolRef *vol, unsigned flags, CstTask *task,
                           GError **error);
    gboolean (*vol_wipe)(gpointer self, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                         GError **error);
    gboolean (*vol_resize)(gpointer self, const CstVolRef *vol, uint64_t capacity, unsigned flags,
                           CstTask *task, GError **error);
    gboolean (*vol_upload)(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                           uint64_t length, unsigned flags, CstTask *task, GError **error);
    gboolean (*vol_download)(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                             uint64_t length, unsigned flags, CstTask *task, GError **error);

    GPtrArray *(*vol_chain)(gpointer self, const CstVolRef *vol, GError **error);
    GPtrArray *(*vol_holders)(gpointer self, const CstVolRef *vol, GError **error);
    gboolean (*vol_check)(gpointer self, const CstVolRef *vol, unsigned repair, CstTask *task,
                          CstCheckReport *ret, GError **error);
    gboolean (*vol_flatten)(gpointer self, const CstVolRef *vol, CstTask *task, GError **error);
    gboolean (*vol_commit)(gpointer self, const CstVolRef *vol, const char *base, unsigned flags,
                           CstTask *task, GError **error);
    gboolean (*vol_sparsify)(gpointer self, const CstVolRef *vol, CstTask *task, uint64_t *ret,
                             GError **error);
    CstVolRef *(*vol_convert)(gpointer self, const CstPoolRef *pool, const CstVolRef *source,
                              const CstVolConvert *how, CstTask *task, GError **error);
    gboolean (*vol_rebase)(gpointer self, const CstVolRef *vol, const CstVolRebase *how,
                           CstTask *task, GError **error);
    gboolean (*vol_declare)(gpointer self, const CstVolRef *vol, const CstVolDeclare *how,
                            CstTask *task, GError **error);
    GPtrArray *(*vol_problems)(gpointer self, const CstVolRef *vol, GError **error);
    gboolean (*pool_follow)(gpointer self, const CstPoolRef *pool, const CstFollow *follow,
                            CstFollow *ret, GError **error);
    gboolean (*vol_compare)(gpointer self, const CstVolRef *vol, const CstVolRef *other,
                            CstTask *task, CstCompareReport *ret, GError **error);
    gboolean (*vol_measure)(gpointer self, const CstVolRef *vol, const char *format,
                            const char *options, CstTask *task, CstMeasureReport *ret,
                            GError **error);
    CstVolMap *(*vol_map)(gpointer self, const CstVolRef *vol, uint64_t start, guint limit,
                          CstTask *task, GError **error);
    gboolean (*vol_bitmap)(gpointer self, const CstVolRef *vol, const CstBitmapChange *change,
                           const CstVolRef *source, CstTask *task, GError **error);

    GPtrArray *(*job_list)(gpointer self, gboolean ended, GError **error);
    CstJobInfo *(*job_info)(gpointer self, uint64_t id, GError **error);
    gboolean (*job_cancel)(gpointer self, uint64_t id, GError **error);
    gboolean (*job_set_limit)(gpointer self, uint64_t id, uint64_t limit, GError **error);
    gboolean (*set_detach)(gpointer self, gboolean detach, GError **error);
    /** NULL: the provider works in the calling thread, which knows already. */
    gboolean (*set_dry_run)(gpointer self, gboolean dry_run, GError **error);

    GPtrArray *(*snapshot_list)(gpointer self, const CstVolRef *vol, GError **error);
    gboolean (*snapshot_create)(gpointer self, const CstVolRef *vol, const char *name,
                                uint64_t limit, CstTask *task, GError **error);
    gboolean (*snapshot_revert)(gpointer self, const CstVolRef *vol, const char *name,
                                CstTask *task, GError **error);
    gboolean (*snapshot_delete)(gpointer self, const CstVolRef *vol, const char *name,
                                CstTask *task, GError **error);
    gboolean (*snapshot_rename)(gpointer self, const CstVolRef *vol, const char *name,
                                const char *new_name, GError **error);
    gboolean (*snapshot_clone)(gpointer self, const CstVolRef *vol, const char *name,
                               const char *new_volume, CstTask *task, GError **error);

    GPtrArray *(*secret_list)(gpointer self, unsigned filter, GError **error);
    CstConnSecret *(*secret_by_uuid)(gpointer self, const CstUuid *uuid, GError **error);
    CstConnSecret *(*secret_by_usage)(gpointer self, int usage, const char *usage_id,
                                      GError **error);
    CstConnSecret *(*secret_define)(gpointer self, const char *xml, unsigned flags, GError **error);
    gboolean (*secret_undefine)(gpointer self, const CstConnSecret *secret, GError **error);
    char *(*secret_xml)(gpointer self, const CstConnSecret *secret, GError **error);
    gboolean (*secret_set_value)(gpointer self, const CstConnSecret *secret, const uint8_t *value,
                                 size_t len, GError **error);
    gboolean (*secret_get_value)(gpointer self, const CstConnSecret *secret, uint8_t **ret_value,
                                 size_t *ret_len, GError **error);

    gboolean (*subscribe)(gpointer self, CstConnEventType type, const CstUuid *uuid,
                          CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
    gboolean (*unsubscribe)(gpointer self, guint id, GError **error);
    gboolean (*wait_events)(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                            GError **error);
} CstConnOps;

/** Takes @self; @ops is static. Used by the openers and by tests with a provider of their own. */
CstConn *cst_conn_new(const CstConnOps *ops, gpointer self, gboolean read_only);
