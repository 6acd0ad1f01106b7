/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "workers.h"

struct CstWireServer;

/**
 * What all connections of one uid share: how many they are, how many bytes are held for them (what
 * they have sent and nobody has handled, replies that are made or wait to be read, events, pieces
 * of streams), and their turns at the workers. Found through the server, freed with its last
 * connection.
 */
typedef struct User {
    guint refs;        /**< guarded by the server's users_lock, as is the next one */
    guint connections; /**< counted against max_user_clients */
    uid_t uid;
    gboolean trusted; /**< root or the daemon's user */
    size_t budget;    /**< bytes that may be held; G_MAXSIZE: no limit */
    _Atomic size_t bytes;
    atomic_bool starved; /**< a call of his waits until bytes are given back */
    WorkerShare shares[WORK_CLASSES];
} User;

/** The user of @uid, with a reference. */
User *user_get(struct CstWireServer *server, uid_t uid);
void user_put(struct CstWireServer *server, User *user);

/** Counts a connection; FALSE when the user has as many as allowed. */
gboolean user_connect(struct CstWireServer *server, User *user);
void user_disconnect(struct CstWireServer *server, User *user);

/** No byte more should be read from, or made for, this user. */
static inline gboolean user_is_over(const User *user)
{
    return user->bytes >= user->budget;
}

/** Counts @now instead of @before bytes; wakes calls that waited for them. */
void user_charge(struct CstWireServer *server, User *user, size_t before, size_t now);
