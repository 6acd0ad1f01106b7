/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The QEMU at the socket of a monitor, as a text (see the header). */
#include "qmp_uri.h"

#include <inttypes.h>
#include <string.h>

#include <base/process.h>
#include <base/uuid.h>
#include <hypervisor/qmp.h>

#define PREFIX "qmp:"

void qmp_uri_clear(QmpUri *uri)
{
    g_clear_pointer(&uri->socket, g_free);
}

gboolean qmp_uri_matches(const char *text)
{
    return g_str_has_prefix(text, PREFIX);
}

/* Parses a number greater than 0 that ends with a colon, and proceeds to the text after it. */
static gboolean uri_parse_number(const char **at, uint64_t *ret_number)
{
    char *end = NULL;

    if (!g_ascii_isdigit(**at))
        return FALSE;
    *ret_number = g_ascii_strtoull(*at, &end, 10);
    if (*end != ':' || *ret_number == 0)
        return FALSE;
    *at = end + 1;
    return TRUE;
}

gboolean qmp_uri_parse(const char *text, QmpUri *ret_uri)
{
    const char *at;
    uint64_t pid = 0;

    if (!qmp_uri_matches(text))
        return FALSE;
    at = text + strlen(PREFIX);
    if (!uri_parse_number(&at, &pid) || pid > G_MAXINT32 ||
        !uri_parse_number(&at, &ret_uri->start) || *at != '/' || strlen(at) > CST_QMP_SOCKET_MAX)
        return FALSE;
    ret_uri->pid = (int64_t)pid;
    ret_uri->socket = g_strdup(at);
    return TRUE;
}

char *qmp_uri_format(const QmpUri *uri)
{
    return g_strdup_printf(PREFIX "%" PRId64 ":%" PRIu64 ":%s", uri->pid, uri->start, uri->socket);
}

/* The files of an entry are named by it, so two pauses of one process exclude each other. */
char *qmp_uri_uuid(const QmpUri *uri)
{
    g_autofree char *process = g_strdup_printf("%" PRId64 " %" PRIu64, uri->pid, uri->start);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, process, -1);
    g_autofree char *digits = g_strndup(digest, (gsize)2 * CST_UUID_LEN);
    char text[CST_UUID_TEXT_LEN] = "";
    CstUuid uuid;

    digits[12] = '8'; /* version: of our own */
    digits[16] = '8'; /* variant */
    if (cst_uuid_parse(digits, &uuid))
        cst_uuid_format(&uuid, text);
    return g_strdup(text);
}

uint64_t qmp_process_start(int64_t pid)
{
    char state = '\0';
    uint64_t start = cst_process_start(pid, &state);

    return state == 'Z' || state == 'X' ? 0 : start;
}

gboolean qmp_uri_is_alive(const QmpUri *uri)
{
    return qmp_process_start(uri->pid) == uri->start;
}
