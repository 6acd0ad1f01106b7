/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "core/options.h"

/** The option --qmp: the socket of the monitor of a QEMU that libvirt does not manage. */

/** Returns the absolute path of the socket in *ret_socket. The caller frees it. NULL: no socket. */
gboolean cli_qmp_read(const CliArgs *args, char **ret_socket, GError **error);

#define CLI_QMP(text)                                                                              \
    {                                                                                              \
        .name = "qmp", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | CLI_OPT_FILE, .help = text \
    }
