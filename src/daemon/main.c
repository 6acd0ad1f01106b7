/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cisternd: options, configuration, start, signals, end.
 *
 * Order of the start (daemon_run_service()): signals are blocked before any thread exists, so that
 * only sigwait() in the main thread receives them. The service first acquires the driver lock,
 * which excludes a second manager of the root, and replays the journal. Then the sockets are
 * opened. Only then pools start in the background and clients are accepted. READY is reported when
 * connections are accepted.
 *
 * Order of the end: jobs are cancelled or left to the next daemon, and the socket files are
 * removed. Then connections are closed, their calls are cancelled, and the driver lock is released.
 * The end takes at most STOP_SECONDS (end_in_time()), because a call into storage that does not
 * answer cannot be ended. The kernel may keep its thread even then, so the connections and the
 * driver lock are released first.
 */
#include <errno.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error_class.h>
#include <base/file.h>
#include <base/foreign.h>
#include <base/i18n.h>
#include <base/locale.h>
#include <base/log.h>
#include <base/secret_bytes.h>
#include <server/server.h>
#include <service/audit.h>
#include <service/events.h>
#include <service/extend.h>
#include <service/secrets.h>
#include <service/service.h>
#include <store/driver_lock.h>
#include <store/paths.h>

#include "config.h"
#include "notify.h"
#include "schedules.h"
#include "sockets.h"
#include "takeover.h"
#include "usage.h"

/*
 * After this time the process exits even if threads still run. Storage is then in the state of a
 * crash, which the next start repairs. Documented in cisternd(8).
 */
#define STOP_SECONDS 10

typedef struct {
    char *root;
    char *config;
    char *packaged; /* file of packaged settings; NULL: for the daemon of a user */
    gboolean verbose, debug, version, check_takeover;
} Options;

static void options_clear(Options *options)
{
    g_free(options->root);
    g_free(options->config);
    g_free(options->packaged);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static gboolean daemon_parse_options(int *argc, char ***argv, Options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"root", 0, 0, G_OPTION_ARG_FILENAME, &options->root,
         N_("Keep definitions, state and sockets below DIR"), N_("DIR")},
        {"config", 0, 0, G_OPTION_ARG_FILENAME, &options->config,
         N_("Read FILE instead of etc/cistern/cisternd.conf"), N_("FILE")},
        {"check-takeover", 0, 0, G_OPTION_ARG_NONE, &options->check_takeover,
         N_("List the obstacles to a start in libvirt's place; change no file"), NULL},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, N_("Log every operation"), NULL},
        {"debug", 0, 0, G_OPTION_ARG_NONE, &options->debug, N_("Log everything"), NULL},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &options->version, N_("Print the version"), NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_add_main_entries(context, entries, CST_TEXT_DOMAIN);
    g_option_context_set_summary(
        context, _("Manages storage pools and volumes and answers libvirt's clients at\n"
                   "run/libvirt/virtstoraged-sock. Runs in the foreground."));
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (*argc > 1)
        return cst_fail(error, CST_ERROR_USAGE, _("unexpected argument '%s', see --help"),
                        (*argv)[1]);
    return TRUE;
}

static void daemon_set_log_level(const Options *options, const DaemonConfig *config)
{
    if (options->debug)
        cst_log_set_level(CST_LOG_DEBUG);
    else if (options->verbose)
        cst_log_set_level(MAX(CST_LOG_INFO, config->log_level));
    else
        cst_log_set_level(config->log_level);
}

/* Raises the limit of descriptors: a connection uses one, a stream two, and the default is 1024. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    /*
     * Limit the malloc arenas: each one keeps the memory that its threads free. With dozens of
     * workers that would be most of the memory in use.
     */
    mallopt(M_ARENA_MAX, 2);
}

static void block_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGHUP);
    /* Block before any thread is made, because threads inherit the mask. */
    pthread_sigmask(SIG_BLOCK, ret_set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/*
 * Reads the configuration again (SIGHUP). Only the log level takes effect. Other differences from
 * @used, the configuration of the start, are logged. A file with an error changes nothing.
 */
static void daemon_reload_config(const char *path, const Options *options, const DaemonConfig *used)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *changes = NULL;
    g_auto(DaemonConfig) config = {0};

    if (!daemon_config_load(options->packaged, path, options->config != NULL, &config, &error)) {
        cst_log(CST_LOG_ERROR, _("the configuration is not read again: %s"), error->message);
        return;
    }
    daemon_set_log_level(options, &config);
    cst_log(CST_LOG_INFO, _("read %s again"), path);
    changes = daemon_config_changes(used, &config);
    if (changes)
        cst_log(CST_LOG_WARNING, _("%s: these changes need a restart: %s"), path, changes);
}

