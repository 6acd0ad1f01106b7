/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The option --qmp (see the header). */
#include "commands/qmp.h"

gboolean cli_qmp_read(const CliArgs *args, char **ret_socket, GError **error)
{
    const char *socket = NULL;

    if (!cli_args_string(args, "qmp", &socket, error))
        return FALSE;
    /* The daemon has another working directory. */
    *ret_socket = socket ? g_canonicalize_filename(socket, NULL) : NULL;
    return TRUE;
}
