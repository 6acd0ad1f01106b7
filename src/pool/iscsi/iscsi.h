/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/attached.h>
#include <pool/chap.h>

/**
 * Pools of the LUNs of an iSCSI target over one or several portals, as in libvirt. open-iscsi's
 * tool iscsiadm makes all changes. The current state is read from sysfs.
 *
 * The files, lowest layer first. A file calls only files of earlier lines, and files to its left:
 *
 *     ../device/…                   LUNs, names, volumes
 *     iscsiadm.c  report.c  session.c     the tool, its output; the kernel's sessions
 *     record.c  iface.c             node records with their CHAP values; our interfaces
 *     login.c  prove.c  health.c    from a definition to sessions, and back; changed CHAP values;
 *                                   health of the sessions
 *     iscsi.c                       the callbacks and their table
 *
 * CstBackend documents the functions that are callbacks of the table.
 *
 * Ownership: open-iscsi keeps a record for each target, portal and interface ("node"). An interface
 * can have its own initiator's name. Pools log in through their own interfaces. The names of these
 * have libvirt's prefix. Any process may remove the records of such interfaces, the sessions
 * through them and the interfaces themselves. All other records, sessions and interfaces are never
 * changed.
 */
extern const CstBackend cst_iscsi_backend;

#define ISCSI_IFACE_PREFIX "libvirt-iface-"
/**
 * The interface of all pools without an initiator's name in the definition. It has the host's name.
 */
#define ISCSI_IFACE_PLAIN ISCSI_IFACE_PREFIX "00000000"
#define ISCSI_PORT        3260

/** Settings of this program. Tests change them. */
typedef struct {
    const char *config;       /**< open-iscsi's directory; missing if not installed */
    const char *databases[2]; /**< directories of its records, by version */
    unsigned discover_s;      /**< timeout of a discovery, in seconds */
    unsigned login_s;         /**< of a login or logout */
    unsigned change_s;        /**< of a change of the records */
    unsigned prove_s;         /**< of one step of a trial login */
    unsigned gone_s;          /**< of the kernel's removal of a session after the logout */
} IscsiHost;
extern IscsiHost iscsi_host;

/* --- iscsiadm.c ------------------------------------------------------------------------------- */

/** Exit statuses of iscsiadm that callers handle. */
typedef enum {
    ISCSI_DONE = 0,
    ISCSI_SESSION_EXISTS = 15,
    ISCSI_NO_OBJECTS = 21,
} IscsiStatus;

/**
 * Runs iscsiadm with @args, NULL-terminated, for at most @timeout_s seconds. Stores its stdout in
 * *ret_out (may be NULL), which the caller frees.
 *
 * Returns TRUE on success, and also for exit status @accepted (ISCSI_DONE: only success). Fails
 * with UNSUPPORTED if iscsiadm is not installed, else with the error class of its exit status.
 */
gboolean iscsi_run(const char *const *args, unsigned timeout_s, IscsiStatus accepted,
                   char **ret_out, GError **error);

/* --- report.c: parsers of the output of iscsiadm; pure ---------------------------------------- */

/**
 * Returns whether @text is valid as a target's name, an argument of iscsiadm and a directory's
 * name.
 */
gboolean iscsi_is_name(const char *text);

/** A target at a portal, from a discovery. */
typedef struct {
    char *address; /**< without brackets */
    uint16_t port;
    unsigned tpgt; /**< the target's portal group tag */
    char *target;  /**< its IQN */
} IscsiOffer;

/** Returns an array of IscsiOffer, which frees its elements. Skips lines of another form. */
GPtrArray *iscsi_offers_parse(const char *text);

/** An interface in the list of "iscsiadm -m iface". */
typedef struct {
    char *name;
    char *initiator; /**< NULL: the host's */
} IscsiIface;

/** Returns an array of IscsiIface, which frees its elements. */
GPtrArray *iscsi_ifaces_parse(const char *text);

/** Returns whether a record in the tree of "iscsiadm -m node -P 1" uses interface @iface. */
gboolean iscsi_tree_uses(const char *text, const char *iface);

/* --- session.c -------------------------------------------------------------------------------- */

