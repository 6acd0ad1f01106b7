/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "workers.h"

struct CstWireServer;

/**
 * An account: a uid and the subordinate uids of its user. All its connections share one limit of
 * connections, one budget of bytes and one turn at the workers. The bytes are those of requests
 * that wait, replies that are made or wait to be read, events, and pieces of streams. Found through
 * the server, freed with its last connection.
 */
typedef struct User {
    guint refs;        /**< guarded by the server's users_lock, as is the next one */
    guint connections; /**< counted against max_user_clients */
    uid_t account; /**< the uid of the user, or the first one of a range without a single owner */
    gboolean trusted; /**< root or the daemon's user */
    size_t budget;    /**< bytes that may be held; G_MAXSIZE: no limit */
    _Atomic size_t bytes;
    atomic_bool starved; /**< a call of this user waits until bytes are given back */
    WorkerShare shares[WORK_CLASSES];
} User;

/**
 * Returns the user that @uid counts for (subuid.h) with a new reference; makes it when it has no
 * connection yet. Never NULL. From any thread, as all functions here.
 */
User *user_get(struct CstWireServer *server, uid_t uid);
/** Drops a reference; the last one frees @user. */
void user_put(struct CstWireServer *server, User *user);

/** Counts a connection; FALSE when the user has as many as allowed. */
gboolean user_connect(struct CstWireServer *server, User *user);
/** Takes one connection back that user_connect() has counted. */
void user_disconnect(struct CstWireServer *server, User *user);

/**
 * Whether the user holds the whole budget, so that nothing more should be read from, or made for,
 * it.
 */
static inline gboolean user_is_over(const User *user)
{
    return user->bytes >= user->budget;
}

/**
 * Counts @now bytes instead of @before; starts calls that waited for bytes when that brings the
 * user below the budget. Takes the workers' locks, so the caller must not hold them.
 */
void user_charge(struct CstWireServer *server, User *user, size_t before, size_t now);
