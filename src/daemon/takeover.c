/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cisternd --check-takeover. It reports the process that manages the storage of this host and the
 * listeners at cisternd's sockets. It also reports the enabled units that would restart libvirt's
 * daemons, the storage driver of libvirtd, and the definitions that would be lost. It reads only
 * the files below the root, and connects to the sockets. It does not query the service manager, so
 * that the check works in a chroot, with --root and before systemd runs.
 *
 * A line begins with "ok", "note" or "problem". A note does not prevent the start. A problem means
 * that the daemon would not start, would be stopped by another program, or would lack an existing
 * pool.
 */
#include "takeover.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/file.h>
#include <base/i18n.h>
#include <base/text.h>
#include <service/takeover.h>
#include <store/driver_lock.h>
#include <store/secret_values.h>

#include "libvirt_driver.h"

typedef struct {
    const CstPaths *paths;
    const DaemonConfig *config;
    const char *root; /* "/" without --root */
    FILE *out;
    guint problems;
    char *driver;              /* libvirt's storage driver; NULL: not installed */
    gboolean asks_us;          /* that driver is Cistern's */
    gboolean reported_secrets; /* check_secret_driver() has reported its problem */
} Check;

static void takeover_report_line(Check *check, const char *word, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void takeover_report_line(Check *check, const char *word, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = cst_text_vformat(format, arguments);
    va_end(arguments);
    fprintf(check->out, "%-7s %s\n", word, text);
    if (strcmp(word, "problem") == 0)
        check->problems++;
}

static void check_lock(Check *check)
{
    g_autofree char *holder = cst_driver_lock_holder(check->paths, CST_DRIVER_STORAGE);

    if (holder)
        takeover_report_line(check, "problem",
                             _("%s manages the storage (it holds '%s/driver.pid'); stop it"),
                             holder, check->paths->pool_run_dir);
    else
        takeover_report_line(check, "ok",
                             _("no daemon manages the storage: '%s/driver.pid' is not locked"),
                             check->paths->pool_run_dir);
}

/* --- sockets --------------------------------------------------------------------------------- */

/* A listener whose queue is full. The kernel reports its process only for a connection. */
#define BUSY_LISTENER ((pid_t)-1)

/*
 * Returns the PID of the process that called listen(2) at @path. Returns BUSY_LISTENER if its queue
 * is full, and 0 if no process answers.
 */
static pid_t listener_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    g_auto(CstFd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 ||
        g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
        return 0;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return errno == EAGAIN ? BUSY_LISTENER : 0;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ? 0 : peer.pid;
}

static char *takeover_process_name(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
    char *command = NULL;

    return g_file_get_contents(path, &command, NULL, NULL) ? g_strchomp(command) : g_strdup("?");
}

/* Reports the listener at @path. @ours: cisternd would listen there. */
static void check_socket(Check *check, const char *path, gboolean ours)
{
    pid_t pid = listener_of(path);
    g_autofree char *command = pid > 0 ? takeover_process_name(pid) : NULL;

    /* PID 1 listens for every socket unit, so the unit is unknown. */
    if (pid == 1 && ours)
        takeover_report_line(
            check, "note",
            _("systemd listens at '%s': for cisternd.socket, or stop virtstoraged's"), path);
    else if (pid > 0 && ours)
        takeover_report_line(check, "problem", _("process %d (%s) listens at '%s'; stop it"),
                             (int)pid, command, path);
    else if (pid == BUSY_LISTENER && ours)
        takeover_report_line(check, "problem",
                             _("a program listens at '%s' and is too busy to answer; stop it"),
                             path);
    else if (pid > 0 && !check->asks_us)
        takeover_report_line(
            check, "note",
            _("process %d (%s) listens at '%s': clients of qemu:///system find no pools there "
              "once the storage is Cistern's; they find them at storage:///system"),
            (int)pid, command, path);
    else if (ours && access(path, F_OK) == 0)
        takeover_report_line(
            check, "ok", _("'%s' is stale, because no program answers; a start would replace it"),
            path);
    else if (ours)
        takeover_report_line(check, "ok", _("'%s' is free"), path);
}

static void check_sockets(Check *check)
{
    g_autofree char *libvirt = g_build_filename(check->paths->run_dir, "libvirt-sock", NULL);

    check_socket(check, check->paths->socket, TRUE);
    if (check->paths->socket_ro)
        check_socket(check, check->paths->socket_ro, TRUE);
    check_socket(check, libvirt, FALSE);
}

/* --- enabled units ---------------------------------------------------------------------------- */

/*
 * libvirtd refuses to start while another process holds the lock of the secrets. Reports that once,
 * however many units of libvirtd are enabled.
 */
static void check_secret_driver(Check *check)
{
    g_autofree char *driver = libvirt_driver_find(check->root, "secret");

    if (check->config->leave_secrets || check->reported_secrets || !driver)
        return;
    check->reported_secrets = TRUE;
    takeover_report_line(check, "problem",
                         _("libvirtd manages the secrets, and does not start while cisternd holds "
                           "their lock; set serve = no under [secrets] in cisternd.conf"));
}

static void check_unit(Check *check, const char *target, const char *unit)
{
    g_autofree char *link = g_build_filename(check->root, "etc/systemd/system", target, unit, NULL);
    gboolean libvirtd = g_str_has_prefix(unit, "libvirtd");

    if (!g_file_test(link, G_FILE_TEST_IS_SYMLINK))
        return;
    if (libvirtd)
        check_secret_driver(check);
    if (libvirtd && check->asks_us)
        return;
    if (libvirtd && !check->driver)
        takeover_report_line(
            check, "note", _("%s is enabled; libvirtd has no storage driver, so that is no matter"),
            unit);
    else if (libvirtd)
        takeover_report_line(
            check, "problem",
            _("%s is enabled: libvirtd would be started, for a client or at boot, and one of the "
              "two "
              "would not get the storage; systemctl disable --now %s, or take its storage driver "
              "away (see cisternd(8))"),
            unit, unit);
    else
        takeover_report_line(check, "problem", _("%s is enabled; systemctl disable --now %s"), unit,
                             unit);
}

/*
 * Finds only enabled units, by the links that "systemctl enable" makes. A running daemon is found
 * by its lock or socket.
 */
static void check_units(Check *check)
{
    static const char *const targets[] = {"sockets.target.wants", "multi-user.target.wants"};
    static const char *const units[] = {
        "libvirtd.service",    "libvirtd.socket",        "libvirtd-ro.socket",
        "libvirtd-tcp.socket", "libvirtd-tls.socket",    "virtstoraged.service",
        "virtstoraged.socket", "virtstoraged-ro.socket",
    };
    guint before = check->problems;

    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(units); j++)
            check_unit(check, targets[i], units[j]);
    if (check->problems == before)
        takeover_report_line(check, "ok",
                             _("no unit of libvirt's is enabled that would take the storage back"));
}

