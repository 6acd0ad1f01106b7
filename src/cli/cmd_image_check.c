/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/** One check, or a repair and the check after it. */
typedef struct {
    CstBlob *blob;
    const CstImageFormat *format;
    unsigned flags;       /**< CstCheckFlags */
    CstImageCheck result; /**< what is left, and what was repaired */
} Check;

static gboolean run_check(CstTask *task, gpointer data, GError **error)
{
    Check *check = data;
    CstImageCheck first = {0};

    if (!cst_image_check(check->blob, check->format, check->flags, &first, task, error))
        return FALSE;
    check->result = first;
    if (first.errors_fixed + first.leaks_fixed == 0)
        return TRUE;
    /* What is left is not what the repair believes, but what another look finds. */
    if (!cst_blob_flush(check->blob, error) ||
        !cst_image_check(check->blob, check->format, 0, &check->result, task, error))
        return FALSE;
    check->result.errors_fixed = first.errors_fixed;
    check->result.leaks_fixed = first.leaks_fixed;
    return TRUE;
}

static gboolean repair_flags(const CliArgs *args, unsigned *ret_flags, GError **error)
{
    const char *what = NULL;

    *ret_flags = 0;
    if (!cli_args_string(args, "repair", &what, error))
        return FALSE;
    if (g_strcmp0(what, "leaks") == 0)
        *ret_flags = CST_CHECK_REPAIR_LEAKS;
    else if (g_strcmp0(what, "all") == 0)
        *ret_flags = CST_CHECK_REPAIR_LEAKS | CST_CHECK_REPAIR_ALL;
    else if (what)
        return cst_fail(error, CST_ERROR_USAGE, _("--repair takes leaks or all, not '%s'"), what);
    return TRUE;
}

/* --- showing --------------------------------------------------------------------------------- */

typedef struct {
    const char *label; /**< NULL: in JSON only */
    const char *key;   /**< as qemu-img has it */
    uint64_t value;
    gboolean always; /**< shown when it is 0, too */
} Row;

static void print_rows(CliCtl *ctl, const Check *check, const Row *rows, size_t count)
{
    JsonBuilder *json = ctl->settings.json ? cli_json_begin() : NULL;

    if (json) {
        cli_json_add_string(json, "filename", check->blob->name);
        cli_json_add_string(json, "format", cst_image_format_name(check->format));
        cli_json_add_size(json, "check-errors", 0);
    }
    for (size_t i = 0; i < count; i++) {
        if (json)
            cli_json_add_size(json, rows[i].key, rows[i].value);
        else if (rows[i].value || rows[i].always)
            cli_print(ctl, "%s: %" G_GUINT64_FORMAT "\n", _(rows[i].label), rows[i].value);
    }
    if (json)
        cli_json_end(ctl->out, json);
}

static void print_result(CliCtl *ctl, const Check *check)
{
    const CstImageCheck *r = &check->result;
    const Row rows[] = {
        {N_("errors"), "corruptions", r->errors, TRUE},
        {N_("leaked clusters"), "leaks", r->leaks, TRUE},
        {N_("errors repaired"), "corruptions-fixed", r->errors_fixed, FALSE},
        {N_("leaked clusters given back"), "leaks-fixed", r->leaks_fixed, FALSE},
        {N_("clusters"), "total-clusters", r->total_clusters, TRUE},
        {N_("allocated clusters"), "allocated-clusters", r->allocated_clusters, TRUE},
        {N_("fragmented clusters"), "fragmented-clusters", r->fragmented_clusters, FALSE},
        {N_("compressed clusters"), "compressed-clusters", r->compressed_clusters, FALSE},
        {N_("end of the image in the file"), "image-end-offset", r->image_end, TRUE},
    };

    print_rows(ctl, check, rows, G_N_ELEMENTS(rows));
}

static gboolean judge(const Check *check, GError **error)
{
    const CstImageCheck *r = &check->result;
    const char *name = check->blob->name;

    if (r->errors)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("'%s' has errors in its metadata: data may be lost, and writing to it "
                          "may lose more; make a copy before --repair all"),
                        name);
    if (r->leaks)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("'%s' takes space that it does not use, which harms no data; --repair "
                          "leaks gives it back"),
                        name);
    return TRUE;
}

gboolean cli_cmd_image_check(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstBlob) blob = NULL;
    const char *path = NULL, *format = NULL;
    Check check = {0};

    if (!cli_args_string(args, "file", &path, error) ||
        !cli_args_string(args, "format", &format, error) ||
        !repair_flags(args, &check.flags, error))
        return FALSE;
    if (check.flags && cli_dry_run(ctl, _("Would check and repair image %s"), path))
        return TRUE;
    check.blob = blob = cli_image_blob(ctl, path, check.flags != 0, error);
    check.format = blob ? cli_image_format(ctl, blob, format, error) : NULL;
    if (!check.format || !cli_run_task(ctl, _("Checking"), run_check, &check, error))
        return FALSE;
    print_result(ctl, &check);
    return judge(&check, error);
}
