/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-serve: a volume by NBD, for as long as the command runs; with --detach for as long as the
 * daemon's job does. Where it is to be found is printed first, as an URI that QEMU, qemu-img and
 * nbdcopy take.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/url.h>

#include "options.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    CstVolServe how;
    char *socket, *host, *psk_file, *certificates; /* owned; what @how names */
} Serving;

static void serving_clear(Serving *serving)
{
    g_free(serving->socket);
    g_free(serving->host);
    g_free(serving->psk_file);
    g_free(serving->certificates);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Serving, serving_clear)

/* "127.0.0.1:10809" or "[::1]:10809". */
static gboolean read_address(Serving *serving, const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');
    gboolean brackets = *text == '[' && colon && colon > text + 1 && colon[-1] == ']';
    guint64 port = 0;

    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT16, &port, NULL))
        return cst_fail(error, CST_ERROR_USAGE, _("'%s' is no address and port (127.0.0.1:10809)"),
                        text);
    serving->host = brackets ? g_strndup(text + 1, (gsize)(colon - text - 2))
                             : g_strndup(text, (gsize)(colon - text));
    serving->how.host = serving->host;
    serving->how.port = (guint16)port;
    return TRUE;
}

static gboolean read_place(Serving *serving, const CliArgs *args, GError **error)
{
    const char *socket, *address;

    if (!cli_args_exclusive(args, "socket", "listen", error) ||
        !cli_args_string(args, "socket", &socket, error) ||
        !cli_args_string(args, "listen", &address, error))
        return FALSE;
    if (address)
        return read_address(serving, address, error);
    if (!socket)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("say where: --socket PATH, or --listen 127.0.0.1:PORT"));
    serving->socket = g_canonicalize_filename(socket, NULL);
    serving->how.socket = serving->socket;
    return TRUE;
}

/* The daemon opens them, wherever it runs. */
static gboolean read_tls(Serving *serving, const CliArgs *args, GError **error)
{
    const char *psk_file, *certificates;

    if (!cli_args_exclusive(args, "tls-psk", "tls-certificates", error) ||
        !cli_args_string(args, "tls-psk", &psk_file, error) ||
        !cli_args_string(args, "tls-certificates", &certificates, error))
        return FALSE;
    serving->psk_file = psk_file ? g_canonicalize_filename(psk_file, NULL) : NULL;
    serving->certificates = certificates ? g_canonicalize_filename(certificates, NULL) : NULL;
    serving->how.psk_file = serving->psk_file;
    serving->how.certificates = serving->certificates;
    return TRUE;
}

static char *uri_of(const Serving *serving)
{
    const char *scheme = serving->psk_file || serving->certificates ? "nbds" : "nbd";
    g_autofree char *socket =
        serving->socket ? g_uri_escape_string(serving->socket, "/", FALSE) : NULL;
    gboolean six = serving->host && strchr(serving->host, ':');

    return socket ? g_strdup_printf("%s+unix:///?socket=%s", scheme, socket)
                  : g_strdup_printf("%s://%s%s%s:%u", scheme, six ? "[" : "", serving->host,
                                    six ? "]" : "", serving->how.port);
}

static gboolean run_serve(CstTask *task, gpointer data, GError **error)
{
    const Serving *serving = data;

    return cst_conn_vol_serve(serving->conn, serving->vol, &serving->how, task, error);
}

static gboolean cmd_serve(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Serving) serving = {0};
    g_autoptr(CstVolRef) vol = NULL;
    g_autofree char *uri = NULL;
    const char *name;

    vol = cli_vol(ctl, args, "pool", &name, error);
    if (!vol || !cli_args_string(args, "snapshot", &serving.how.snapshot, error) ||
        !read_tls(&serving, args, error) || !read_place(&serving, args, error))
        return FALSE;
    serving.conn = ctl->conn;
    serving.vol = vol;
    serving.how.read_only = serving.how.snapshot || cli_args_has(args, "read-only");
    serving.how.force_share = cli_args_has(args, "force-share");
    uri = uri_of(&serving);
    cli_plan(ctl, _("Would serve vol %s at %s"), name, uri);
    if (!ctl->settings.dry_run) {
        cli_extra(ctl, _("Serving vol %s at %s"), name, uri);
        cli_extra(ctl, "\n");
        fflush(ctl->out);
    }
    return cli_outcome(ctl, cli_run_task(ctl, _("Serving"), run_serve, &serving, error), "uri", uri,
                       _("Vol %s is served no more"), _("Failed to serve vol %s"), name);
}

static const CliOption serve_options[] = {
    VOL,
    POOL,
    CLI_NAMED("snapshot", N_("what this snapshot holds, read only")),
    CLI_SWITCH("read-only", N_("nobody may write")),
    {.name = "socket",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("Unix socket to make, for your user and root")},
    CLI_NAMED("listen", N_("address and port: 127.0.0.1:10809; with TLS also other hosts'")),
    {.name = "tls-psk",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("demand TLS: file with the keys of clients, as psktool makes it")},
    {.name = "tls-certificates",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,
     .help = N_("demand TLS: directory with ca-cert.pem, server-cert.pem and server-key.pem")},
    {.name = "force-share",
     .kind = CLI_OPT_BOOL,
     .letter = 'U',
     .help = N_("read also what another program is writing to")},
    DETACH,
    {0},
};

const CliCommand cli_vol_serve_command = {
    .name = "vol-serve",
    .summary = N_("serve a vol to other programs by NBD"),
    .description =
        N_("Make what a guest sees of a vol, whatever its pool and format, an NBD export for QEMU, "
           "qemu-img, nbdcopy and others, until the command is interrupted or its job cancelled. "
           "While it may be written to, nobody else uses the vol."),
    .options = serve_options,
    .handler = cmd_serve,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
