/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/attached.h>
#include <pool/chap.h>

/**
 * Pools that are the LUNs of an iSCSI target, as libvirt has them, over one portal or several. All
 * changes are made by open-iscsi's own tool, iscsiadm; what is, is read from sysfs.
 *
 * From below to above; a file calls files of the lines before its own, and to its left:
 *
 *     ../device/…                   LUNs, names, volumes
 *     iscsiadm.c  report.c  session.c     the tool, what it prints; sessions as the kernel has them
 *     record.c  iface.c             node records with their CHAP values; interfaces of ours
 *     login.c  prove.c  health.c    from a definition to sessions, and back; values of CHAP that
 *                                   change; how sessions are
 *     iscsi.c                       the callbacks and their table
 *
 * Functions that are a callback of the table do what CstBackend says of it.
 *
 * What is ours: open-iscsi keeps a record for each target, portal and interface ("node"), and an
 * interface can have an initiator's name of its own. Pools log in through interfaces of their own,
 * whose names begin as those that libvirt makes. Records of such interfaces, sessions through them
 * and the interfaces themselves are ours to remove, whichever process made them; all others are
 * left alone.
 */
extern const CstBackend cst_iscsi_backend;

#define ISCSI_IFACE_PREFIX "libvirt-iface-"
/** The interface of all pools without an initiator's name of their own: it has the host's. */
#define ISCSI_IFACE_PLAIN ISCSI_IFACE_PREFIX "00000000"
#define ISCSI_PORT        3260

/** The settings of this program; tests change them. */
typedef struct {
    const char *config;       /**< open-iscsi's own folder, which exists where it is installed */
    const char *databases[2]; /**< where its records may be, by version */
    unsigned discover_s;      /**< a discovery may take this long */
    unsigned login_s;         /**< a login or logout */
    unsigned change_s;        /**< a change of the records */
    unsigned prove_s;         /**< one step of a login that is only tried */
    unsigned gone_s;          /**< the kernel's removal of what a logout has ended */
} IscsiHost;
extern IscsiHost iscsi_host;

/* --- iscsiadm.c ------------------------------------------------------------------------------- */

/** Exit statuses of iscsiadm that mean something to callers. */
typedef enum {
    ISCSI_DONE = 0,
    ISCSI_SESSION_EXISTS = 15,
    ISCSI_NO_OBJECTS = 21,
} IscsiStatus;

/**
 * Runs iscsiadm with @args, NULL-terminated, at most @timeout_s seconds. TRUE also when it ends
 * with status @accepted (ISCSI_DONE: only success). *ret_out (NULL: of no interest) is its stdout,
 * which the caller frees. UNSUPPORTED when it is not installed; else the class that its status
 * means.
 */
gboolean iscsi_run(const char *const *args, unsigned timeout_s, IscsiStatus accepted,
                   char **ret_out, GError **error);

/* --- report.c: what iscsiadm prints; pure ----------------------------------------------------- */

/** Whether @text can be a name of a target: an argument, and the name of a directory. */
gboolean iscsi_is_name(const char *text);

/** A target at a portal, as discovery lists them. */
typedef struct {
    char *address; /**< without brackets */
    uint16_t port;
    unsigned tpgt; /**< the target's portal group tag */
    char *target;  /**< its IQN */
} IscsiOffer;

/** Returns an array of IscsiOffer, which frees them; lines that are none are left out. */
GPtrArray *iscsi_offers_parse(const char *text);

/** An interface, as "iscsiadm -m iface" lists them. */
typedef struct {
    char *name;
    char *initiator; /**< NULL: the host's */
} IscsiIface;

/** Returns an array of IscsiIface, which frees them. */
GPtrArray *iscsi_ifaces_parse(const char *text);

/** Whether a record in the tree of "iscsiadm -m node -P 1" is of interface @iface. */
gboolean iscsi_tree_uses(const char *text, const char *iface);

/* --- session.c -------------------------------------------------------------------------------- */

typedef struct {
    unsigned sid;
    unsigned host; /**< its SCSI host */
    char *iface;   /**< of open-iscsi */
    char *address; /**< of the portal that was logged in to; NULL: unknown */
    unsigned port;
    char *state; /**< "LOGGED_IN", "FAILED", "FREE" */
} IscsiSession;

void iscsi_session_free(IscsiSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IscsiSession, iscsi_session_free)
/** Returns the sessions (IscsiSession) that are the pool's, in the kernel's order; unref it. */
GPtrArray *iscsi_sessions_of(const CstPoolDef *def);
/** Whether commands reach the target through it now. */
gboolean iscsi_session_works(const IscsiSession *session);
/** Whether it goes through an interface of ours. */
gboolean iscsi_session_is_ours(const IscsiSession *session);

/** What a node record is known by. Borrowed strings. */
typedef struct {
    const char *target;
    const char *address;
    uint16_t port;
    unsigned tpgt;
    const char *iface;
} IscsiNode;

/** Whether one of the sessions was logged in at the address and port of @node. */
gboolean iscsi_has_session(const GPtrArray *sessions, const IscsiNode *node);

/** The IQN of the pool's target; borrowed. */
const char *iscsi_target(const CstPoolDef *def);

/* --- record.c --------------------------------------------------------------------------------- */

/** As cst_chap_read(); CONFIG and INVALID_SECRET too for what no line of a record can hold. */
gboolean iscsi_chap_read(const CstPoolState *state, CstChap *ret_chap, GError **error);

/** "10.0.0.1:3260,1", "[fe80::1]:3260,1"; free it. */
char *iscsi_portal(const IscsiNode *node);
/** Makes the record, or takes over the one that is there, with exactly these values. */
gboolean iscsi_record_make(const IscsiNode *node, const CstChap *chap, GError **error);
/** Puts @chap into all records of @target through @iface; sessions stay as they are. */
gboolean iscsi_records_renew(const char *target, const char *iface, const CstChap *chap,
                             GError **error);
/** The name that open-iscsi logs in as where an interface has none; NULL with an error. Free it. */
char *iscsi_host_initiator(GError **error);
/** Removes all records of @target through @iface. */
gboolean iscsi_records_remove(const char *target, const char *iface, GError **error);

/**
 * Returns the text of record @text with the values of @chap instead of those that it has. Pure.
 * The caller wipes and frees it.
 */
char *iscsi_record_with(const char *text, const CstChap *chap);

/* --- iface.c ---------------------------------------------------------------------------------- */

/** *ret_name: the interface of ours with @initiator (NULL: the host's); NULL: there is none. */
gboolean iscsi_iface_find(const char *initiator, char **ret_name, GError **error);
/**
 * Returns the name of the interface of ours with @initiator (NULL: the host's), made when there is
 * none; free it. The caller holds iscsi_lock().
 */
char *iscsi_iface_ensure(const char *initiator, GError **error);
/** Removes an interface of ours that no record uses; others stay. Holds iscsi_lock(). */
gboolean iscsi_iface_release(const char *iface, GError **error);
/**
 * Locks what is ours against other pools and processes; -1 with @error. The caller closes it. The
 * lock ends with the process.
 */
int iscsi_lock(GError **error);

/* --- login.c ---------------------------------------------------------------------------------- */

/**
 * Logs in at portals that were away, if they answer now, and has the kernel look for LUNs at the
 * other end of each session that works.
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
