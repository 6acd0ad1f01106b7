/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <blob/iscsi.h>

/**
 * A target of iSCSI, its LUNs, and a LUN as a blob. The layers, bottom first; a file calls files of
 * the lines before its own:
 *
 *     lib.c  scsi.c          libiscsi, loaded on first use; commands and answers (pure)
 *     resolve.c              names of hosts, with a deadline
 *     login.c                a connection to one portal, up to the login
 *     session.c  discover.c  commands over a connection that may be replaced; list of targets
 *     lun.c                  properties of a LUN
 *     access.c               commands to one unit; they fail if another unit replaces it
 *     blob.c                 reads and writes
 */

/** Functions of libiscsi, as documented in iscsi/iscsi.h. */
#define ISCSI_FUNCTIONS(X)              \
    X(iscsi_create_context)             \
    X(iscsi_destroy_context)            \
    X(iscsi_set_targetname)             \
    X(iscsi_set_session_type)           \
    X(iscsi_set_isid_random)            \
    X(iscsi_set_noautoreconnect)        \
    X(iscsi_set_initiator_username_pwd) \
    X(iscsi_set_target_username_pwd)    \
    X(iscsi_set_log_fn)                 \
    X(iscsi_set_log_level)              \
    X(iscsi_get_error)                  \
    X(iscsi_get_target_address)         \
    X(iscsi_is_logged_in)               \
    X(iscsi_connect_async)              \
    X(iscsi_login_async)                \
    X(iscsi_logout_async)               \
    X(iscsi_nop_out_async)              \
    X(iscsi_discovery_async)            \
    X(iscsi_scsi_command_async)         \
    X(iscsi_get_fd)                     \
    X(iscsi_which_events)               \
    X(iscsi_service)                    \
    X(iscsi_queue_length)               \
    X(scsi_create_task)                 \
    X(scsi_free_scsi_task)              \
    X(scsi_task_add_data_in_buffer)     \
    X(scsi_task_add_data_out_buffer)

typedef struct {
#define ISCSI_MEMBER(function) __typeof__(function) *(function);
    ISCSI_FUNCTIONS(ISCSI_MEMBER)
#undef ISCSI_MEMBER
} IscsiLib;

/**
 * Return the library, and load it first if needed. NULL with UNSUPPORTED, naming its package.
 * Thread-safe.
 */
const IscsiLib *iscsi_lib(GError **error);

/* --- resolve.c -------------------------------------------------------------------------------- */

/**
 * Append the numeric portals ("10.0.0.1:3260") of @portal to @found, a few at most. UNREACHABLE if
 * the host has no address, or if the resolver does not answer before @deadline (monotonic time).
 */
gboolean iscsi_resolve(const char *portal, gint64 deadline, gint *closing, GPtrArray *found,
                       GError **error);

/* --- login.c ---------------------------------------------------------------------------------- */

/** Parameters of a login. */
typedef struct {
    const CstIscsiTarget *target;
    enum iscsi_session_type type;
    uint32_t isid; /**< constant for a session, so that a new login replaces it */
    gint *closing; /**< atomic; nonzero ends all waiting */
} IscsiLogin;

/**
 * Serve @context until a callback sets *@done, @deadline has passed or *@closing is set. Return:
 * FALSE if not done.
 */
gboolean iscsi_serve(const IscsiLib *lib, struct iscsi_context *context, const gboolean *done,
                     gint64 deadline, gint *closing);

/**
 * Connect to @portal and log in. Return: NULL with UNREACHABLE (no answer in time), DENIED (CHAP),
 * NOT_FOUND (the portal does not have the target), or FAILED.
 */
struct iscsi_context *iscsi_log_in(const IscsiLogin *how, const char *portal, GError **error);

/**
 * Try each portal once, from *@at on, and set *@at to the portal that has admitted the initiator.
 * On failure @error is the most specific error: a refusal is preferred to UNREACHABLE.
 */
struct iscsi_context *iscsi_log_in_anywhere(const IscsiLogin *how, guint *at, GError **error);

/** Log out, until @deadline at most, and free @context, which may be NULL. */
void iscsi_log_out(const IscsiLib *lib, struct iscsi_context *context, gint64 deadline);
