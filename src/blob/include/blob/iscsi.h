/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <blob/blob.h>
#include <blob/chap.h>
#include <blob/scsi.h>

/**
 * An iSCSI target accessed by this process itself, through libiscsi, which is loaded on first use.
 *
 * A session has its own thread, which alone calls libiscsi and only ever waits in its poll loop.
 * The thread connects, logs in, sends the commands that callers have queued (many at a time) and
 * returns the answers. Every wait has a limit, which depends on the session's time-out
 * (CstIscsiTarget.timeout_ms):
 *
 *     a portal's connection and login           1 × timeout, each portal and address
 *     a target that sends no data               1 × timeout, then a ping; 1 × timeout for the pong
 *     a command of a target that answers pings  12 × timeout
 *
 * A lost session is established again at the next portal, and its pending commands are sent again.
 * This is safe because a command is an absolute read or write. If no portal admits a login, all
 * queued commands fail with UNREACHABLE (or the target's reason); the next command tries the
 * portals again. A session that is idle for some time logs out.
 */
typedef struct CstIscsi CstIscsi;

#define CST_ISCSI_PORT     3260
#define CST_ISCSI_NAME_MAX 223 /* RFC 7143, 4.2.7.1 */

/** The target of a session. */
typedef struct {
    const char *target;         /**< IQN; NULL: for discovery */
    const char *initiator;      /**< IQN */
    const char *const *portals; /**< "host:port", "[fe80::1]:port"; NULL-terminated */
    guint timeout_ms;
    /**
     * Set the values for one login. The session wipes them after the login. NULL: no CHAP. Called
     * in any thread.
     */
    gboolean (*chap)(gpointer data, CstChap *ret_chap, GError **error);
    gpointer data;
} CstIscsiTarget;

/** Return "host:port", with brackets if @host is an IPv6 address. The caller frees it. */
char *cst_iscsi_portal(const char *host, uint16_t port);

/** Create a session, which connects with its first command. Copies *@target. Never returns NULL. */
CstIscsi *cst_iscsi_new(const CstIscsiTarget *target);
/**
 * Log out, for a second at most, and free @iscsi, which may be NULL. No other call on it may be in
 * progress.
 */
void cst_iscsi_free(CstIscsi *iscsi);
/** Log out, for a second at most; the next command connects again. */
void cst_iscsi_disconnect(CstIscsi *iscsi);
/** Connect unless connected. UNSUPPORTED, naming the package, if libiscsi can't be loaded. */
gboolean cst_iscsi_connect(CstIscsi *iscsi, GError **error);

/** The outcome of a command. */
typedef enum {
    CST_ISCSI_LOST = 0, /**< no answer: the call fails */
    CST_ISCSI_ANSWERED, /**< the target has answered: see the sense */
    CST_ISCSI_STALE     /**< not sent, or refused: the LUN may belong to another unit */
} CstIscsiOutcome;

/** A command and its answer. */
typedef struct CstIscsiBatch CstIscsiBatch;
typedef struct {
    CstScsiCommand command;
    uint16_t lun;
    void *buf; /**< command.length bytes, read or written; the caller's after return */
    /**
     * The session's epoch in which the caller has read the LUN's properties. Each login and each
     * unit attention begin a new epoch, and the command is then STALE. 0: any epoch.
     */
    uint64_t epoch;

    CstIscsiOutcome outcome;
    CstScsiSense sense;
    uint32_t got; /**< bytes that were read */

    /* private to the session; zero before the first run of the request; kept for further runs */
    CstIscsiBatch *batch;
    gint64 queued_at, sent_at, not_before;
    guint losses, attentions;
} CstIscsiRequest;

/**
 * Send the commands, many at a time and in any order, and wait for all answers. Return: FALSE if a
 * command has no answer. Commands are repeated if the target is busy, and after a unit attention
 * (requests with epoch 0).
 */
gboolean cst_iscsi_run(CstIscsi *iscsi, CstIscsiRequest *requests, guint count, GError **error);
/** Return the current epoch. */
uint64_t cst_iscsi_epoch(CstIscsi *iscsi);
/** Begin a new epoch. */
void cst_iscsi_next_epoch(CstIscsi *iscsi);

/* --- targets (discover.c) --------------------------------------------------------------------- */

/**
 * Append the names of the targets at @target's portals to @names, each once. The caller frees the
 * names.
 */
gboolean cst_iscsi_discover(const CstIscsiTarget *target, GPtrArray *names, GError **error);

/* --- LUNs (lun.c) ----------------------------------------------------------------------------- */

/** Maximum number of LUNs of a target; a longer list is refused. */
#define CST_ISCSI_LUNS_MAX 16384

/** Append the numbers (uint16_t) of the target's LUNs to @numbers, ascending. */
gboolean cst_iscsi_list_luns(CstIscsi *iscsi, GArray *numbers, GError **error);

/** The properties of a LUN. */
typedef struct {
    uint16_t lun;
    gboolean exists; /**< the LUN has a logical unit */
    CstScsiUnit unit;
    uint64_t allocated; /**< bytes, set by cst_iscsi_measure(); initially the whole size */
    uint64_t epoch;     /**< epoch of the session in which the properties were read */
    GError *error;      /**< the reason why it can't be used; NULL: usable */
} CstIscsiLun;

/** Free the error. */
void cst_iscsi_lun_clear(CstIscsiLun *lun);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstIscsiLun, cst_iscsi_lun_clear)
/**
 * Read the properties of @count LUNs, whose numbers must be set, in parallel. Return: FALSE if the
 * target does not answer. The error of a single LUN is stored in its error.
 */
gboolean cst_iscsi_look(CstIscsi *iscsi, CstIscsiLun *luns, guint count, GError **error);

/**
 * Compute the allocated space of the LUNs, which must be disks with known properties. Only thin
 * LUNs whose target reports allocation are measured. A LUN with more than some ten thousand runs
 * counts as fully allocated after these. Return: FALSE if the target does not answer.
 */
gboolean cst_iscsi_measure(CstIscsi *iscsi, CstIscsiLun *luns, guint count, GError **error);

/* --- as a blob (blob.c) ----------------------------------------------------------------------- */

/**
 * Create a blob of a LUN with the properties from cst_iscsi_look(): a disk without an error. From
 * then on the LUN must keep this unit. If the unit may have changed, the blob reads the properties
 * again, and each call fails with STATE if it has. @owner keeps the session alive. When the blob is
 * closed, it calls @release (NULL: not needed) with @owner.
 */
CstBlob *cst_blob_iscsi_new(CstIscsi *iscsi, const CstIscsiLun *lun, const char *name,
                            gboolean writable, gpointer owner, GDestroyNotify release);