static void wait_for_end(const sigset_t *signals, const char *path, const Options *options,
                         const DaemonConfig *used)
{
    int signal_number;

    for (;;) {
        if (sigwait(signals, &signal_number) != 0)
            continue;
        if (signal_number != SIGHUP)
            break;
        daemon_reload_config(path, options, used);
    }
    cst_log(CST_LOG_INFO, _("stopping: %s"), strsignal(signal_number));
    /* A second signal ends the process at once. */
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
}

/*
 * Shuts down all connections. A thread in the kernel keeps the descriptors of the process open, so
 * the clients would otherwise wait for ever. Listening sockets stay open, because systemd has them,
 * too.
 */
static void end_connections(void)
{
    g_auto(GStrv) fds = cst_kernel_list("/proc/self/fd");

    for (char **name = fds; *name; name++) {
        int fd = (int)g_ascii_strtoll(*name, NULL, 10), listens = 0;
        socklen_t len = sizeof(listens);

        if (fd > STDERR_FILENO && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 &&
            !listens)
            shutdown(fd, SHUT_RDWR);
    }
}

/* Thread function of end_in_time(). Owns @data, the CstPaths. */
static gpointer end_late(gpointer data)
{
    g_autoptr(CstPaths) paths = data;

    g_usleep(STOP_SECONDS * G_USEC_PER_SEC);
    cst_log(CST_LOG_WARNING, _("storage does not answer: stopping without it; the next start "
                               "finishes the interrupted work"));
    end_connections();
    cst_driver_locks_give_up(paths);
    /* Use _exit(), because exit handlers would wait for the hanging threads. */
    _exit(CST_EXIT_OK);
    return NULL;
}

/*
 * Starts a thread that ends the process after STOP_SECONDS. A call that hangs in the kernel or in a
 * library cannot be ended otherwise.
 */
static void end_in_time(const CstPaths *paths)
{
    GThread *thread = g_thread_try_new("end", end_late, cst_paths_copy(paths), NULL);

    if (thread)
        g_thread_unref(thread);
}

/*
 * Serves virtsecretd's sockets and manages the secrets, because libvirt's daemons connect there for
 * secrets. If another program already does so, the daemon starts without secrets. With
 * [secrets] serve = no the daemon never acquires the lock, because libvirtd refuses to start while
 * another process holds it.
 */
static void offer_secrets(CstService *service, const CstPaths *paths, const DaemonConfig *config,
                          GPtrArray *sockets)
{
    DaemonSecrets from = daemon_sockets_secrets(sockets);
    g_autoptr(GError) error = NULL;

    if (config->leave_secrets) {
        if (daemon_sockets_drop_secrets(sockets))
            cst_log(CST_LOG_WARNING, "%s",
                    _("[secrets] serve is \"no\", so the passed sockets of secrets are not served; "
                      "mask cisternd-secret.socket and cisternd-secret-ro.socket"));
        return;
    }
    if (from == DAEMON_SECRETS_LEFT)
        return;
    if (cst_service_manage_secrets(service, &error) &&
        (from == DAEMON_SECRETS_PASSED ||
         daemon_sockets_add_secrets(paths, config, sockets, &error)))
        return;
    /*
     * Serve the passed sockets even so: systemd listens on them, and clients would wait for ever.
     */
    if (from == DAEMON_SECRETS_PASSED) {
        cst_log(CST_LOG_WARNING, _("secrets can't be changed here for now: %s"), error->message);
        return;
    }
    cst_log(CST_LOG_WARNING, _("'%s' is not served: %s"), paths->secret_socket, error->message);
    cst_service_leave_secrets(service);
}

static CstWireServer *daemon_start_server(CstService *service, const CstPaths *paths,
                                          const DaemonConfig *config, GPtrArray *sockets,
                                          GError **error)
{
    CstWireServer *server;
    CstWireOptions wire;

    cst_wire_options_init(&wire);
    wire.session = paths->session;
    wire.etc_dir = paths->etc_dir;
    daemon_config_limits(config, &wire);
    server = cst_wire_server_new(service, &wire, error);
    for (guint i = 0; server && i < sockets->len; i++) {
        const DaemonSocket *s = g_ptr_array_index(sockets, i);

        cst_wire_server_listen(server, s->fd, s->read_only);
    }
    return server;
}

