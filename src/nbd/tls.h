/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <nbd/server.h>

/** A client's TLS session. One thread may receive while another one sends. */
typedef struct NbdSession NbdSession;

/**
 * Shakes hands over the socket @fd. NULL when the client can't prove its identity, or when the
 * socket was shut down meanwhile; *ret_failure is the reason then, a static text.
 */
NbdSession *nbd_session_new(const CstNbdTls *tls, int fd, const char **ret_failure);
void nbd_session_free(NbdSession *session);
/** As recv(): at least one byte; 0: the client has ended the session; -1: an error. */
ssize_t nbd_session_receive(NbdSession *session, void *data, size_t len);
/** Sends at least one byte of @len; -1: an error. */
ssize_t nbd_session_send(NbdSession *session, const void *data, size_t len);
