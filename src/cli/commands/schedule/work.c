/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The failures of a run, which the history keeps as its message. */
#include <base/error.h>
#include <base/i18n.h>

#include "output/text.h"
#include "schedule.h"

#define PROBLEMS_MAX 4000 /* bytes of the recorded message */

void schedule_add_problem(ScheduleWork *work, const char *object, const char *text)
{
    if (work->problems->len < PROBLEMS_MAX)
        g_string_append_printf(work->problems, "%s%s: %s", work->problems->len ? "\n" : "", object,
                               text);
}

void schedule_add_failure(ScheduleWork *work, const char *object, GError *error)
{
    g_autofree char *text = cst_error_text(error);

    work->failed++;
    schedule_add_problem(work, object, text);
    cli_warn(work->ctl, "%s: %s\n", object, text);
    g_error_free(error);
}

gboolean schedule_fail_object(ScheduleWork *work, const char *object, GError *why, GError **error)
{
    if (g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED)) {
        g_propagate_error(error, why);
        return FALSE;
    }
    schedule_add_failure(work, object, why);
    return TRUE;
}

void schedule_add_skip(ScheduleWork *work, const char *object, const char *reason)
{
    work->skipped++;
    schedule_add_problem(work, object, reason);
    cli_warn(work->ctl, _("%s skipped: %s\n"), object, reason);
}

void schedule_add_unfit(ScheduleWork *work, const char *object, GError *error)
{
    g_autofree char *text = cst_error_text(error);

    work->unfit++;
    schedule_add_problem(work, object, text);
    g_error_free(error);
}

gboolean schedule_end_unfit(const ScheduleWork *work, GError **error)
{
    return work->unfit == 0 || work->done + work->failed + work->skipped > 0 ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("no volume of schedule '%s' can have snapshots"), work->schedule->name);
}
