/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-limits: shows or sets the limits of the space that a pool promises to its volumes. Without
 * an option, shows the present promise and how much of the limits is left.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <conn/usage.h>
#include <model/pool_def.h>

#include "output/report.h"
#include "output/table.h"
#include "output/text.h"
#include "pool.h"

/* --- the options ------------------------------------------------------------------------------ */

static gboolean read_overcommit(const char *word, CstPoolLimits *limits, GError **error)
{
    g_autoptr(GError) why = NULL;

    limits->overcommit = 0;
    return g_str_equal(word, CLI_SETTING_OFF) ||
           cst_overcommit_parse(word, &limits->overcommit, &why) ||
           cst_fail(error, CST_ERROR_USAGE, "--overcommit: %s", why->message);
}

static gboolean read_quota(const char *word, CstPoolLimits *limits, GError **error)
{
    g_autoptr(GError) why = NULL;

    limits->quota = 0;
    if (g_str_equal(word, CLI_SETTING_OFF))
        return TRUE;
    if (!cst_units_parse(word, 1, &limits->quota, &why))
        return cst_fail(error, CST_ERROR_USAGE, "--quota: %s", why->message);
    return (limits->quota > 0 && limits->quota <= G_MAXINT64) ||
           cst_fail(error, CST_ERROR_USAGE, _("--quota takes a size above 0, or %s"),
                    CLI_SETTING_OFF);
}

static gboolean read_volumes(const char *word, CstPoolLimits *limits, GError **error)
{
    guint64 number = 0;

    if (!g_str_equal(word, CLI_SETTING_OFF) &&
        !g_ascii_string_to_unsigned(word, 10, 1, G_MAXUINT32, &number, NULL))
        return cst_fail(error, CST_ERROR_USAGE, _("--volumes takes a number above 0, or %s"),
                        CLI_SETTING_OFF);
    limits->volumes = (uint32_t)number;
    return TRUE;
}

/* Reads the options. *ret_given: at least one of them is given; the other limits stay unchanged. */
static gboolean read_limits(const CliArgs *args, CstPoolLimits *limits, gboolean *ret_given,
                            GError **error)
{
    static const struct {
        const char *name;
        gboolean (*read)(const char *word, CstPoolLimits *limits, GError **error);
    } options[] = {
        {"overcommit", read_overcommit}, {"quota", read_quota}, {"volumes", read_volumes}};

    *ret_given = FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        const char *word;

        if (!cli_args_string(args, options[i].name, &word, error))
            return FALSE;
        if (!word)
            continue;
        *ret_given = TRUE;
        if (!options[i].read(word, limits, error))
            return FALSE;
    }
    return TRUE;
}

/* --- set -------------------------------------------------------------------------------------- */

static gboolean limits_equal(const CstPoolLimits *a, const CstPoolLimits *b)
{
    return a->overcommit == b->overcommit && a->quota == b->quota && a->volumes == b->volumes;
}

static gboolean set_limits(CliCtl *ctl, const CstPoolRef *pool, const CstPoolDef *def,
                           GError **error)
{
    g_autoptr(CstPoolDef) kept = NULL;

    cli_plan(ctl, _("Would set the limits of pool %s"), pool->name);
    kept = cli_pool_define_setting(ctl, pool, def, error);
    if (!kept)
        return cli_failed(ctl, _("Failed to set the limits of pool %s"), pool->name);
    if (!limits_equal(&kept->limits, &def->limits))
        return cst_fail(error, CST_ERROR_NO_SUPPORT, _("the server of pool '%s' has no limits"),
                        pool->name);
    cli_done(ctl, "pool", pool->name, _("Limits of pool %s set"), pool->name);
    return TRUE;
}

/* --- show ------------------------------------------------------------------------------------- */

