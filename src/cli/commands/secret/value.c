/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * secret-set-value and secret-get-value. A value is kept in memory for secrets. It is read with
 * read(2) and never through stdio, because stdio buffers are not wiped. On a terminal it is entered
 * without echo. The terminal's signals are disabled during the input, so that no signal leaves the
 * terminal without echo. The texts are virsh's, because scripts compare them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/input.h>

#include "output/json.h"
#include "output/report.h"
#include "output/text.h"
#include "secret.h"

/** Maximum size of a file: the largest value in base64 with line ends. */
#define FILE_MAX (2 * CST_SECRET_VALUE_MAX)

/** A buffer for a value. @len bytes are filled. */
typedef struct {
    CstSecretBytes room;
    size_t len;
} Value;

static void value_clear(Value *value)
{
    cst_secret_bytes_clear(&value->room);
    value->len = 0;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Value, value_clear)

/* --- set ------------------------------------------------------------------------------------- */

/**
 * Read all of @fd, which is open on @path. Does not use stdio, because its buffers are not wiped.
 */
static gboolean value_read_all(int fd, const char *path, Value *value, GError **error)
{
    while (value->len < value->room.len) {
        ssize_t n = read(fd, value->room.data + value->len, value->room.len - value->len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cst_fail_errno(error, errno, _("Failed to read file '%s'"), path);
        if (n == 0)
            return TRUE;
        value->len += n;
    }
    return cst_fail_errno(error, EOVERFLOW, _("Failed to read file '%s'"), path);
}

static int value_open_file(const char *path, GError **error)
{
    g_autofree char *complaint = g_strdup_printf(_("Failed to open file '%s'"), path);

    return cst_input_open(path, complaint, error);
}

/** Read a line. @stop (-1: not used) ends it with FALSE. It is ^C, because ISIG is disabled. */
static gboolean value_read_line(int fd, int stop, Value *value)
{
    while (value->len < value->room.len) {
        ssize_t n = read(fd, value->room.data + value->len, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        if (n == 0)
            return value->len > 0;
        if (value->room.data[value->len] == stop)
            return FALSE;
        if (value->room.data[value->len] == '\n')
            return TRUE;
        value->len++;
    }
    return FALSE;
}

static void value_print_prompt(CliCtl *ctl, int tty)
{
    /* With JSON on both streams, only the terminal itself can show a question. */
    if (ctl->settings.json && tty >= 0)
        dprintf(tty, "%s", _("Enter new value for secret:"));
    cli_print(ctl, "%s", _("Enter new value for secret:"));
    fflush(ctl->out);
}

/**
 * Read a line from terminal @fd. The question is printed after echo was disabled. Signals are
 * disabled, because they would leave the terminal without echo. ^C ends the line.
 */
static gboolean read_unseen(CliCtl *ctl, int fd, const struct termios *seen, Value *value)
{
    struct termios unseen = *seen;
    gboolean ok;

    unseen.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    unseen.c_cc[VEOL] = seen->c_cc[VINTR];
    tcsetattr(fd, TCSAFLUSH, &unseen);
    value_print_prompt(ctl, fd);
    ok = value_read_line(fd, seen->c_cc[VINTR], value);
    tcsetattr(fd, TCSAFLUSH, seen);
    /* The newline was not echoed either. */
    return write(fd, "\n", 1) == 1 && ok;
}

/** Read a line from the terminal; without a terminal, from stdin. */
static gboolean read_prompt(CliCtl *ctl, Value *value, GError **error)
{
    g_auto(CstFd) tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios seen;
    gboolean ok;

    if (tty >= 0 && tcgetattr(tty, &seen) == 0) {
        ok = read_unseen(ctl, tty, &seen, value);
    } else {
        value_print_prompt(ctl, tty);
        ok = value_read_line(STDIN_FILENO, -1, value);
    }
    if (!ok)
        return cst_fail(error, CST_ERROR_IO, "%s", _("Failed to read secret"));
    return TRUE;
}

/** Move the value to the caller. */
static void value_steal_bytes(Value *value, CstSecretBytes *ret_text)
{
    value->room.len = value->len;
    *ret_text = value->room;
    value->room = (CstSecretBytes){0};
}

/** Read all of @fd, which is open on @path. */
static gboolean secret_read_open(int fd, const char *path, CstSecretBytes *ret_text, GError **error)
{
    g_auto(Value) value = {0};

    if (!cst_secret_bytes_alloc(&value.room, FILE_MAX, error) ||
        !value_read_all(fd, path, &value, error))
        return FALSE;
    value_steal_bytes(&value, ret_text);
    return TRUE;
}

gboolean cli_secret_read_file(const char *path, CstSecretBytes *ret_text, GError **error)
{
    g_auto(CstFd) fd = -1;

    if (!path)
        return secret_read_open(STDIN_FILENO, "-", ret_text, error);
    fd = value_open_file(path, error);
    return fd >= 0 && secret_read_open(fd, path, ret_text, error);
}

gboolean cli_secret_read_private_file(const char *path, CstSecretBytes *ret_text, GError **error)
{
    g_autofree char *complaint = g_strdup_printf(_("cannot open '%s'"), path), *text = NULL;
    g_auto(CstFd) fd = cst_input_open(path, complaint, error);
    struct stat st;
    size_t len;
    gboolean done;

    if (fd < 0)
        return FALSE;
    /* A pipe, such as the shell's <(COMMAND), has no other readers. */
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        return secret_read_open(fd, path, ret_text, error);
    if (!cst_file_read_open(fd, path, CST_FILE_PRIVATE, FILE_MAX, &text, &len, error))
        return FALSE;
    done = cst_secret_bytes_copy(ret_text, text, len, error);
    explicit_bzero(text, len);
    return done;
}

gboolean cli_secret_read_prompt(CliCtl *ctl, CstSecretBytes *ret_text, GError **error)
{
    g_auto(Value) value = {0};

    if (!cst_secret_bytes_alloc(&value.room, CST_SECRET_VALUE_MAX, error) ||
        !read_prompt(ctl, &value, error))
        return FALSE;
    value_steal_bytes(&value, ret_text);
    return TRUE;
}

/** Decode in place. As in virsh, characters that are not base64 are skipped. */
static void value_decode_base64(Value *value)
{
    gint state = 0;
    guint save = 0;

    value->len = g_base64_decode_step((const char *)value->room.data, value->len, value->room.data,
                                      &state, &save);
}

static gboolean check_value_options(const CliArgs *args, GError **error)
{
    return cli_args_exclusive(args, "file", "base64", error) &&
           cli_args_exclusive(args, "plain", "base64", error) &&
           cli_args_exclusive(args, "interactive", "base64", error) &&
           cli_args_exclusive(args, "interactive", "plain", error) &&
           cli_args_exclusive(args, "interactive", "file", error);
}

static gboolean read_secret_value(CliCtl *ctl, const CliArgs *args, Value *value, GError **error)
{
    const char *base64;
    const char *file;

    if (!cli_args_string(args, "base64", &base64, error) ||
        !cli_args_string(args, "file", &file, error))
        return FALSE;
    if (base64) {
        cli_complain(ctl, "%s", _("Passing secret value as command-line argument is insecure!"));
        if (!cst_secret_bytes_copy(&value->room, base64, strlen(base64), error))
            return FALSE;
        value->len = value->room.len;
    } else if (file) {
        g_auto(CstFd) fd = value_open_file(file, error);

        if (fd < 0 || !cst_secret_bytes_alloc(&value->room, FILE_MAX, error) ||
            !value_read_all(fd, file, value, error))
            return FALSE;
    } else if (cli_args_has(args, "interactive")) {
        return cst_secret_bytes_alloc(&value->room, CST_SECRET_VALUE_MAX, error) &&
               read_prompt(ctl, value, error);
    } else {
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("Input secret value is missing"));
    }
    if (!cli_args_has(args, "plain"))
        value_decode_base64(value);
    return TRUE;
}

static gboolean set_secret_value(CliCtl *ctl, const CliArgs *args, const CstConnSecret *secret,
                                 const Value *value, GError **error)
{
    gboolean ok;

    /* The text contains no base64 characters. */
    if (value->len == 0 && !cli_args_has(args, "plain") && !cli_args_has(args, "interactive"))
        ok = cst_fail(error, CST_ERROR_USAGE, _("value in %s must not be NULL"),
                      "virSecretSetValue");
    else
        ok = cst_conn_secret_set_value(ctl->conn, secret, value->room.data, value->len, error);
    return ok || cli_failed(ctl, "%s", _("Failed to set secret value"));
}

static gboolean cmd_set_value(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstConnSecret) secret = NULL;
    g_auto(Value) value = {0};
    const char *name;
    gboolean ok;

    if (!check_value_options(args, error))
        return FALSE;
    secret = cli_secret(ctl, args, &name, error);
    if (!secret)
        return FALSE;
    cli_plan(ctl, _("Would set the value of secret %s"), name);
    ok = read_secret_value(ctl, args, &value, error) &&
         set_secret_value(ctl, args, secret, &value, error);
    if (ok)
        cli_done(ctl, "secret", name, "%s", _("Secret value set"));
    return ok;
}

