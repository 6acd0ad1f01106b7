/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/secrets.h>
#include <service/service.h>
#include <store/declarations.h>
#include <store/driver_lock.h>
#include <store/journal.h>
#include <store/secret_files.h>

#include "claim.h"
#include "job.h"
#include "pool.h"

typedef struct Recovery Recovery;
typedef struct Rebasing Rebasing;

/**
 * What the use cases wake above themselves; set by cst_service_new(), called with no lock of a pool
 * or table held.
 */
typedef struct {
    /** The files under etc and run may not be what memory says: read them. Definitions are entered.
     */
    void (*load)(CstService *service);
    /** The pool is active from now on. */
    void (*pool_started)(CstPool *pool);
    /** The pool is no longer active. */
    void (*pool_stopped)(CstPool *pool);
    /** The pool's storage answers: drop and finish what dead processes left there. */
    void (*recover)(CstPool *pool, CstPoolState *state);
    /** The pool's storage does not answer, or something is left to recover: see to it later. */
    void (*retry)(CstPool *pool);
} ServiceHooks;

struct CstService {
    CstPaths *paths;
    CstServiceMode mode;
    const ServiceHooks *hooks;
    Recovery *recovery;    /* the hooks' own */
    gboolean like_libvirt; /* set before the start: see cst_service_set_like_libvirt() */
    CstJournal *journal;
    CstDeclarations *declarations;
    CstDriverLock *driver_lock;
    CstDriverLock *secret_lock; /* guarded by secret_files */
    Jobs *jobs;
    CstPoolHost pool_host; /* what backends may ask of us */

    /*
     * definitions: held through a whole change of what is on disk under etc and run, so that such
     * changes are made one after another. In the embedded mode it comes with the driver lock.
     */
    GRecMutex definitions;
    guint definitions_depth;
    char *loaded_stamp; /* embedded: what the directories looked like when they were last read */

    /* secret_files: held while the secrets' directory is read or changed (secret_sync.c). */
    GRecMutex secret_files;
    guint secret_depth;       /* of changes */
    gboolean manages_secrets; /* the lock is kept for good once it has been had */
    gint secrets_held;        /* atomic: it is, so that memory is what the directory says */

    /* tables: guards the members below; held for moments only, never with I/O. */
    GMutex tables;
    GHashTable *pools_by_name; /* char * (the pool's) to CstPool * (owned) */
    GHashTable *pools_by_uuid;
    GHashTable *secrets; /* CstUuid * (the file's) to CstSecretFile * (owned) */
    GPtrArray *subscribers;
    GPtrArray *rebases; /* of Rebasing * (borrowed), in the order of their beginning */
    guint next_subscriber;
};

/** Enters and leaves a change of definitions or state. Nests. Reloads when others changed them. */
gboolean definitions_enter(CstService *service, GError **error);
void definitions_leave(CstService *service);
/** Embedded: brings memory up to date with the files. Daemon: nothing to do. */
gboolean definitions_sync(CstService *service, GError **error);

/**
 * Enters and leaves a change of secrets: a change of definitions under the lock of libvirt's secret
 * driver too. BUSY names the program that manages the secrets. Nests.
 */
gboolean secrets_enter(CstService *service, GError **error);
void secrets_leave(CstService *service);
/** Before secrets are looked up: brings memory up to date with the files if others change them. */
gboolean secrets_sync(CstService *service, GError **error);
/** The same for who may hold locks: in a daemon only, and never waits for a change of definitions.
 */
void secrets_refresh(CstService *service);
/** Reads the secrets' files and brings the table in line with them. */
void secrets_load(CstService *service);

/** Adds, or removes, under the tables' lock. The service keeps one reference. */
void service_add_pool(CstService *service, CstPool *pool);
void service_remove_pool(CstService *service, CstPool *pool);

/** Reads all definition, state and secret files and brings the tables in line with them. */
void registry_load(CstService *service);

void event_emit(CstService *service, const CstEvent *event);
void event_emit_pool(CstPool *pool, CstEventType type, int kind);

/**
 * Turns are taken in this order, never the other way round: the pool's (pool_change_begin), then
 * the definitions (definitions_enter), then the secrets' files, then the locks of tables and pools.
 */

/** What cst_pool_start() does once its turn has come. */
gboolean pool_start_in_turn(CstPool *pool, CstTask *task, GError **error);
/** Checks CstPoolCreateFlags, and builds the pool's storage when they ask for it. */
gboolean pool_create_flags_check(unsigned flags, const char *function, GError **error);
gboolean pool_build_if_asked(CstPool *pool, unsigned create_flags, GError **error);
/** Makes an active pool of one whose state is on the host already (after a restart). */
gboolean pool_adopt(CstPool *pool, GError **error);
/** Has @state make sure that the storage is the one on record for that pool (CstBackend.expect). */
gboolean pool_expect_recorded(CstService *service, const CstUuid *uuid, CstPoolState *state,
                              gboolean starting, GError **error);
/** Drops a transient pool from the tables. */
void pool_forget_transient(CstPool *pool);

/** CstPoolHost.secret: the value of a pool's secret, private or not; @data is the service. */
gboolean secret_for_pool(const CstAuth *auth, uint8_t **ret_value, size_t *ret_len, gpointer data,
                         GError **error);
