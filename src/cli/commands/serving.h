/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>
#include <model/image_report.h>

#include "core/ctl.h"

/** The address of an NBD server, from the options --socket, --listen and --tls-… of a command. */
typedef struct {
    CstVolServe how; /**< its strings are owned by the fields below */
    char *socket, *host, *psk_file, *certificates;
} CliServing;

void cli_serving_clear(CliServing *serving);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliServing, cli_serving_clear)

/**
 * Parses the options. Fails with USAGE. Warns of a socket that another user can exchange, and of a
 * port without TLS.
 */
gboolean cli_serving_read(CliCtl *ctl, CliServing *serving, const CliArgs *args, GError **error);
/** Returns the URI for QEMU, qemu-img and nbdcopy. The caller frees it. */
char *cli_serving_uri(const CliServing *serving);
/**
 * Prints the address of @name ("vol disk") before clients can connect. Has no effect in a dry run.
 */
void cli_serving_say(CliCtl *ctl, const char *name, const char *uri);

/** The rows of an option table. */
#define CLI_SERVING_OPTIONS                                                                        \
    {.name = "socket",                                                                             \
     .kind = CLI_OPT_STRING,                                                                       \
     .flags = CLI_OPT_NAMED | CLI_OPT_FILE,                                                        \
     .help = N_("Unix socket to make, for your user and root")},                                   \
        CLI_NAMED("listen", N_("address and port: 127.0.0.1:10809; with TLS also other hosts'")),  \
        {.name = "tls-psk",                                                                        \
         .kind = CLI_OPT_STRING,                                                                   \
         .flags = CLI_OPT_NAMED | CLI_OPT_FILE,                                                    \
         .help = N_("demand TLS: file with the keys of clients, as psktool makes it")},            \
    {                                                                                              \
        .name = "tls-certificates", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | CLI_OPT_FILE, \
        .help = N_("demand TLS: directory with ca-cert.pem, server-cert.pem and server-key.pem")   \
    }
