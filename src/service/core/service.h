/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/secrets.h>
#include <service/service.h>
#include <store/declarations.h>
#include <store/driver_lock.h>
#include <store/journal.h>
#include <store/secret_files.h>

#include "job.h"

typedef struct Recovery Recovery;
typedef struct Rebasing Rebasing;
typedef struct SecretWatch SecretWatch;
typedef struct SecretSettler SecretSettler;

/**
 * By which the use cases wake what stands above them (recovery); set by cst_service_new(). Called
 * with no lock of a pool or table held.
 */
typedef struct {
    /** Read the files under etc and run, which may have changed. Definitions are entered. */
    void (*load)(CstService *service);
    /** The pool is about to start: see to it that its secrets are those that count. */
    void (*before_start)(CstPool *pool, CstTask *task);
    /** The pool has become active: watch its storage. */
    void (*pool_started)(CstPool *pool);
    /** The pool has been stopped: end the watch. */
    void (*pool_stopped)(CstPool *pool);
    /** The pool's storage answers: drop or complete what dead processes left there. */
    void (*recover)(CstPool *pool, CstPoolState *state);
    /** A client has had the pool refreshed: see to what is due in it. */
    void (*refreshed)(CstPool *pool, CstPoolState *state);
    /** The pool's storage does not answer, or something is left to recover: try again later. */
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
    gint client_jobs;      /* atomic: how many clients do */
    CstPoolHost pool_host; /* the functions that backends call in the service */

    /*
     * definitions: held through a whole change of what is on disk under etc and run, so that such
     * changes are made one after another. In the embedded mode it comes with the driver lock.
     */
    GRecMutex definitions;
    guint definitions_depth;
    gint64 load_until;  /* monotonic: until when a load waits for storage to answer */
    char *loaded_stamp; /* embedded: what the directories looked like when they were last read */

    /* secret_files: held while the secrets' directory is read or changed (secret/sync.c). */
    GRecMutex secret_files;
    guint secret_depth;            /* of nested changes by this process */
    gboolean manages_secrets;      /* a daemon: keeps secret_lock once it has got it */
    CstSecretPolicy secret_policy; /* set before the start */
    SecretWatch *secret_watch;     /* NULL: none is needed */
    SecretSettler *secret_settler; /* NULL: an embedded process */
    gint secret_epoch;             /* atomic: counts the values that took another's place */
    gint secrets_held;             /* atomic: it is kept, so the table need not be read again */

    /* tables: guards the members below; held for moments only, never with I/O. */
    GMutex tables;
    GHashTable *pools_by_name; /* char * (the pool's) to CstPool * (owned) */
    GHashTable *pools_by_uuid;
    GHashTable *secrets; /* CstUuid * (the file's) to CstSecretFile * (owned) */
    GPtrArray *subscribers;
    GPtrArray *rebases; /* of Rebasing * (borrowed), in the order of their beginning */
    guint next_subscriber;
};
