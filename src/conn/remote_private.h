/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <wire/client.h>

#include "eventbox.h"
#include "remote.h"

typedef enum {
    CST_PEER_UNKNOWN,
    CST_PEER_CISTERN, /**< speaks Cistern's own program too */
    CST_PEER_STOCK
} CstPeer;

typedef struct {
    CstWireClient *client;
    char *asked; /**< the URI as the user gave it; NULL: none */
    GPid ssh;    /**< 0: none */
    CstPeer peer;
    int last_procedure; /**< of Cistern's program there; 0: not asked, or none */
    gboolean detach;    /**< long calls come back once they are jobs */

    CstEventBox events;
    GArray *registrations; /**< of Registration (remote_events.c) */
    gboolean registering;  /**< a registration waits for its answer */
    gboolean closed_told;
} CstRemote;

/**
 * Calls procedure @number of libvirt's program. What the server doesn't know is NO_SUPPORT. @args
 * and @ret as in cst_wire_client_call(); the functions may be NULL.
 */
gboolean cst_remote_call(CstRemote *remote, int number, gpointer args_func, const void *args,
                         gpointer ret_func, void *ret, GError **error);

/** The same for what may take long: keeps @task's progress, and cancels there when it is. */
gboolean cst_remote_long_call(CstRemote *remote, int number, gpointer args_func, const void *args,
                              gpointer ret_func, void *ret, CstTask *task, GError **error);

/** A procedure without arguments whose answer is one string. */
char *cst_remote_text(CstRemote *remote, int number, gpointer args_func, const void *args,
                      GError **error);

/** Asks once; FALSE with @error only when the connection fails. */
gboolean cst_remote_peer(CstRemote *remote, CstPeer *ret_peer, GError **error);

/** The same for a procedure of Cistern's own program; @what the server can't do without it. */
gboolean cst_remote_own_call(CstRemote *remote, int number, const char *what, gpointer args_func,
                             const void *args, gpointer ret_func, void *ret, GError **error);
/** The same for what may take long. */
gboolean cst_remote_own_long_call(CstRemote *remote, int number, const char *what,
                                  gpointer args_func, const void *args, gpointer ret_func,
                                  void *ret, CstTask *task, GError **error);
/** NO_SUPPORT, naming @what, when the server has no such procedure. */
gboolean cst_remote_needs(CstRemote *remote, int number, const char *what, GError **error);

/** The procedures as the wire client wants them. */
CstWireProc cst_remote_proc(int number, gpointer args_func, gpointer ret_func);
CstWireProc cst_remote_own_proc(int number, gpointer args_func, gpointer ret_func);

/** TRUE for a server's answer that it has no such program or procedure. */
gboolean cst_remote_unknown(const GError *why);

/** Borrow the reference's strings: for arguments only. */
wire_pool cst_remote_pool_arg(const CstPoolRef *pool);
wire_vol cst_remote_vol_arg(const CstVolRef *vol);
wire_secret cst_remote_secret_arg(const CstConnSecret *secret);

/** Takes over a decoded optional string; NULL: none. */
char *cst_remote_opt_take(wire_opt_string text);
/** Take over what the decoded answer holds. */
CstPoolRef *cst_remote_pool_take(wire_pool *pool);
CstVolRef *cst_remote_vol_take(wire_vol *vol);

/* Slots, by object. */
GPtrArray *cst_remote_pool_list(gpointer self, unsigned filter, GError **error);
CstPoolRef *cst_remote_pool_by_name(gpointer self, const char *name, GError **error);
CstPoolRef *cst_remote_pool_by_uuid(gpointer self, const CstUuid *uuid, GError **error);
CstPoolRef *cst_remote_pool_by_target(gpointer self, const char *path, GError **error);
CstPoolRef *cst_remote_pool_define(gpointer self, const char *xml, unsigned flags, GError **error);
CstPoolRef *cst_remote_pool_create(gpointer self, const char *xml, unsigned flags, GError **error);
gboolean cst_remote_pool_undefine(gpointer self, const CstPoolRef *pool, GError **error);
gboolean cst_remote_pool_build(gpointer self, const CstPoolRef *pool, unsigned flags,
                               GError **error);
gboolean cst_remote_pool_start(gpointer self, const CstPoolRef *pool, unsigned flags,
                               GError **error);
