/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

/**
 * A QEMU that libvirt does not manage, in the place of the URI and the UUID of a domain. It is the
 * process at the socket of a monitor. Its start time distinguishes it from a later process with the
 * same pid:
 *
 *     qmp:PID:START:SOCKET
 */
typedef struct {
    char *socket; /**< absolute path */
    int64_t pid;
    uint64_t start; /**< of the process, in clock ticks since the boot */
} QmpUri;

void qmp_uri_clear(QmpUri *uri);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QmpUri, qmp_uri_clear)

/** Whether @text has the prefix of such a URI. */
gboolean qmp_uri_matches(const char *text);
/** Parses the text of qmp_uri_format(). Returns FALSE for other texts. */
gboolean qmp_uri_parse(const char *text, QmpUri *ret_uri);
/** The caller frees the text. */
char *qmp_uri_format(const QmpUri *uri);
/** Returns a UUID that belongs to the process only. The caller frees it. */
char *qmp_uri_uuid(const QmpUri *uri);

/** Returns the start time of process @pid; 0: it does not exist, or has ended. */
uint64_t qmp_process_start(int64_t pid);
/** Whether the process of @uri still runs. */
gboolean qmp_uri_is_alive(const QmpUri *uri);
