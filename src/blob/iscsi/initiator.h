/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <blob/iscsi.h>

/**
 * A target of iSCSI, its LUNs, and a LUN as a blob. From below to above; a file calls files of the
 * lines before its own:
 *
 *     lib.c  scsi.c          libiscsi, loaded on first use; commands and answers (pure)
 *     resolve.c              names of hosts, with an end
 *     login.c                a connection to one portal, up to the login
 *     session.c  discover.c  commands over it, lost and made anew; which targets there are
 *     lun.c                  what is behind a LUN
 *     access.c               commands to a unit, for as long as it is that one
 *     blob.c                 reads and writes
 */

/** Libiscsi's functions, as documented in iscsi/iscsi.h. */
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

/** The library, loaded unless it is; NULL with UNSUPPORTED, naming its package. Any thread. */
const IscsiLib *iscsi_lib(GError **error);

/* --- resolve.c -------------------------------------------------------------------------------- */

/**
 * Appends the numeric portals ("10.0.0.1:3260") that @portal may be to @found, a few at most.
 * UNREACHABLE when the host has no address, or nobody says so before @deadline (monotonic).
 */
gboolean iscsi_resolve(const char *portal, gint64 deadline, gint *closing, GPtrArray *found,
                       GError **error);

/* --- login.c ---------------------------------------------------------------------------------- */

/** How to log in. */
typedef struct {
    const CstIscsiTarget *target;
    enum iscsi_session_type type;
    uint32_t isid; /**< the same for each session that is to take the place of the last one */
    gint *closing; /**< set (atomically) by who wants all waiting to end */
} IscsiLogin;

/**
 * Serves @context until *@done, what it waits for, is set (by a callback), @deadline has passed or
 * somebody closes. FALSE: not done.
 */
gboolean iscsi_serve(const IscsiLib *lib, struct iscsi_context *context, const gboolean *done,
                     gint64 deadline, gint *closing);

/**
 * Connects to @portal and logs in. NULL with UNREACHABLE (no answer in time), DENIED (CHAP),
 * NOT_FOUND (no such target there), or FAILED.
 */
struct iscsi_context *iscsi_log_in(const IscsiLogin *how, const char *portal, GError **error);

/**
 * Tries the portals from *@at on, each once, and sets *@at to the one that has let us in. The error
 * is what says most: a refusal rather than silence.
 */
struct iscsi_context *iscsi_log_in_anywhere(const IscsiLogin *how, guint *at, GError **error);

/** Logs out, until @deadline at most, and frees @context. NULL: nothing. */
void iscsi_log_out(const IscsiLib *lib, struct iscsi_context *context, gint64 deadline);
