/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The background process executes this program again. It is not created by fork() alone, because
 * threads, locks and connections of this process would be in an undefined state. An environment
 * variable gives it the descriptor of a pipe, to which it writes its job number.
 */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#define VARIABLE "CISTERN_BACKGROUND"
#define CHILD_FD 3
#define PROGRAM  "/proc/self/exe"

/* --- the command line ------------------------------------------------------------------------- */

static void add_value(GPtrArray *argv, const char *option, const char *value)
{
    if (value)
        g_ptr_array_add(argv, g_strdup_printf("--%s=%s", option, value));
}

static void add_switch(GPtrArray *argv, const char *option, gboolean given)
{
    if (given)
        g_ptr_array_add(argv, g_strdup_printf("--%s", option));
}

void cli_settings_add(GPtrArray *argv, const CliCtl *ctl)
{
    const CliSettings *settings = &ctl->settings;

    add_value(argv, "connect", ctl->connected_uri);
    add_value(argv, "root", settings->root);
    add_switch(argv, "embedded", settings->embedded);
    add_switch(argv, "readonly", settings->read_only);
    add_switch(argv, "json", settings->json);
    add_switch(argv, "bytes", settings->bytes);
    add_switch(argv, "yes", settings->yes);
    add_switch(argv, "no-input", settings->no_input);
    add_switch(argv, "no-config", settings->no_config);
    add_switch(argv, "quiet", settings->quiet);
}

/* The first element is the file to execute, the second is argv[0]. */
static GPtrArray *make_argv(const CliCtl *ctl, const CliArgs *args)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(argv, g_strdup(PROGRAM));
    g_ptr_array_add(argv, g_strdup("cistern"));
    cli_settings_add(argv, ctl);
    g_ptr_array_add(argv, g_strdup(args->command->name));
    for (guint i = 0; i < args->items->len; i++) {
        const CliArg *item = &g_array_index(args->items, CliArg, i);

        /* The background process reads the configuration itself. */
        if (item->origin)
            continue;
        if (item->option->kind == CLI_OPT_BOOL)
            add_switch(argv, item->option->name, TRUE);
        else
            add_value(argv, item->option->name, item->value);
    }
    g_ptr_array_add(argv, NULL);
    return argv;
}

/* --- signals ---------------------------------------------------------------------------------- */

/* A signal handler has access to static variables only. */
static volatile pid_t other;

/*
 * The terminal has already sent its signals to the background process too. Forward only the rest.
 */
static void pass_on(int number, siginfo_t *info, void *context)
{
    if (info->si_code != SI_KERNEL)
        kill(other, number);
}

static const int passed[] = {SIGINT, SIGTERM};

static void pass_signals(struct sigaction *ret_old)
{
    struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_RESTART | SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    for (gsize i = 0; i < G_N_ELEMENTS(passed); i++)
        sigaction(passed[i], &action, &ret_old[i]);
}

static void restore_signals(const struct sigaction *old)
{
    for (gsize i = 0; i < G_N_ELEMENTS(passed); i++)
        sigaction(passed[i], &old[i], NULL);
}

/* --- starting --------------------------------------------------------------------------------- */

static gboolean background_spawn(const CliCtl *ctl, const CliArgs *args, int fd, GPid *ret_pid,
                                 GError **error)
{
    const int target = CHILD_FD;
    g_autoptr(GPtrArray) argv = make_argv(ctl, args);
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), VARIABLE, G_STRINGIFY(CHILD_FD), TRUE);
    g_autoptr(GError) why = NULL;

    return g_spawn_async_with_pipes_and_fds(
               NULL, (const char *const *)argv->pdata, (const char *const *)env,
               G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_FILE_AND_ARGV_ZERO |
                   G_SPAWN_CHILD_INHERITS_STDIN,
               NULL, NULL, -1, -1, -1, &fd, &target, 1, ret_pid, NULL, NULL, NULL, &why) ||
           cst_fail(error, CST_ERROR_FAILED, _("cannot run '%s' in the background: %s"), PROGRAM,
                    why->message);
}

/* Return: the job number from the pipe; 0 if the background process ended without sending one. */
static uint64_t background_read_job(int fd)
{
    char text[32] = "";
    size_t len = 0;
    ssize_t n;

    do {
        n = read(fd, text + len, sizeof(text) - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && len < sizeof(text) - 1) || (n < 0 && errno == EINTR));
    return g_ascii_strtoull(text, NULL, 10);
}

static CstExitStatus exit_status(GPid pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? (CstExitStatus)WEXITSTATUS(status) : CST_EXIT_FAILED;
}

static gpointer background_reap(gpointer pid)
{
    exit_status(GPOINTER_TO_INT(pid));
    return NULL;
}

gboolean cli_background_start(const CliCtl *ctl, const CliArgs *args, uint64_t *ret_job,
                              CstExitStatus *ret_status, GError **error)
{
    struct sigaction old[G_N_ELEMENTS(passed)];
    int ends[2];
    gboolean started;
    GPid pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return cst_fail_errno(error, errno, "%s", _("cannot make a pipe"));
    fflush(ctl->out);
    started = background_spawn(ctl, args, ends[1], &pid, error);
    close(ends[1]);
    if (started) {
        other = pid;
        pass_signals(old);
        *ret_job = background_read_job(ends[0]);
        *ret_status = *ret_job ? CST_EXIT_OK : exit_status(pid);
        restore_signals(old);
        /* The shell does not exit, so a thread must wait for the child. */
        if (*ret_job && ctl->in_shell)
            g_thread_unref(g_thread_new("reap", background_reap, GINT_TO_POINTER(pid)));
    }
    close(ends[0]);
    return started;
}

/* --- the background process ------------------------------------------------------------------- */

int cli_background_take(void)
{
    const char *text = g_getenv(VARIABLE);
    struct stat st;
    guint64 fd = 0;
    gboolean ok = text && g_ascii_string_to_unsigned(text, 10, CHILD_FD, CHILD_FD, &fd, NULL) &&
                  fstat((int)fd, &st) == 0 && S_ISFIFO(st.st_mode);

    g_unsetenv(VARIABLE);
    if (!ok || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return (int)fd;
}

void cli_background_leave(int background, int report, uint64_t job)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n", job);
    g_auto(CstFd) null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int out = report >= 0 ? report : null;

    /* The reader of the number may have exited, and the terminal may be closed. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    setsid();
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    if (out >= 0) {
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
    }
    while (write(background, text, strlen(text)) < 0 && errno == EINTR)
        continue;
    close(background);
}
