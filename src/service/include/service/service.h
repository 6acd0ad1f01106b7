/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/uuid.h>
#include <store/paths.h>

/**
 * The use cases of storage management, without sockets and without stdout. Every call is safe from
 * any thread. The service holds all locks: it never holds one while storage is read or written, so
 * that a slow pool delays nobody but the callers that wait for its result.
 */
typedef struct CstService CstService;

typedef enum {
    /** Lives long: holds the host's driver lock, starts autostart pools, watches directories. */
    CST_SERVICE_DAEMON,
    /** One command: takes the driver lock around each change or read of definitions and state. */
    CST_SERVICE_EMBEDDED
} CstServiceMode;

/**
 * Loads definitions and state, replays the journal. @paths is copied. Fails with BUSY, naming the
 * holder, when another program manages this root's definitions (libvirtd, virtstoraged, cisternd).
 */
CstService *cst_service_new(const CstPaths *paths, CstServiceMode mode, GError **error);

/**
 * Call it before cst_service_start(): whether clients see libvirt's behaviour where this service
 * deliberately differs and no safety depends on it. docs/compatibility.md lists what changes.
 */
void cst_service_set_like_libvirt(CstService *service, gboolean like_libvirt);

/** Restores active pools and starts the autostart ones, in parallel, retrying with backoff. */
void cst_service_start(CstService *service);

/**
 * Call it when the process is about to end: cancels all jobs, which end as interrupted; those that
 * may be repeated without harm are left for the next daemon. New ones are cancelled at once. Does
 * not wait.
 */
void cst_service_stop(CstService *service);

/**
 * Stops watching, waits for recovery's threads and frees everything; pools stay active on the host.
 * No other call is under way. NULL is accepted.
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

/** Called from the thread that caused the event, without locks held; must not block. */
typedef void (*CstEventFunc)(const CstEvent *event, gpointer data);

/**
 * Calls @func with each event from now on, in the thread that caused it. Returns a number for
 * cst_service_unsubscribe().
 */
guint cst_service_subscribe(CstService *service, CstEventFunc func, gpointer data);
/**
 * Ends a subscription: after the return @func is not running and will not be called again. Do not
 * call it from inside @func.
 */
void cst_service_unsubscribe(CstService *service, guint id);
