/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <notify/notify.h>
#include <service/secrets.h>
#include <service/service.h>
#include <store/audit.h>
#include <store/declarations.h>
#include <store/driver_lock.h>
#include <store/journal.h>
#include <store/secret_files.h>
#include <store/tags.h>

#include "event_log.h"
#include "job.h"

typedef struct CstHypervisor CstHypervisor;
typedef struct Recovery Recovery;
typedef struct Rebasing Rebasing;
typedef struct SecretWatch SecretWatch;
typedef struct SecretSettler SecretSettler;
typedef struct StorageIndex StorageIndex;
typedef struct Notifier Notifier;

/**
 * Functions by which the use cases call the recovery module above them. Set by cst_service_new().
 * Called without any lock of a pool or table.
 */
typedef struct {
    /**
     * Reads the files below etc and run, which may have changed. Called inside definitions_enter().
     */
    gboolean (*load)(CstService *service, GError **error);
    /** The pool is about to start: makes sure that the values of its secrets are current. */
    void (*before_start)(CstPool *pool, CstTask *task);
    /** The pool has become active: starts watching its storage. */
    void (*pool_started)(CstPool *pool);
    /** The pool was stopped: ends the watch. */
    void (*pool_stopped)(CstPool *pool);
    /** The pool's storage answers: drops or completes the work of dead processes. */
    void (*recover)(CstPool *pool, CstPoolState *state);
    /** A client has refreshed the pool: does the pending work for it. */
    void (*refreshed)(CstPool *pool, CstPoolState *state);
    /** The pool's storage does not answer, or recovery is incomplete: retries later. */
    void (*retry)(CstPool *pool);
    /** The last thread that used the service has ended: frees the service. */
    void (*unused)(CstService *service);
} ServiceHooks;

struct CstService {
    CstPaths *paths;
    CstServiceMode mode;
    const ServiceHooks *hooks;
    Recovery *recovery;        /* state of the hooks */
    guint copies;              /* jobs that copy into one pool at a time (copy_turn.h) */
    gboolean like_libvirt;     /* set before the start; see cst_service_set_like_libvirt() */
    CstHypervisor *hypervisor; /* NULL: not needed yet; guarded by tables until it is set */
    char *scratch;             /* of backup jobs; is set with @hypervisor; NULL: the default */
    CstJournal *journal;
    CstDeclarations *declarations;
    CstTagStore *tags;
    CstDriverLock *driver_lock;
    CstDriverLock *secret_lock; /* guarded by secret_files */
    Jobs *jobs;
    EventLog *events;             /* the log of events */
    const CstNotifyRules *notify; /* borrowed; NULL: no rules; set before the start */
    Notifier *notifier;           /* NULL: not needed */
    CstAudit *audit;              /* atomic; NULL: no change was recorded yet; is set once */
    guint audit_mib;              /* set before the start; 0: not set */
    gint client_jobs;             /* atomic: number of jobs that clients do */
    CstPoolHost pool_host;        /* functions of the service that backends call */

    /*
     * Held during a whole change of the files below etc and run, so that such changes are
     * serialised. In embedded mode it is combined with the driver lock.
     */
    GRecMutex definitions;
    guint definitions_depth;
    gint64 load_until;  /* monotonic: limit for a load that waits for storage to answer */
    gint64 devices_at;  /* monotonic: last reading of the identities of all devices */
    char *loaded_stamp; /* embedded: stamp of the directories at their last reading */

    /* Held while the secrets' directory is read or changed (secret/sync.c). */
    GRecMutex secret_files;
    guint secret_depth;            /* nesting depth of changes by this process */
    gboolean manages_secrets;      /* daemon: keeps secret_lock once acquired */
    CstSecretPolicy secret_policy; /* set before the start */
    SecretWatch *secret_watch;     /* NULL: not needed */
    SecretSettler *secret_settler; /* NULL: embedded process */
    gint secret_epoch;             /* atomic: number of replaced values */
    gint secrets_held;             /* atomic: secret_lock is held permanently, no reread needed */

    StorageIndex *storage_index; /* of the pools; has its own lock */

    GMutex threads_lock;    /* guards the members below (threads.h) */
    GCond threads_idle;     /* @threads has become 0 */
    guint threads;          /* number of threads that callers may abandon */
    gboolean threads_frees; /* the last of them frees the service */

    /* Guards the members below. Held only briefly, and never during I/O. */
    GMutex tables;
    GHashTable *pools_by_name; /* char * (the pool's) to CstPool * (owned) */
    GHashTable *pools_by_uuid;
    GHashTable *secrets; /* CstUuid * (the file's) to CstSecretFile * (owned) */
    GPtrArray *subscribers;
    GPtrArray *rebases;   /* of Rebasing * (borrowed), ordered by begin */
    GPtrArray *live_sets; /* of LiveSet * (each with the reference of its connection) */
    guint next_subscriber;
};