static const CliColumn limit_columns[] = {
    {N_("Over-commit:"), "overcommit", CLI_CELL_TEXT, N_("no limit"), 0},
    {N_("Quota:"), "quota", CLI_CELL_SIZE, N_("no limit"), 0},
    {N_("Max volumes:"), "max_volumes", CLI_CELL_NUMBER, N_("no limit"), 0},
    {N_("Capacity:"), "capacity", CLI_CELL_SIZE, NULL, 0},
    {N_("Promised:"), "promised", CLI_CELL_SIZE, NULL, 0},
    {N_("Left:"), "left", CLI_CELL_SIZE, NULL, 0},
    {N_("Volumes:"), "volumes", CLI_CELL_NUMBER, NULL, 0},
    {N_("Volumes left:"), "volumes_left", CLI_CELL_NUMBER, NULL, 0},
};

static uint64_t limit_left(uint64_t limit, uint64_t used)
{
    return limit > used ? limit - used : 0;
}

/* @promise NULL: the pool is not active, so its promise is unknown. */
static void print_limits(CliCtl *ctl, const CstPoolLimits *limits, const CstPoolPromise *promise)
{
    g_autoptr(CliTable) table = cli_table_new(limit_columns, G_N_ELEMENTS(limit_columns));
    g_autofree char *factor = cst_overcommit_format(limits->overcommit);
    const CstPoolPromise none = {0}, *now = promise ? promise : &none;
    uint64_t bytes = cst_limits_bytes(limits, now->capacity);

    cli_table_add_text(table, limits->overcommit ? factor : NULL);
    cli_table_add_known_size(table, limits->quota > 0, limits->quota);
    cli_table_add_known_number(table, limits->volumes > 0, limits->volumes);
    cli_table_add_known_size(table, now->capacity > 0, now->capacity);
    cli_table_add_known_size(table, promise != NULL, now->promised);
    cli_table_add_known_size(table, promise && bytes != UINT64_MAX,
                             limit_left(bytes, now->promised));
    cli_table_add_known_number(table, promise != NULL, now->volumes);
    cli_table_add_known_number(table, promise && limits->volumes > 0,
                               limit_left(limits->volumes, now->volumes));
    cli_table_print_listing(ctl, table, "limits", 15);
}

static gboolean show_limits(CliCtl *ctl, const CstPoolRef *pool, const CstPoolDef *def,
                            GError **error)
{
    CstPoolPromise promise;
    CstPoolInfo info;

    if (!cst_conn_pool_info(ctl->conn, pool, &info, error))
        return FALSE;
    if (info.state == CST_POOL_INACTIVE) {
        print_limits(ctl, &def->limits, NULL);
        return TRUE;
    }
    if (!cst_conn_pool_promise(ctl->conn, pool, &promise, error))
        return FALSE;
    print_limits(ctl, &promise.limits, &promise);
    return TRUE;
}

static gboolean cmd_limits(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CstPoolDef) def = pool ? cli_pool_definition(ctl, pool, error) : NULL;
    gboolean given;

    if (!def || !read_limits(args, &def->limits, &given, error))
        return FALSE;
    return given ? set_limits(ctl, pool, def, error) : show_limits(ctl, pool, def, error);
}

static const CliOption limits_options[] = {
    CLI_POOL_OPTION(cli_complete_pools),
    {.name = "overcommit",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("limit of the promise as a factor of the capacity (1: no over-commit), or off"),
     .complete = cli_complete_off},
    {.name = "quota",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("limit of the promise as a size, or off"),
     .complete = cli_complete_off},
    {.name = "volumes",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("limit of the number of vols, or off"),
     .complete = cli_complete_off},
    {0},
};

const CliCommand cli_pool_limits_command = {
    .name = "pool-limits",
    .summary = N_("show or set how much space a pool may promise"),
    .description =
        N_("Set the limits of the space that a pool promises to its vols, and of their number. The "
           "promise of a vol is the size to which it and its snapshots can grow. An operation that "
           "would exceed a limit fails before it changes anything. The setting is a part of the "
           "pool's definition, and holds at once. Existing vols keep their promise. Without an "
           "option, show the limits, the present promise, and how much is left."),
    .options = limits_options,
    .handler = cmd_limits,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
