/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check_report.h"

#include <base/error.h>
#include <model/image_report.h>

#include "vol.h"

void cli_check_print(CliCtl *ctl, const char *name, const char *format, const CliCheckRow *rows,
                     size_t count, const GPtrArray *problems)
{
    JsonBuilder *json = ctl->settings.json ? cli_json_begin() : NULL;

    if (json) {
        cli_json_add_string(json, "filename", name);
        cli_json_add_string(json, "format", format);
        cli_json_add_size(json, "check-errors", 0);
    }
    for (size_t i = 0; i < count; i++) {
        if (json)
            cli_json_add_size(json, rows[i].key, rows[i].value);
        else if (rows[i].value || rows[i].always)
            cli_print(ctl, "%s: %" G_GUINT64_FORMAT "\n", _(rows[i].label), rows[i].value);
    }
    if (json && problems)
        cli_vol_add_problems(json, problems);
    if (json)
        cli_json_end(ctl->out, json);
}

gboolean cli_check_judge(const char *name, uint64_t errors, uint64_t leaks, GError **error)
{
    if (errors)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("'%s' has errors in its metadata: data may be lost, and writing to it "
                          "may lose more; make a copy before --repair all"),
                        name);
    if (leaks)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("'%s' takes space that it does not use, which harms no data; --repair "
                          "leaks gives it back"),
                        name);
    return TRUE;
}

gboolean cli_check_repair(const CliArgs *args, unsigned *ret_flags, GError **error)
{
    const char *what = NULL;

    *ret_flags = 0;
    if (!cli_args_string(args, "repair", &what, error))
        return FALSE;
    if (g_strcmp0(what, "leaks") == 0)
        *ret_flags = CST_REPAIR_LEAKS;
    else if (g_strcmp0(what, "all") == 0)
        *ret_flags = CST_REPAIR_LEAKS | CST_REPAIR_ALL;
    else if (what)
        return cst_fail(error, CST_ERROR_USAGE, _("--repair takes leaks or all, not '%s'"), what);
    return TRUE;
}
