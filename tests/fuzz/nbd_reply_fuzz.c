/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input of the NBD client from a server, from its first byte on: the extents of a block status are
 * contiguous and inside the export.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/library.h>
#include <nbd/session.h>

#include "fuzz.h"

extern CstLibrary cst_libnbd_library;

static void extents_check(const GArray *extents, uint64_t size)
{
    uint64_t at = 0;

    for (guint i = 0; i < extents->len; i++) {
        const CstExtent *extent = &g_array_index(extents, CstExtent, i);

        if (extent->offset != at || extent->length == 0 || extent->length > size - at ||
            (i > 0 && extent->flags == g_array_index(extents, CstExtent, i - 1).flags))
            abort();
        at += extent->length;
    }
    if (extents->len == 0 || extents->len > NBD_EXTENTS_MAX || at > NBD_STATUS_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const NbdAddress address = {"socket", "disk", 1, 0, NULL};
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(CstExtent));
    g_autoptr(GError) error = NULL;
    NbdSession *session;
    char buf[8192];
    int ends[2];

    if (!cst_library_load(&cst_libnbd_library, NULL))
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        abort();
    /* The socket has room for the input. Its end makes each wait end. */
    if (send(ends[1], data, MIN(size, 65536), MSG_NOSIGNAL) < 0)
        abort();
    shutdown(ends[1], SHUT_WR);
    session = nbd_session_negotiate(&address, ends[0], 1, NULL);
    if (session && nbd_session_info(session)->size > 0 && nbd_session_info(session)->block_status &&
        nbd_session_block_status(session, 0, extents, &error))
        extents_check(extents, nbd_session_info(session)->size);
    if (session && !nbd_session_is_lost(session) && nbd_session_info(session)->size >= sizeof(buf))
        nbd_session_read(session, buf, sizeof(buf), 0, NULL);
    nbd_session_close(session);
    close(ends[1]);
    return 0;
}
