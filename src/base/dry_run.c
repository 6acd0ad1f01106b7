/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The dry-run flag of a thread (see the header). A thread that is made inside a dry run starts with
 * it off. cst_threads_run() passes the flag on.
 */
#include <base/dry_run.h>

#include <base/error.h>
#include <base/i18n.h>

static _Thread_local gboolean dry;

void cst_dry_run_set(gboolean on)
{
    dry = on;
}

gboolean cst_dry_run(void)
{
    return dry;
}

gboolean cst_may_change(GError **error)
{
    return !dry || cst_fail(error, CST_ERROR_DRY_RUN, _("a dry run ends before the first change"));
}
