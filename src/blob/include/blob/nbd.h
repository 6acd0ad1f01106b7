/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>
#include <blob/blob.h>

/**
 * Opens the export @export_name ("": the server's default export) of the NBD server at the Unix
 * socket @socket, for reading. @owner may own the directory of @socket, in addition to root and
 * this process's user. @name is for messages. libnbd is loaded on first use. The content must not
 * change while the blob is open, because the allocation map is cached and several connections may
 * be used.
 *
 * No call waits without limit. Connecting and negotiating take at most @timeout_s seconds (at least
 * 1). A request fails with TIMEOUT if the server sends no byte for @timeout_s seconds, or if the
 * request takes longer than 20 times that.
 *
 * After a timeout, a lost connection or a malformed reply, the blob is dead: each later call fails
 * at once with the error of the first failure. An error that the server reports for one request
 * does not make the blob dead, and neither does a reply to a read that lacks bytes (IO).
 *
 * Errors of the open: UNSUPPORTED if libnbd is not installed or the server requires TLS, NOT_FOUND
 * if the socket or the export does not exist, UNREACHABLE if the connection is refused or lost or
 * the server is no NBD server, TIMEOUT, INVALID for a name that is too long, DENIED if another user
 * can exchange a directory of @socket. Reading has the errors UNREACHABLE, TIMEOUT, CORRUPT for a
 * malformed reply, and IO, DENIED or NO_MEMORY as the server reports them.
 */
CstBlob *cst_blob_nbd_open(const char *socket, const char *export_name, uid_t owner,
                           const char *name, unsigned timeout_s, GError **error);

/**
 * Reports the parts of an export that its dirty bitmap @context ("qemu:dirty-bitmap:NAME") has,
 * from changed->offset on. @identity becomes changed->identity; it is copied. All other parameters,
 * time limits and errors are those of cst_blob_nbd_open(). A call makes a connection of its own.
 * Further errors: NOT_FOUND if the export has no such bitmap, CORRUPT for a malformed reply.
 */
gboolean cst_blob_nbd_changes(const char *socket, const char *export_name, uid_t owner,
                              const char *context, const char *identity, unsigned timeout_s,
                              CstChanged *changed, GError **error);
