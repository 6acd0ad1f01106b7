/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The NBD addresses of vol-serve and backup-mount. */
#include "serving.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/url.h>

#include "output/report.h"
#include "output/text.h"

void cli_serving_clear(CliServing *serving)
{
    g_free(serving->socket);
    g_free(serving->host);
    g_free(serving->psk_file);
    g_free(serving->certificates);
}

/* Parse "127.0.0.1:10809" or "[::1]:10809". */
static gboolean read_address(CliServing *serving, const char *text, GError **error)
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

static gboolean read_serving_place(CliServing *serving, const CliArgs *args, GError **error)
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

/* Make the paths absolute, because the daemon opens the files from another working directory. */
static gboolean read_tls(CliServing *serving, const CliArgs *args, GError **error)
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

char *cli_serving_uri(const CliServing *serving)
{
    const char *scheme = serving->psk_file || serving->certificates ? "nbds" : "nbd";
    g_autofree char *socket =
        serving->socket ? g_uri_escape_string(serving->socket, "/", FALSE) : NULL;
    gboolean six = serving->host && strchr(serving->host, ':');

    return socket ? g_strdup_printf("%s+unix:///?socket=%s", scheme, socket)
                  : g_strdup_printf("%s://%s%s%s:%u", scheme, six ? "[" : "", serving->host,
                                    six ? "]" : "", serving->how.port);
}

/* A server without TLS accepts only addresses of the loopback interface (docs/nbd.md). */
static void warn_of_clients(CliCtl *ctl, const CliServing *serving)
{
    if (serving->socket)
        cli_warn_of_path(ctl, serving->socket);
    else if (!serving->psk_file && !serving->certificates && !ctl->settings.quiet)
        cli_warn(ctl,
                 _("warning: every user of this host can connect to port %u, because the server "
                   "has no TLS; use --socket, --tls-psk or --tls-certificates\n"),
                 serving->how.port);
}

gboolean cli_serving_read(CliCtl *ctl, CliServing *serving, const CliArgs *args, GError **error)
{
    if (!read_tls(serving, args, error) || !read_serving_place(serving, args, error))
        return FALSE;
    warn_of_clients(ctl, serving);
    return TRUE;
}

void cli_serving_say(CliCtl *ctl, const char *name, const char *uri)
{
    if (ctl->settings.dry_run)
        return;
    cli_extra(ctl, _("Serving vol %s at %s"), name, uri);
    cli_extra(ctl, "\n");
    fflush(ctl->out);
}