static void log_sockets(GPtrArray *sockets)
{
    for (guint i = 0; i < sockets->len; i++) {
        const DaemonSocket *s = g_ptr_array_index(sockets, i);

        cst_log(CST_LOG_INFO, s->read_only ? _("serving at %s, for reading") : _("serving at %s"),
                s->path ? s->path : _("a socket of the service manager"));
    }
}

static gboolean daemon_run_service(const CstPaths *paths, const char *config_path,
                                   const Options *options, GError **error)
{
    g_auto(DaemonConfig) config = {0};
    /* Freed before the configuration, which it borrows. */
    g_autoptr(CstService) service = NULL;
    g_autoptr(CstWireServer) server = NULL;
    g_autoptr(GPtrArray) sockets = NULL;
    sigset_t signals;

    if (!daemon_config_load(options->packaged, config_path, options->config != NULL, &config,
                            error))
        return FALSE;
    daemon_set_log_level(options, &config);
    if (config.core_dumps)
        cst_secret_process_allow_dumps();
    cst_secret_process_protect();
    raise_limits();
    block_signals(&signals);
    service = cst_service_new(paths, CST_SERVICE_DAEMON, error);
    if (!service)
        return FALSE;
    sockets = daemon_sockets_open(paths, &config, error);
    if (!sockets)
        return FALSE;
    /* Set these before pools start, because the first refresh depends on them. */
    cst_service_set_like_libvirt(service, config.like_libvirt);
    if (config.copies)
        cst_service_set_copies(service, config.copies);
    if (config.audit_mib)
        cst_service_set_audit_limit(service, config.audit_mib);
    cst_service_set_notify(service, config.notify);
    cst_service_set_hypervisor(service, (const char *const *)config.hypervisor,
                               config.backup_scratch);
    cst_service_set_secret_policy(service, &config.secrets);
    offer_secrets(service, paths, &config, sockets);
    cst_service_start(service);
    server = daemon_start_server(service, paths, &config, sockets, error);
    if (server) {
        DaemonSchedules *schedules = daemon_schedules_start(service, paths);
        DaemonUsage *usage = daemon_usage_start(service);
        CstExtender *extender = cst_extender_start(service);

        log_sockets(sockets);
        daemon_notify("READY=1");
        wait_for_end(&signals, config_path, options, &config);
        daemon_notify("STOPPING=1");
        end_in_time(paths);
        cst_extender_stop(extender);
        daemon_schedules_stop(schedules);
        daemon_usage_stop(usage);
        cst_service_stop(service);
    }
    /*
     * Remove the files while the driver lock is still held, so that they cannot belong to the next
     * daemon.
     */
    daemon_sockets_remove(sockets);
    return server != NULL;
}

static int daemon_report_failure(const GError *error)
{
    g_autofree char *text = cst_error_text(error);

    cst_log(CST_LOG_ERROR, "cisternd: %s", text);
    if (error->domain == G_OPTION_ERROR)
        return CST_EXIT_USAGE;
    return (int)cst_error_info(cst_error_code(error))->exit;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPaths) paths = NULL;
    g_autofree char *config_path = NULL;
    g_auto(Options) options = {0};
    int status;

    cst_service_run_helper(argc, argv);
    setlocale(LC_ALL, "");
    cst_bind_locale();
    cst_log_init();
    umask(022);
    if (!daemon_parse_options(&argc, &argv, &options, &error))
        return daemon_report_failure(error);
    /*
     * Log and errors for clients are in English in every locale, because people search logs and
     * clients have their own locale.
     */
    setlocale(LC_MESSAGES, "C");
    if (options.version) {
        printf("cisternd %s\n", CST_VERSION);
        return CST_EXIT_OK;
    }
    paths = cst_paths_new(options.root);
    config_path = options.config ? g_strdup(options.config) : cst_paths_daemon_config(paths);
    options.packaged = cst_paths_packaged_config(paths);
    if (options.check_takeover) {
        g_auto(DaemonConfig) config = {0};

        if (!daemon_config_load(options.packaged, config_path, options.config != NULL, &config,
                                &error))
            return daemon_report_failure(error);
        return daemon_check_takeover(paths, &config, stdout) ? CST_EXIT_OK : CST_EXIT_CONFLICT;
    }
    status = daemon_run_service(paths, config_path, &options, &error)
                 ? CST_EXIT_OK
                 : daemon_report_failure(error);
    cst_foreign_end(status);
    return status;
}
