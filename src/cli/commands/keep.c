/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keep.h"

gboolean cli_keep_read(const CliArgs *args, CstRetention *retention, GError **error)
{
    return cli_args_uint(args, "keep-last", &retention->last, error) &&
           cli_args_uint(args, "keep-hourly", &retention->hourly, error) &&
           cli_args_uint(args, "keep-daily", &retention->daily, error) &&
           cli_args_uint(args, "keep-weekly", &retention->weekly, error) &&
           cli_args_uint(args, "keep-monthly", &retention->monthly, error) &&
           cli_args_uint(args, "keep-yearly", &retention->yearly, error);
}
