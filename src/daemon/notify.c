/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sd_notify(3) without libsystemd: sends one datagram to the socket in NOTIFY_SOCKET. Failures are
 * ignored: a service manager that misses READY reports it itself.
 */
#include "notify.h"

#include <glib.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <base/file.h>

void daemon_notify(const char *state)
{
    const char *name = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_auto(CstFd) fd = -1;
    size_t len = name ? strlen(name) : 0;

    if (len < 2 || len > sizeof(address.sun_path) || (*name != '/' && *name != '@'))
        return;
    memcpy(address.sun_path, name, len);
    if (*name == '@')
        address.sun_path[0] = '\0'; /* the abstract name space */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}
