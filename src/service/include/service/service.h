/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/uuid.h>
#include <store/paths.h>

/**
 * The use cases of storage management, without sockets and without stdout. Every call is safe from
 * any thread. The service owns all locks. It never holds one during storage I/O, so that a slow
 * pool delays only the callers that wait for its result.
 */
typedef struct CstService CstService;

typedef enum {
    /**
     * Long-lived: holds the driver lock of the host, starts autostart pools, watches directories.
     */
    CST_SERVICE_DAEMON,
    /** A command: acquires the driver lock around each access to definitions and state. */
    CST_SERVICE_EMBEDDED
} CstServiceMode;

/**
 * Loads definitions and state, and replays the journal. @paths is copied. Fails with BUSY, naming
 * the holder, if another program manages the definitions of this root (libvirtd, virtstoraged,
 * cisternd).
 */
CstService *cst_service_new(const CstPaths *paths, CstServiceMode mode, GError **error);

/**
 * Selects libvirt's behaviour for the cases in which this service deliberately differs and safety
 * does not depend on the difference. Call it before cst_service_start(). docs/compatibility.md
 * lists the cases.
 */
void cst_service_set_like_libvirt(CstService *service, gboolean like_libvirt);

/**
 * Sets the number of jobs that copy content into one pool at a time, at least 1; the default is 16.
 * Further jobs wait. Call it before cst_service_start().
 */
void cst_service_set_copies(CstService *service, guint copies);

/**
 * Sets the connections to libvirt on this host (hypervisor/hypervisor.h). An empty list: libvirt is
 * not used. NULL: the default. @scratch: absolute path of the directory for the scratch files of
 * backup jobs; NULL: cst_paths_scratch_dir(). Call it before cst_service_start(). An embedded
 * service reads both settings from cisternd's configuration.
 */
void cst_service_set_hypervisor(CstService *service, const char *const *uris, const char *scratch);

/**
 * Call it first in main(): the service starts this program again as a helper. Returns if the
 * arguments do not ask for a helper.
 */
void cst_service_run_helper(int argc, char **argv);

/**
 * Restores the active pools and starts the autostart pools. Works in parallel and retries with
 * backoff.
 */
void cst_service_start(CstService *service);

/**
 * Cancels all jobs, which end as interrupted, and every job that begins later. Jobs that are safe
 * to repeat are left for the next daemon. Call it when the process is about to end. Does not wait.
 */
void cst_service_stop(CstService *service);

/**
 * Stops watching, waits for the recovery threads and frees everything. Pools stay active on the
 * host. No other call may be running. NULL is accepted.
 */
void cst_service_free(CstService *service);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstService, cst_service_free)

/* --- events ---------------------------------------------------------------------------------- */

typedef enum {
    CST_EVENT_POOL_LIFECYCLE, /**< kind: CstPoolEventKind */
    CST_EVENT_POOL_REFRESH,
    CST_EVENT_SECRET_LIFECYCLE, /**< kind: CstSecretEventKind */
    CST_EVENT_SECRET_VALUE,
    CST_EVENT_LAST
} CstEventType;

typedef struct {
    CstEventType type;
    int kind;
    CstUuid uuid;         /**< of the pool or secret */
    const char *name;     /**< pool name; NULL for secrets */
    int usage_type;       /**< secrets: CstSecretUsage */
    const char *usage_id; /**< secrets: never NULL */
} CstEvent;

/** Called in the thread that caused the event, without any lock held. Must not block. */
typedef void (*CstEventFunc)(const CstEvent *event, gpointer data);

/**
 * Calls @func for each event from now on, in the thread that caused it. Returns an id for
 * cst_service_unsubscribe().
 */
guint cst_service_subscribe(CstService *service, CstEventFunc func, gpointer data);
/**
 * Ends a subscription. After the return @func is not running and will not be called again. Must not
 * be called from inside @func.
 */
void cst_service_unsubscribe(CstService *service, guint id);
