/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <blob/blob.h>
#include <blob/chap.h>
#include <blob/scsi.h>

/**
 * An iSCSI target spoken to by this process itself, through libiscsi, which is loaded on first use.
 *
 * A session belongs to one thread of its own, which alone calls libiscsi and never waits for
 * anything but its poll loop: it connects, logs in, sends what callers have queued (many commands
 * at a time) and hands answers back. Every wait has an end that the session's time-out decides
 * (CstIscsiTarget.timeout_ms):
 *
 *     a portal's connection and login           1 × timeout, each portal and address
 *     a target that says nothing at all         1 × timeout, then a ping; 1 × timeout for its
 * answer a command of a target that answers pings  12 × timeout
 *
 * A session that is lost is made anew at the next portal, and what was under way is sent again
 * there: a command is an absolute read or write, which does no harm twice. A round over all portals
 * without a login fails whatever was queued with UNREACHABLE (or the reason that the target gave),
 * and the next command begins another. A session without commands for a while logs out.
 */
typedef struct CstIscsi CstIscsi;

#define CST_ISCSI_PORT     3260
#define CST_ISCSI_NAME_MAX 223 /* RFC 7143, 4.2.7.1 */

/** Where a session goes. */
typedef struct {
    const char *target;         /**< IQN; NULL: for discovery */
    const char *initiator;      /**< IQN */
    const char *const *portals; /**< "host:port", "[fe80::1]:port"; NULL-terminated */
    guint timeout_ms;
    /** Gives the values for one login, which are wiped after it; NULL: none. Any thread. */
    gboolean (*chap)(gpointer data, CstChap *ret_chap, GError **error);
    gpointer data;
} CstIscsiTarget;

/** "host:port", with brackets where @host is an address of IPv6; free it. */
char *cst_iscsi_portal(const char *host, uint16_t port);

/** Makes a session, which connects with its first command. Copies *@target. Never NULL. */
CstIscsi *cst_iscsi_new(const CstIscsiTarget *target);
/** Logs out, for a second at most, and frees it. No call of it may be under way. NULL: nothing. */
void cst_iscsi_free(CstIscsi *iscsi);
/** Logs out, for a second at most; the next command connects again. */
void cst_iscsi_disconnect(CstIscsi *iscsi);
/** Connects unless it is. UNSUPPORTED, naming the package, where libiscsi can't be loaded. */
gboolean cst_iscsi_connect(CstIscsi *iscsi, GError **error);

/** What became of a command that was sent. */
typedef enum {
    CST_ISCSI_LOST = 0, /**< no answer: the call fails */
    CST_ISCSI_ANSWERED, /**< by the target: see the sense */
    CST_ISCSI_STALE     /**< not sent, or refused: what is behind the LUN may have changed */
} CstIscsiOutcome;

/** A command and its answer. */
typedef struct CstIscsiBatch CstIscsiBatch;
typedef struct {
    CstScsiCommand command;
    uint16_t lun;
    void *buf; /**< command.length bytes, read or written; the caller's until the call returns */
    /**
     * The session's epoch in which the caller looked at what is behind the LUN; with each login and
     * each unit attention another begins, and the command is STALE then. 0: any.
     */
    uint64_t epoch;

    CstIscsiOutcome outcome;
    CstScsiSense sense;
    uint32_t got; /**< bytes that were read */

    /* private to the session; zero before the first run of the request, and kept for the next */
    CstIscsiBatch *batch;
    gint64 queued_at, sent_at, not_before;
    guint losses, attentions;
} CstIscsiRequest;

/**
 * Sends the commands, many at a time and in no order, and waits for all answers. FALSE when one has
 * none. A target that is busy, and one that draws attention to something (requests with epoch 0),
 * is asked again.
 */
gboolean cst_iscsi_run(CstIscsi *iscsi, CstIscsiRequest *requests, guint count, GError **error);
/** The epoch that has begun last. */
uint64_t cst_iscsi_epoch(CstIscsi *iscsi);
/** Begins another one. */
void cst_iscsi_next_epoch(CstIscsi *iscsi);

/* --- targets (discover.c) --------------------------------------------------------------------- */

/** Appends the names of the targets at @target's portals to @names (free them), each once. */
gboolean cst_iscsi_discover(const CstIscsiTarget *target, GPtrArray *names, GError **error);

/* --- LUNs (lun.c) ----------------------------------------------------------------------------- */

/** So many LUNs of a target are looked at; more are refused. */
#define CST_ISCSI_LUNS_MAX 16384

/** Appends the numbers (uint16_t) of the target's LUNs to @numbers, ascending. */
gboolean cst_iscsi_list_luns(CstIscsi *iscsi, GArray *numbers, GError **error);

/** What is behind a LUN. */
typedef struct {
    uint16_t lun;
    gboolean exists; /**< there is a logical unit */
    CstScsiUnit unit;
    uint64_t allocated; /**< bytes, by cst_iscsi_measure(); until then all */
    uint64_t epoch;     /**< of the session, in which it was looked at */
    GError *error;      /**< why it can't be used; NULL: it can */
} CstIscsiLun;

/** Frees the error. */
void cst_iscsi_lun_clear(CstIscsiLun *lun);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstIscsiLun, cst_iscsi_lun_clear)
/**
 * Looks at @count LUNs, whose numbers are set, at once. FALSE when the target does not answer; what
 * is wrong with one of them is its error.
 */
gboolean cst_iscsi_look(CstIscsi *iscsi, CstIscsiLun *luns, guint count, GError **error);

/**
 * Finds out how much space the LUNs take, disks that were looked at: for those whose space is
 * provisioned as it is written, and whose targets tell. One with more runs than some ten thousands
 * counts as full from there on. FALSE when the target does not answer.
 */
gboolean cst_iscsi_measure(CstIscsi *iscsi, CstIscsiLun *luns, guint count, GError **error);

/* --- as a blob (blob.c) ----------------------------------------------------------------------- */

/**
 * Makes a blob of a LUN as cst_iscsi_look() has found it, a disk without an error. From then on
 * what is behind the LUN must be that unit: where it may be another one now, the blob looks again,
 * and each call fails with STATE if it is. @release (NULL: none) is called with @owner, which keeps
 * the session alive, when the blob is closed.
 */
CstBlob *cst_blob_iscsi_new(CstIscsi *iscsi, const CstIscsiLun *lun, const char *name,
                            gboolean writable, gpointer owner, GDestroyNotify release);
