/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries of the audit trail in the journal of the host, by journald's native protocol: one
 * datagram of lines KEY=VALUE. GLib's function for it blocks while the journal's queue is full, so
 * this file has a socket of its own that does not block.
 */
#include "audit_files.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <base/file.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* A value with a line break would be another field, so line breaks become blanks. */
static void journal_add_field(GString *entry, const CstAuditField *field)
{
    gsize at;

    if (!field->value || !*field->value)
        return;
    g_string_append_printf(entry, "%s=", field->key);
    at = entry->len;
    g_string_append(entry, field->value);
    g_strdelimit(entry->str + at, "\n", ' ');
    g_string_append_c(entry, '\n');
}

static gboolean journal_connect(AuditJournal *journal)
{
    const char *path = journal->path ? journal->path : JOURNAL_SOCKET;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (journal->fd >= 0)
        return TRUE;
    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
        return FALSE;
    journal->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (journal->fd >= 0 &&
        connect(journal->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        cst_fd_clear(&journal->fd);
    return journal->fd >= 0;
}

void audit_journal_send(AuditJournal *journal, const CstAuditField *fields, guint count)
{
    g_autoptr(GString) entry = NULL;

    /* The first attempt fails after journald has started again, because the socket is a new one. */
    for (int attempt = 0; attempt < 2 && journal_connect(journal); attempt++) {
        if (!entry) {
            entry = g_string_sized_new(1024);
            for (guint i = 0; i < count; i++)
                journal_add_field(entry, &fields[i]);
        }
        if (send(journal->fd, entry->str, entry->len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return;
        /* The queue of the journal is full. */
        if (errno == EAGAIN || errno == EMSGSIZE)
            return;
        cst_fd_clear(&journal->fd);
    }
}

void audit_journal_clear(AuditJournal *journal)
{
    cst_fd_clear(&journal->fd);
    g_free(journal->path);
}
