/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* State of a domain that several processes change (see the header). */
#include "live.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define GROUP "live"

typedef struct {
    const char *path;
    GKeyFile *file;
    int lock;
} Live;

static Live live_open(const char *path)
{
    g_autofree char *lock = g_strconcat(path, ".lock", NULL);
    Live live = {.path = path, .file = g_key_file_new()};

    live.lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (live.lock < 0 || flock(live.lock, LOCK_EX) < 0)
        abort();
    g_key_file_load_from_file(live.file, path, G_KEY_FILE_NONE, NULL);
    return live;
}

static void live_close(Live *live, gboolean changed)
{
    if (changed && !g_key_file_save_to_file(live->file, live->path, NULL))
        abort();
    g_key_file_unref(live->file);
    close(live->lock);
}

static gboolean live_is(const Live *live, const char *key, const char *value)
{
    g_autofree char *text = g_key_file_get_string(live->file, GROUP, key, NULL);

    return g_strcmp0(text, value) == 0;
}

char *live_get(const char *path, const char *key)
{
    Live live = live_open(path);
    char *value = g_key_file_get_string(live.file, GROUP, key, NULL);

    live_close(&live, FALSE);
    return value;
}

int live_get_number(const char *path, const char *key)
{
    g_autofree char *text = live_get(path, key);

    return text ? atoi(text) : 0;
}

void live_set(const char *path, const char *key, const char *value)
{
    Live live = live_open(path);

    if (value)
        g_key_file_set_string(live.file, GROUP, key, value);
    else
        g_key_file_remove_key(live.file, GROUP, key, NULL);
    live_close(&live, TRUE);
}

void live_set_number(const char *path, const char *key, int value)
{
    g_autofree char *text = g_strdup_printf("%d", value);

    live_set(path, key, text);
}

static void live_add_event(Live *live, const char *event)
{
    g_autofree char *before = g_key_file_get_string(live->file, GROUP, "events", NULL);
    g_autofree char *after = g_strconcat(before ? before : "", event, NULL);

    if (!live_is(live, "silent", "yes"))
        g_key_file_set_string(live->file, GROUP, "events", after);
}

/* Changes the state from @from to @to. */
static gboolean live_change(const char *path, const char *from, const char *to, const char *event)
{
    Live live = live_open(path);
    gboolean changes = live_is(&live, "state", from);

    if (changes) {
        g_key_file_set_string(live.file, GROUP, "state", to);
        live_add_event(&live, event);
    }
    live_close(&live, changes);
    return changes;
}

gboolean live_suspend(const char *path)
{
    return live_change(path, "running", "paused", "S");
}

/* The write of a guest that an I/O error has paused fails again while its backup is on. */
gboolean live_resume(const char *path)
{
    g_autofree char *backup = live_get(path, "backup");

    return live_change(path, "paused", "running", "R") ||
           (!backup && live_change(path, "ioerror", "running", "R"));
}

void live_report(const char *path, const char *event)
{
    Live live = live_open(path);

    live_add_event(&live, event);
    live_close(&live, TRUE);
}

void live_io_error(const char *path)
{
    live_change(path, "running", "ioerror", "NS");
}

gboolean live_end_backup(const char *path)
{
    Live live = live_open(path);
    gboolean on = g_key_file_remove_key(live.file, GROUP, "backup", NULL);
    g_auto(GStrv) scratch = g_key_file_get_string_list(live.file, GROUP, "scratch", NULL, NULL);
    int server = g_key_file_get_integer(live.file, GROUP, "server", NULL);

    if (on && server > 0)
        kill(server, SIGKILL);
    g_key_file_remove_key(live.file, GROUP, "server", NULL);
    for (char **file = scratch; on && file && *file; file++)
        unlink(*file);
    if (on)
        live_add_event(&live, "J");
    live_close(&live, on);
    return on;
}

int live_freeze(const char *path)
{
    Live live = live_open(path);
    int count = g_key_file_get_integer(live.file, GROUP, "filesystems", NULL);

    if (live_is(&live, "agent", "hung-later"))
        g_key_file_set_string(live.file, GROUP, "agent", "hung");
    if (live_is(&live, "agent", "hung")) {
        g_key_file_set_string(live.file, GROUP, "pending", "yes");
        count = -1;
    } else if (g_key_file_get_integer(live.file, GROUP, "frozen", NULL) > 0) {
        count = -2;
    } else {
        g_key_file_set_integer(live.file, GROUP, "frozen", count);
    }
    live_close(&live, TRUE);
    return count;
}

int live_thaw(const char *path)
{
    Live live = live_open(path);
    int count = -1;

    if (!live_is(&live, "agent", "hung")) {
        count = g_key_file_get_integer(live.file, GROUP, "frozen", NULL);
        g_key_file_set_integer(live.file, GROUP, "frozen", 0);
    }
    live_close(&live, TRUE);
    return count;
}

void live_wake_agent(const char *path)
{
    Live live = live_open(path);

    g_key_file_set_string(live.file, GROUP, "agent", "ok");
    if (live_is(&live, "pending", "yes"))
        g_key_file_set_integer(live.file, GROUP, "frozen",
                               g_key_file_get_integer(live.file, GROUP, "filesystems", NULL));
    g_key_file_remove_key(live.file, GROUP, "pending", NULL);
    live_close(&live, TRUE);
}