gboolean cst_remote_pool_stop(gpointer self, const CstPoolRef *pool, GError **error);
gboolean cst_remote_pool_delete(gpointer self, const CstPoolRef *pool, unsigned flags,
                                GError **error);
gboolean cst_remote_pool_refresh(gpointer self, const CstPoolRef *pool, unsigned flags,
                                 GError **error);
gboolean cst_remote_pool_set_autostart(gpointer self, const CstPoolRef *pool, gboolean autostart,
                                       GError **error);
gboolean cst_remote_pool_get_autostart(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                       GError **error);
gboolean cst_remote_pool_is_active(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                   GError **error);
gboolean cst_remote_pool_is_persistent(gpointer self, const CstPoolRef *pool, gboolean *ret,
                                       GError **error);
gboolean cst_remote_pool_info(gpointer self, const CstPoolRef *pool, CstConnPoolInfo *ret,
                              GError **error);
char *cst_remote_pool_problem(gpointer self, const CstPoolRef *pool, GError **error);
GPtrArray *cst_remote_pool_thin(gpointer self, const CstPoolRef *pool, GError **error);
char *cst_remote_pool_xml(gpointer self, const CstPoolRef *pool, unsigned flags, GError **error);
gboolean cst_remote_pool_count_volumes(gpointer self, const CstPoolRef *pool, guint *ret,
                                       GError **error);
char *cst_remote_find_sources(gpointer self, const char *type, const char *spec, GError **error);
char *cst_remote_pool_capabilities(gpointer self, GError **error);

GPtrArray *cst_remote_vol_list(gpointer self, const CstPoolRef *pool, gboolean details,
                               GError **error);
CstVolRef *cst_remote_vol_by_name(gpointer self, const CstPoolRef *pool, const char *name,
                                  GError **error);
CstVolRef *cst_remote_vol_by_key(gpointer self, const char *key, GError **error);
CstVolRef *cst_remote_vol_by_path(gpointer self, const char *path, GError **error);
CstPoolRef *cst_remote_pool_of_vol(gpointer self, const CstVolRef *vol, GError **error);
char *cst_remote_vol_path(gpointer self, const CstVolRef *vol, GError **error);
char *cst_remote_vol_xml(gpointer self, const CstVolRef *vol, unsigned flags, GError **error);
gboolean cst_remote_vol_info(gpointer self, const CstVolRef *vol, gboolean physical,
                             CstConnVolInfo *ret, GError **error);
CstVolRef *cst_remote_vol_create(gpointer self, const CstPoolRef *pool, const char *xml,
                                 unsigned flags, CstTask *task, GError **error);
CstVolRef *cst_remote_vol_create_from(gpointer self, const CstPoolRef *pool, const char *xml,
                                      const CstVolRef *source, unsigned flags, CstTask *task,
                                      GError **error);
gboolean cst_remote_vol_delete(gpointer self, const CstVolRef *vol, unsigned flags, CstTask *task,
                               GError **error);
gboolean cst_remote_vol_wipe(gpointer self, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                             GError **error);
gboolean cst_remote_vol_resize(gpointer self, const CstVolRef *vol, uint64_t capacity,
                               unsigned flags, CstTask *task, GError **error);
gboolean cst_remote_vol_upload(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                               uint64_t length, unsigned flags, CstTask *task, GError **error);
gboolean cst_remote_vol_download(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                                 uint64_t length, unsigned flags, CstTask *task, GError **error);

GPtrArray *cst_remote_vol_chain(gpointer self, const CstVolRef *vol, GError **error);
GPtrArray *cst_remote_vol_holders(gpointer self, const CstVolRef *vol, GError **error);
gboolean cst_remote_vol_check(gpointer self, const CstVolRef *vol, unsigned repair, CstTask *task,
                              CstCheckReport *ret, GError **error);
gboolean cst_remote_vol_flatten(gpointer self, const CstVolRef *vol, CstTask *task, GError **error);
gboolean cst_remote_vol_commit(gpointer self, const CstVolRef *vol, const char *base,
                               unsigned flags, CstTask *task, GError **error);
gboolean cst_remote_vol_sparsify(gpointer self, const CstVolRef *vol, CstTask *task, uint64_t *ret,
                                 GError **error);
