/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <nbd/server.h>

/** A client's TLS session. One thread may receive while another one sends. */
typedef struct NbdSession NbdSession;

/**
 * Performs the TLS handshake on the socket @fd. Returns NULL if it fails, if the client cannot be
 * verified, or if the socket was shut down. *ret_failure is then the reason, a static text.
 */
NbdSession *nbd_session_new(const CstNbdTls *tls, int fd, const char **ret_failure);
void nbd_session_free(NbdSession *session);
/** Like recv(): returns at least one byte; 0: the client has ended the session; -1: an error. */
ssize_t nbd_session_receive(NbdSession *session, void *data, size_t len);
/** Sends at least one of @len bytes. Returns their number; -1: an error. */
ssize_t nbd_session_send(NbdSession *session, const void *data, size_t len);