typedef struct {
    unsigned sid;
    unsigned host; /**< its SCSI host */
    char *iface;   /**< of open-iscsi */
    char *address; /**< of the portal of the login; NULL: unknown */
    unsigned port;
    char *state; /**< "LOGGED_IN", "FAILED", "FREE" */
} IscsiSession;

void iscsi_session_free(IscsiSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IscsiSession, iscsi_session_free)
/**
 * Returns the pool's sessions (IscsiSession), sorted by the kernel's number. The caller unrefs the
 * array.
 */
GPtrArray *iscsi_sessions_of(const CstPoolDef *def);
/** Returns whether the session is logged in, so that commands reach the target. */
gboolean iscsi_session_works(const IscsiSession *session);
/** Returns whether the session uses one of our interfaces. */
gboolean iscsi_session_is_ours(const IscsiSession *session);

/** The identity of a node record. The strings are borrowed. */
typedef struct {
    const char *target;
    const char *address;
    uint16_t port;
    unsigned tpgt;
    const char *iface;
} IscsiNode;

/** Returns whether a session has the address and port of @node. */
gboolean iscsi_has_session(const GPtrArray *sessions, const IscsiNode *node);

/** Returns the IQN of the pool's target, borrowed. */
const char *iscsi_target(const CstPoolDef *def);

/* --- record.c --------------------------------------------------------------------------------- */

/**
 * Like cst_chap_read(). Also fails with CONFIG or INVALID_SECRET for values that do not fit in a
 * line of a record.
 */
gboolean iscsi_chap_read(const CstPoolState *state, CstChap *ret_chap, GError **error);

/** Returns the portal: "10.0.0.1:3260,1", "[fe80::1]:3260,1". The caller frees it. */
char *iscsi_portal(const IscsiNode *node);
/** Creates the record or adopts the existing one, and sets exactly these values. */
gboolean iscsi_record_make(const IscsiNode *node, const CstChap *chap, GError **error);
/** Writes @chap into all records of @target through @iface. Existing sessions are not changed. */
gboolean iscsi_records_renew(const char *target, const char *iface, const CstChap *chap,
                             GError **error);
/**
 * Returns open-iscsi's initiator name for interfaces without a name, or NULL with an error. The
 * caller frees it.
 */
char *iscsi_host_initiator(GError **error);
/** Removes all records of @target through @iface. */
gboolean iscsi_records_remove(const char *target, const char *iface, GError **error);

/**
 * Returns the text of record @text with its CHAP values replaced by @chap. Pure. The caller wipes
 * and frees it.
 */
char *iscsi_record_with(const char *text, const CstChap *chap);

/* --- iface.c ---------------------------------------------------------------------------------- */

/**
 * Sets *ret_name to our interface with @initiator (NULL: the host's), or to NULL if it does not
 * exist.
 */
gboolean iscsi_iface_find(const char *initiator, char **ret_name, GError **error);
/**
 * Returns the name of our interface with @initiator (NULL: the host's), and creates a missing one.
 * The caller frees it and holds iscsi_lock().
 */
char *iscsi_iface_ensure(const char *initiator, GError **error);
/** Removes the interface if it is ours and no record uses it. The caller holds iscsi_lock(). */
gboolean iscsi_iface_release(const char *iface, GError **error);
/**
 * Locks our interfaces, records and sessions against other pools and processes. Returns a
 * descriptor that the caller closes, or -1 with @error. The lock ends with the process.
 */
int iscsi_lock(GError **error);

/* --- login.c ---------------------------------------------------------------------------------- */

/**
 * Logs in at portals without a session that respond now. Then makes the kernel search for LUNs in
 * each working session.
 */
gboolean iscsi_refresh(CstPoolState *state, CstTask *task, GError **error);
gboolean iscsi_start(CstPoolState *state, GError **error);
gboolean iscsi_stop(CstPoolState *state, GError **error);
gboolean iscsi_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error);

/* --- prove.c ---------------------------------------------------------------------------------- */

gboolean iscsi_prove(CstPoolState *state, GError **error);
gboolean iscsi_renew(CstPoolState *state, GError **error);

/* --- health.c --------------------------------------------------------------------------------- */

gboolean iscsi_touch(const CstPoolDef *def, GError **error);
gboolean iscsi_health(CstPoolState *state, gboolean details, CstPoolHealth *health, GError **error);