CstVolRef *cst_remote_vol_convert(gpointer self, const CstPoolRef *pool, const CstVolRef *source,
                                  const CstVolConvert *how, CstTask *task, GError **error);
gboolean cst_remote_vol_rebase(gpointer self, const CstVolRef *vol, const CstVolRebase *how,
                               CstTask *task, GError **error);
gboolean cst_remote_vol_declare(gpointer self, const CstVolRef *vol, const CstVolDeclare *how,
                                CstTask *task, GError **error);
GPtrArray *cst_remote_vol_problems(gpointer self, const CstVolRef *vol, GError **error);
gboolean cst_remote_pool_follow(gpointer self, const CstPoolRef *pool, const CstFollow *follow,
                                CstFollow *ret, GError **error);
gboolean cst_remote_vol_compare(gpointer self, const CstVolRef *vol, const CstVolRef *other,
                                CstTask *task, CstCompareReport *ret, GError **error);
gboolean cst_remote_vol_measure(gpointer self, const CstVolRef *vol, const char *format,
                                const char *options, CstTask *task, CstMeasureReport *ret,
                                GError **error);
CstVolMap *cst_remote_vol_map(gpointer self, const CstVolRef *vol, uint64_t start, guint limit,
                              CstTask *task, GError **error);
gboolean cst_remote_vol_bitmap(gpointer self, const CstVolRef *vol, const CstBitmapChange *change,
                               const CstVolRef *source, CstTask *task, GError **error);

GPtrArray *cst_remote_job_list(gpointer self, gboolean ended, GError **error);
CstJobInfo *cst_remote_job_info(gpointer self, uint64_t id, GError **error);
gboolean cst_remote_job_cancel(gpointer self, uint64_t id, GError **error);
gboolean cst_remote_job_set_limit(gpointer self, uint64_t id, uint64_t limit, GError **error);
gboolean cst_remote_set_dry_run(gpointer self, gboolean dry_run, GError **error);
gboolean cst_remote_set_detach(gpointer self, gboolean detach, GError **error);

GPtrArray *cst_remote_snapshot_list(gpointer self, const CstVolRef *vol, GError **error);
gboolean cst_remote_snapshot_create(gpointer self, const CstVolRef *vol, const char *name,
                                    uint64_t limit, CstTask *task, GError **error);
gboolean cst_remote_snapshot_revert(gpointer self, const CstVolRef *vol, const char *name,
                                    CstTask *task, GError **error);
gboolean cst_remote_snapshot_delete(gpointer self, const CstVolRef *vol, const char *name,
                                    CstTask *task, GError **error);
gboolean cst_remote_snapshot_rename(gpointer self, const CstVolRef *vol, const char *name,
                                    const char *new_name, GError **error);
gboolean cst_remote_snapshot_clone(gpointer self, const CstVolRef *vol, const char *name,
                                   const char *new_volume, CstTask *task, GError **error);

GPtrArray *cst_remote_secret_list(gpointer self, unsigned filter, GError **error);
CstConnSecret *cst_remote_secret_by_uuid(gpointer self, const CstUuid *uuid, GError **error);
CstConnSecret *cst_remote_secret_by_usage(gpointer self, int usage, const char *usage_id,
                                          GError **error);
CstConnSecret *cst_remote_secret_define(gpointer self, const char *xml, unsigned flags,
                                        GError **error);
gboolean cst_remote_secret_undefine(gpointer self, const CstConnSecret *secret, GError **error);
char *cst_remote_secret_xml(gpointer self, const CstConnSecret *secret, GError **error);
gboolean cst_remote_secret_set_value(gpointer self, const CstConnSecret *secret,
                                     const uint8_t *value, size_t len, GError **error);
gboolean cst_remote_secret_get_value(gpointer self, const CstConnSecret *secret,
                                     uint8_t **ret_value, size_t *ret_len, GError **error);

void cst_remote_events_init(CstRemote *remote);
void cst_remote_events_clear(CstRemote *remote);
gboolean cst_remote_subscribe(gpointer self, CstConnEventType type, const CstUuid *uuid,
                              CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
gboolean cst_remote_unsubscribe(gpointer self, guint id, GError **error);
gboolean cst_remote_wait_events(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                                GError **error);
