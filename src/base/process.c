/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptions of other processes of this host for messages. All messages about the holder of a
 * file or a device use this wording, so that an administrator can search for one form. A process
 * chooses its command name itself, so the name is cleaned before it is shown.
 *
 * A pid may be reused after it was read. The description is a hint for people, and no decision
 * depends on it.
 *
 * cst_process_is_about() also reports whether a program that another process started still runs.
 */
#include <base/process.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/file.h>
#include <base/i18n.h>

/* The directory in which libvirt's QEMU driver keeps DOMAIN.pid for each running domain. */
#define DOMAINS "/run/libvirt/qemu"
#define PID     ".pid"

/* Replaces characters that are not printable. Takes ownership of @text. */
static char *command_clean(char *text)
{
    g_autofree char *valid = g_utf8_make_valid(g_strchomp(text), -1);
    GString *printable = g_string_new(NULL);

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        g_string_append_unichar(printable, g_unichar_isprint(c) ? c : '?');
    }
    g_free(text);
    return g_string_free(printable, FALSE);
}

char *cst_process_command(int64_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/comm", pid);
    char *command = NULL;

    return g_file_get_contents(path, &command, NULL, NULL) ? command_clean(command) : NULL;
}

uint64_t cst_process_start(int64_t pid, char *ret_state)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/stat", pid);
    g_autofree char *text = pid > 0 ? cst_kernel_read(path) : NULL;
    unsigned long long start = 0;
    const char *rest;
    char state = '\0';

    if (!text)
        return 0;
    /* The second field is a command name with arbitrary characters, so parse after its last ")". */
    rest = strrchr(text, ')');
    if (!rest || sscanf(rest,
                        ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                        "%*d %*d %*d %llu",
                        &state, &start) != 2)
        return 0;
    if (ret_state)
        *ret_state = state;
    return start;
}

int64_t cst_process_parent(int64_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/status", pid);
    g_autofree char *status = NULL;
    const char *line;

    if (!g_file_get_contents(path, &status, NULL, NULL))
        return 0;
    line = strstr(status, "\nPPid:");
    return line ? g_ascii_strtoll(line + strlen("\nPPid:"), NULL, 10) : 0;
}

/* Returns the signal mask in the line @name of proc_pid_status(5). */
static uint64_t signal_mask(const char *status, const char *name)
{
    const char *line = strstr(status, name);

    return line ? g_ascii_strtoull(line + strlen(name), NULL, 16) : 0;
}

/*
 * Whether the thread is ending. exit_group(2) and a fatal signal leave SIGKILL pending in each
 * thread.
 */
static gboolean thread_is_ending(const char *dir, const char *thread)
{
    const uint64_t killed = UINT64_C(1) << (SIGKILL - 1);
    g_autofree char *path = g_build_filename(dir, thread, "status", NULL);
    g_autofree char *status = NULL;

    return !g_file_get_contents(path, &status, NULL, NULL) || strstr(status, "\nState:\tZ") ||
           strstr(status, "\nState:\tX") ||
           ((signal_mask(status, "\nSigPnd:") | signal_mask(status, "\nShdPnd:")) & killed);
}

gboolean cst_process_is_ending(int64_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/task", pid);
    g_autoptr(GDir) dir = pid > 0 ? g_dir_open(path, 0, NULL) : NULL;
    gboolean is_ending = dir != NULL;
    const char *thread;

    while (is_ending && (thread = g_dir_read_name(dir)))
        is_ending = thread_is_ending(path, thread);
    return is_ending;
}

static gboolean holds_pid(const char *file, int64_t pid)
{
    g_autofree char *path = g_build_filename(DOMAINS, file, NULL);
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) && g_ascii_strtoll(text, NULL, 10) == pid;
}

/*
 * Returns the name of the libvirt domain that @pid runs, or NULL. A host runs only a few domains,
 * so their pid files are read one by one.
 */
static char *domain_of(int64_t pid)
{
    g_autoptr(GDir) dir = g_dir_open(DOMAINS, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir)))
        if (g_str_has_suffix(file, PID) && holds_pid(file, pid))
            return command_clean(g_strndup(file, strlen(file) - strlen(PID)));
    return NULL;
}

char *cst_process_describe(int64_t pid)
{
    g_autofree char *command = pid > 0 ? cst_process_command(pid) : NULL;
    g_autofree char *domain = command ? domain_of(pid) : NULL;

    if (pid <= 0)
        return g_strdup(_("another process"));
    if (!command)
        return g_strdup_printf(_("process %d"), (int)pid);
    if (!domain)
        return g_strdup_printf(_("process %d (%s)"), (int)pid, command);
    return g_strdup_printf(_("process %d (%s, domain '%s')"), (int)pid, command, domain);
}

static gboolean is_about(const char *pid, const char *text)
{
    g_autofree char *path = g_build_filename("/proc", pid, "cmdline", NULL);
    g_autofree char *line = NULL;
    gsize len = 0;

    return g_file_get_contents(path, &line, &len, NULL) && memmem(line, len, text, strlen(text));
}

gboolean cst_process_is_about(const char *text)
{
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    const char *pid;

    while (dir && (pid = g_dir_read_name(dir)))
        if (g_ascii_isdigit(*pid) && g_ascii_strtoll(pid, NULL, 10) != getpid() &&
            is_about(pid, text))
            return TRUE;
    return FALSE;
}

gboolean cst_process_runs(const char *name)
{
    g_auto(GStrv) entries = cst_kernel_list("/proc");

    for (char **entry = entries; *entry; entry++) {
        g_autofree char *path = g_build_filename("/proc", *entry, "comm", NULL);
        g_autofree char *comm = g_ascii_isdigit(**entry) ? cst_kernel_read(path) : NULL;

        if (comm && strcmp(g_strchomp(comm), name) == 0)
            return TRUE;
    }
    return FALSE;
}