static const CliOption set_value_options[] = {
    CLI_SECRET_OPTION,
    {.name = "file",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("read secret from file")},
    CLI_SWITCH("plain", N_("read the secret from file without converting from base64")),
    CLI_SWITCH("interactive", N_("read the secret from the terminal")),
    CLI_STRING("base64", N_("base64-encoded secret value")),
    {0},
};

const CliCommand cli_secret_set_value_command = {
    .name = "secret-set-value",
    .summary = N_("set a secret value"),
    .description = N_("Set a secret value."),
    .options = set_value_options,
    .handler = cmd_set_value,
    .flags = CLI_CMD_MUTATES,
};

/* --- get ------------------------------------------------------------------------------------- */

static gboolean print_text(CliCtl *ctl, const CstSecretBytes *text)
{
    return cli_write_unbuffered(ctl->out, text->data, text->len);
}

static gboolean print_value_json(CliCtl *ctl, const CstSecretBytes *base64)
{
    g_auto(CliJson) json = {0};

    cli_json_begin(&json);
    if (!cli_json_pass_string(&json, ctl->out, "base64", base64->data, base64->len))
        return FALSE;
    cli_json_end(&json, ctl->out);
    return TRUE;
}

/* JSON cannot contain arbitrary bytes, so the value is always base64. */
static gboolean print_value(CliCtl *ctl, const CliArgs *args, const CstSecretBytes *value,
                            GError **error)
{
    g_auto(CstSecretBytes) base64 = {0};
    gboolean done;

    if (cli_args_has(args, "plain") && !ctl->settings.json)
        done = print_text(ctl, value);
    else if (!cst_secret_bytes_to_base64(&base64, value, error))
        return FALSE;
    else
        done = ctl->settings.json ? print_value_json(ctl, &base64) : print_text(ctl, &base64);
    return done || cst_fail_errno(error, errno, "%s", _("failed to write secret"));
}

static gboolean cmd_get_value(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstConnSecret) secret = cli_secret(ctl, args, NULL, error);
    g_auto(CstSecretBytes) value = {0};

    return secret && cst_conn_secret_get_value(ctl->conn, secret, &value, error) &&
           print_value(ctl, args, &value, error);
}

static const CliOption get_value_options[] = {
    CLI_SECRET_OPTION,
    CLI_SWITCH("plain", N_("get value without converting to base64")),
    {0},
};

const CliCommand cli_secret_get_value_command = {
    .name = "secret-get-value",
    .summary = N_("Output a secret value"),
    .description = N_("Output a secret value to stdout."),
    .options = get_value_options,
    .handler = cmd_get_value,
};
