/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the user's editor on a temporary file (mode 0600), until the result is accepted or the user
 * gives up. The file is removed in any case.
 */
#include "editor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/place.h>

#include "commands/xml.h"
#include "output/confirm.h"
#include "output/report.h"

static const char *editor_command(void)
{
    const char *editor = g_getenv("VISUAL");

    if (!editor || !*editor)
        editor = g_getenv("EDITOR");
    return editor && *editor ? editor : "vi";
}

/**
 * Return: a directory in which no other user can exchange the file while the editor has it. TMPDIR
 * may be the directory of another user, if sudo keeps it.
 */
static const char *temporary_dir(void)
{
    g_autofree char *file = g_build_filename(g_get_tmp_dir(), "x", NULL);
    g_auto(CstPlace) place = CST_PLACE_INIT;

    return cst_place_init(&place, file, NULL) && cst_place_is_secure(&place) ? g_get_tmp_dir()
                                                                             : "/tmp";
}

/** Write a temporary file with mode 0600. It ends in .xml for the editor's syntax highlighting. */
static char *write_temporary(const char *xml, GError **error)
{
    g_autofree char *path = g_build_filename(temporary_dir(), "cistern-XXXXXX.xml", NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    gboolean ok;

    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot create a temporary file '%s'"), path);
        return NULL;
    }
    ok = cst_pwrite_full(fd, xml, strlen(xml), 0, path, error);
    close(fd);
    if (!ok)
        unlink(path);
    return ok ? g_steal_pointer(&path) : NULL;
}

/**
 * Run the editor on the terminal. The command may contain options. It is split by shell rules, but
 * no shell runs.
 */
static gboolean run_editor(const char *path, GError **error)
{
    const char *editor = editor_command();
    g_auto(GStrv) words = NULL;
    g_autofree char **argv = NULL;
    g_autoptr(GError) local = NULL;
    int n = 0;
    int status;

    if (!g_shell_parse_argv(editor, &n, &words, &local))
        return cst_fail(error, CST_ERROR_USAGE, _("cannot understand the editor '%s': %s"), editor,
                        local->message);
    argv = g_new0(char *, n + 2);
    memcpy(argv, words, n * sizeof(char *));
    argv[n] = (char *)path;
    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN, NULL,
                      NULL, NULL, NULL, &status, &local))
        return cst_fail(error, CST_ERROR_FAILED, _("cannot run the editor: %s"), local->message);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return cst_fail(error, CST_ERROR_FAILED, _("the editor '%s' failed with status %d"), editor,
                        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return TRUE;
}

/** Return: TRUE to edit again. */
static gboolean editor_ask_again(CliCtl *ctl)
{
    char answer[16] = "";

    if (!cli_can_ask(ctl))
        return FALSE;
    fprintf(ctl->err, "%s ", _("Failed. Try again? [y,n]:"));
    return fgets(answer, sizeof(answer), stdin) && g_ascii_tolower(answer[0]) == 'y';
}

static gboolean edit_file(CliCtl *ctl, const char *path, const char *xml, CliEditApply apply,
                          gpointer data, gboolean *ret_changed, GError **error)
{
    for (;;) {
        g_autofree char *edited = NULL;
        g_autoptr(GError) refused = NULL;

        if (!run_editor(path, error) || !cli_read_xml(path, &edited, error))
            return FALSE;
        *ret_changed = !g_str_equal(xml, edited);
        if (!*ret_changed || apply(ctl, edited, data, &refused))
            return TRUE;
        if (!isatty(STDIN_FILENO)) {
            g_propagate_error(error, g_steal_pointer(&refused));
            return FALSE;
        }
        cli_report(ctl, refused);
        if (!editor_ask_again(ctl)) {
            g_propagate_error(error, g_steal_pointer(&refused));
            return FALSE;
        }
    }
}

gboolean cli_edit(CliCtl *ctl, const char *xml, CliEditApply apply, gpointer data,
                  gboolean *ret_changed, GError **error)
{
    g_autofree char *path = write_temporary(xml, error);
    gboolean ok;

    if (!path)
        return FALSE;
    ok = edit_file(ctl, path, xml, apply, data, ret_changed, error);
    unlink(path);
    return ok;
}