/* --- libvirt's driver ------------------------------------------------------------------------- */

/* Reports whether libvirtd asks cisternd, and the dangers to that. */
static void check_driver(Check *check)
{
    g_autofree char *diversion = NULL;
    g_autofree char *version = NULL;

    if (!check->asks_us)
        return;
    takeover_report_line(check, "ok", _("libvirtd asks cisternd: '%s' is Cistern's driver"),
                         check->driver);
    diversion = libvirt_driver_diversion_problem(check->root, check->driver);
    version = libvirt_driver_version_problem(check->root, check->driver);
    if (diversion)
        takeover_report_line(check, "problem", "%s", diversion);
    if (version)
        takeover_report_line(check, "problem", "%s", version);
}

/* --- definitions ------------------------------------------------------------------------------ */

static void check_definitions(Check *check)
{
    guint count;
    g_autoptr(GPtrArray) problems = cst_takeover_definitions(check->paths, &count);

    for (guint i = 0; i < problems->len; i++)
        takeover_report_line(check, "problem", "%s", (const char *)g_ptr_array_index(problems, i));
    takeover_report_line(check, "ok", _("%u of %u pool definitions in '%s' would be there"),
                         count - problems->len, count, check->paths->pool_dir);
}

/* --- secrets ---------------------------------------------------------------------------------- */

/*
 * The lock of the secrets: with serve = yes cisternd and libvirt's daemons exclude each other.
 * Sealed values matter for a return to libvirt, which ignores them.
 */
static void check_secrets(Check *check)
{
    guint sealed = cst_secret_values_sealed(check->paths);
    g_autofree char *holder = check->config->leave_secrets
                                  ? NULL
                                  : cst_driver_lock_holder(check->paths, CST_DRIVER_SECRET);

    if (holder)
        takeover_report_line(check, "note",
                             _("%s manages the secrets (it holds '%s/driver.pid'), and cisternd "
                               "would start without them"),
                             holder, check->paths->secret_run_dir);

    if (sealed > 0)
        takeover_report_line(
            check, "note",
            _("%u values of secrets are sealed, which libvirt cannot read: before going back, "
              "cistern secret-unseal --all"),
            sealed);
}

gboolean daemon_check_takeover(const CstPaths *paths, const DaemonConfig *config, FILE *out)
{
    Check check = {
        .paths = paths, .config = config, .root = paths->root ? paths->root : "/", .out = out};

    check.driver = paths->session ? NULL : libvirt_driver_find(check.root, "storage");
    check.asks_us = check.driver && libvirt_driver_is_ours(check.root, check.driver);
    check_lock(&check);
    check_sockets(&check);
    if (!paths->session)
        check_units(&check);
    check_driver(&check);
    check_definitions(&check);
    check_secrets(&check);
    g_free(check.driver);
    if (check.problems == 0)
        fprintf(out, "%s\n", _("No obstacle was found."));
    else
        fprintf(out, _("%u problems stand in the way.\n"), check.problems);
    return check.problems == 0;
}
