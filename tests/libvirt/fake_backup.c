/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of the fake libvirt.so.0 that backs up domains. "live" of a domain (live.h) has the job.
 * A backup creates the socket (a file) and the scratch files that its document names. "backup-xml"
 * of the domain names a file that gets the document. With "backup-nbd", qemu-nbd serves that file
 * as the content of the first disk.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"
#include "fake_checkpoint.h"
#include "live.h"

/* Returns the values of an attribute in a document of this project's writer. */
static GStrv document_values(const char *xml, const char *attribute)
{
    g_autofree char *begin = g_strconcat(" ", attribute, "='", NULL);
    g_auto(GStrv) parts = g_strsplit(xml, begin, -1);
    guint count = g_strv_length(parts);
    GStrv values = g_new0(char *, count + 1);

    for (guint i = 1; i < count; i++)
        values[i - 1] = g_strndup(parts[i], strcspn(parts[i], "'"));
    return values;
}

static gboolean file_make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return FALSE;
    close(fd);
    return TRUE;
}

static int backup_fail(const char *message)
{
    fake_fail(VIR_ERR_OPERATION_FAILED, 0, message);
    return -1;
}

/* Serves @disk at the socket. live_end_backup() ends the server. */
static gboolean backup_serve(const char *live, const char *disk, const char *socket,
                             const char *export)
{
    g_autofree char *pid_file = g_strconcat(live, ".pid", NULL), *pid = NULL;
    const char *argv[] = {"qemu-nbd", "--fork",     "--persistent", "--shared=16", "--read-only",
                          "-f",       "raw",        "-x",           export,        "-k",
                          socket,     "--pid-file", pid_file,       disk,          NULL};
    int status = -1;

    if (!g_spawn_sync(NULL, (char **)argv, NULL,
                      G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                      NULL, NULL, NULL, NULL, &status, NULL) ||
        status != 0 || !g_file_get_contents(pid_file, &pid, NULL, NULL))
        return FALSE;
    live_set(live, "server", g_strstrip(pid));
    return TRUE;
}

static int backup_start(const char *live, const char *disk, const char *xml)
{
    g_auto(GStrv) exports = document_values(xml, "exportname");
    g_auto(GStrv) sockets = document_values(xml, "socket"), files = document_values(xml, "file");
    g_autofree char *list = g_strjoinv(";", files);
    g_autofree char *present = live_get(live, "backup");

    if (present)
        return backup_fail("cannot acquire state change lock");
    for (char **file = files; *file; file++)
        if (!file_make(*file))
            return backup_fail("Failed to create the scratch file");
    if (!sockets[0] ||
        (disk ? !backup_serve(live, disk, sockets[0], exports[0]) : !file_make(sockets[0])))
        return backup_fail("Failed to bind socket");
    live_set(live, "scratch", list);
    live_set(live, "backup", sockets[0]);
    return 0;
}

int virDomainBackupBegin(virDomainPtr domain, const char *xml, const char *checkpoint,
                         unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live"), *copy = fake_text(domain, "backup-xml");
    g_autofree char *disk = fake_text(domain, "backup-nbd");

    if (!fake_enter(__func__))
        return -1;
    if (flags || (copy && !g_file_set_contents(copy, xml, -1, NULL)))
        abort();
    if (!fake_checkpoint_begin(live, xml, checkpoint) || backup_start(live, disk, xml) < 0)
        return -1;
    fake_checkpoint_add(live, checkpoint);
    fake_leave(__func__);
    return 0;
}

char *virDomainBackupGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live");
    g_autofree char *socket = live ? live_get(live, "backup") : NULL;
    g_autoptr(GString) xml = g_string_new("<domainbackup mode='pull'><server transport='unix'");

    if (!fake_enter(__func__))
        return NULL;
    if (!socket) {
        fake_fail(VIR_ERR_NO_DOMAIN_BACKUP, 0, "no domain backup job present");
        return NULL;
    }
    g_string_append_printf(xml, " socket='%s'/></domainbackup>", socket);
    return strdup(xml->str);
}

int virDomainAbortJob(virDomainPtr domain)
{
    g_autofree char *live = fake_text(domain, "live");

    if (!fake_enter(__func__))
        return -1;
    if (!live_end_backup(live)) {
        fake_fail(VIR_ERR_OPERATION_INVALID, 0, "no job is active on the domain");
        return -1;
    }
    fake_leave(__func__);
    return 0;
}
