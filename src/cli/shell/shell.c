/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interactive shell: on a terminal with editing, history and completion, else a script from
 * stdin. It continues after a failed command.
 *
 * ^C while a line is edited clears the line. The signal wakes the wait for a key through an
 * eventfd, because a flag could be missed right before the wait. While a command runs, the handler
 * of core/interrupt.c is installed. State for readline's callbacks is static, because they have no
 * context.
 */
#include "shell.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <readline_library.h>

#include <base/error_class.h>
#include <base/i18n.h>
#include <base/place.h>

#include "complete.h"
#include "core/words.h"
#include "output/report.h"
#include "output/text.h"
#include "run.h"

#define HISTORY_LINES 500

/* The callbacks of readline have no context argument. */
static CliCtl *shell_ctl;
static GPtrArray *candidates;
static guint next_candidate;

static const char *shell_prompt_text(const CliCtl *ctl)
{
    return ctl->settings.read_only || geteuid() != 0 ? "cistern > " : "cistern # ";
}

/*
 * Return: NULL if the cache directory belongs to another user, as with sudo. History is then not
 * saved.
 */
static char *history_path(void)
{
    g_autofree char *dir = cst_place_cache_dir(NULL);

    return dir ? g_build_filename(dir, "history", NULL) : NULL;
}

/** The words before the cursor, after the last ';'. The last one is being typed, and may be "". */
static char **words_to_cursor(int start)
{
    g_autofree char *before = g_strndup(rl_line_buffer, start);
    g_autofree char *typed = g_strndup(rl_line_buffer + start, rl_point - start);
    g_autoptr(GPtrArray) lines = cli_words_split(before, NULL);
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    gboolean fresh = g_str_has_suffix(g_strchomp(before), ";");

    if (lines && lines->len && !fresh)
        g_strv_builder_addv(words, g_ptr_array_index(lines, lines->len - 1));
    g_strv_builder_add(words, typed);
    return g_strv_builder_end(words);
}

static char *give_candidate(const char *text, int state)
{
    if (state == 0)
        next_candidate = 0;
    if (!candidates || next_candidate >= candidates->len)
        return NULL;
    /* readline frees the result with free(). */
    return strdup(g_ptr_array_index(candidates, next_candidate++));
}

static char **shell_complete_word(const char *text, int start, int end)
{
    g_auto(GStrv) words = words_to_cursor(start);
    gboolean files;

    g_clear_pointer(&candidates, g_ptr_array_unref);
    candidates = cli_complete_line(shell_ctl, (int)g_strv_length(words), words, FALSE, &files);
    /* Without this, readline completes file names if the program has no candidates. */
    rl_attempted_completion_over = !files;
    /* A word that ends in '/' is a pool. The name of a volume follows, so no blank is added. */
    rl_completion_append_character =
        candidates->len == 1 && g_str_has_suffix(candidates->pdata[0], "/") ? '\0' : ' ';
    return candidates->len ? rl_completion_matches(text, give_candidate) : NULL;
}

/* Readable after ^C. A flag would be missed if the signal came right before the wait for a key. */
static int interrupts = -1;

static void on_interrupt(int number)
{
    const uint64_t one = 1;
    int before = errno;

    /* write() fails only if the counter is at its maximum. */
    (void)!write(interrupts, &one, sizeof(one));
    errno = before;
}

/* As in other shells: the typed text stays on the screen, and the next prompt is empty. */
static void clear_line(void)
{
    fputs("^C\n", rl_outstream);
    rl_replace_line("", 1);
    rl_on_new_line();
    rl_redisplay();
}

static int next_key(FILE *stream)
{
    uint64_t count;

    for (;;) {
        struct pollfd fds[] = {{.fd = fileno(stream), .events = POLLIN},
                               {.fd = interrupts, .events = POLLIN}};

        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno == EINTR)
            continue;
        if (!(fds[1].revents & POLLIN) || read(interrupts, &count, sizeof(count)) < 0)
            return rl_getc(stream);
        clear_line();
    }
}

/* readline() with a SIGINT handler that clears the line. Commands install their own handlers. */
static char *shell_read_line(const CliCtl *ctl)
{
    struct sigaction action = {.sa_handler = on_interrupt}, old;
    char *line;

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &old);
    line = readline(shell_prompt_text(ctl));
    sigaction(SIGINT, &old, NULL);
    return line;
}

static void start_readline(CliCtl *ctl, const char *history)
{
    shell_ctl = ctl;
    rl_readline_name = "cistern";
    rl_basic_word_break_characters = " \t\n;";
    rl_attempted_completion_function = shell_complete_word;
    rl_catch_signals = 0;
    interrupts = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rl_getc_function = next_key;
    stifle_history(HISTORY_LINES);
    if (history)
        read_history(history);
}

static void run_line(CliCtl *ctl, const char *line)
{
    if (*line)
        cli_run_string(ctl, line);
    fflush(ctl->out);
}

static void run_terminal(CliCtl *ctl)
{
    g_autofree char *history = history_path();

    start_readline(ctl, history);
    while (!ctl->leave) {
        char *line = shell_read_line(ctl);

        if (!line)
            break;
        if (*line)
            add_history(line);
        run_line(ctl, line);
        free(line);
    }
    if (!ctl->leave)
        fputc('\n', ctl->out);
    if (history)
        write_history(history);
    g_clear_pointer(&candidates, g_ptr_array_unref);
}

/** Run a script from stdin. Prompt and line are echoed, so that the output equals virsh's. */
static void run_script(CliCtl *ctl)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    cli_print(ctl, "%s", shell_prompt_text(ctl));
    while (!ctl->leave && (len = getline(&line, &size, stdin)) >= 0) {
        if (len > 0 && line[len - 1] == '\n')
            line[len - 1] = '\0';
        cli_print(ctl, "%s\n", line);
        run_line(ctl, line);
        if (!ctl->leave)
            cli_print(ctl, "%s", shell_prompt_text(ctl));
    }
    cli_print(ctl, "\n");
    free(line);
}

static CstExitStatus report_error(CliCtl *ctl, const GError *error)
{
    CstExitStatus status = cli_exit_status(ctl, error);

    cli_report(ctl, error);
    return status;
}

CstExitStatus cli_shell(CliCtl *ctl)
{
    g_autoptr(GError) error = NULL;

    if (ctl->connected_uri && !cli_conn(ctl, &error))
        return report_error(ctl, error);
    ctl->in_shell = TRUE;
    cli_extra(ctl, _("Welcome to %s, the storage interactive terminal.\n\n"), "cistern");
    cli_extra_lines(ctl, _("Type:  'help' for help with commands\n"
                           "       'quit' to quit\n\n"));
    if (isatty(STDIN_FILENO) && cst_library_load(&cst_readline_library, &error))
        run_terminal(ctl);
    else if (error)
        return report_error(ctl, error);
    else
        run_script(ctl);
    return CST_EXIT_OK;
}
