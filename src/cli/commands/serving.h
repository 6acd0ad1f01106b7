/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>
#include <model/image_report.h>

#include "core/ctl.h"

/** Where something is served by NBD, as --socket, --listen and --tls-… of a command say. */
typedef struct {
    CstVolServe how; /**< its texts are owned by what follows */
    char *socket, *host, *psk_file, *certificates;
} CliServing;

void cli_serving_clear(CliServing *serving);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliServing, cli_serving_clear)

/** Reads the options. USAGE. */
gboolean cli_serving_read(CliServing *serving, const CliArgs *args, GError **error);
/** Returns the URI that QEMU, qemu-img and nbdcopy take. Free it. */
char *cli_serving_uri(const CliServing *serving);
/** Says where @name, "vol disk", is found, before anybody can connect; nothing in a dry run. */
void cli_serving_say(CliCtl *ctl, const char *name, const char *uri);

/** The rows of a table of options. */
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
