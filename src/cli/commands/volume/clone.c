/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-clone: one clone as in virsh, or many with numbered names. If one of many fails, the earlier
 * ones remain.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "commands/consistency.h"
#include "commands/xml.h"
#include "live_copy.h"
#include "options.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/table.h"
#include "output/text.h"
#include "volume.h"

#define COUNT_MAX 10000
#define WIDTH_MAX 9

/* --- names ------------------------------------------------------------------------------------ */

/* The position of the number in a pattern: "%d", or "%04d" with its width. */
typedef struct {
    const char *before; /* starts at the first byte of the pattern */
    size_t before_len;
    guint width;
    const char *after;
} Pattern;

static gboolean fail_pattern(const char *text, GError **error)
{
    return cst_fail(error, CST_ERROR_USAGE,
                    _("'%s' must have one place for the number: %%d, or %%03d for three digits"),
                    text);
}

static gboolean read_pattern(const char *text, Pattern *ret, GError **error)
{
    const char *percent = strchr(text, '%');
    const char *at = percent ? percent + 1 : "";

    ret->before = text;
    ret->before_len = percent ? (size_t)(percent - text) : 0;
    ret->width = 0;
    if (*at == '0' && g_ascii_isdigit(at[1])) {
        ret->width = (guint)(at[1] - '0');
        at += 2;
    }
    ret->after = at + 1;
    return (percent && *at == 'd' && !strchr(ret->after, '%') && ret->width <= WIDTH_MAX) ||
           fail_pattern(text, error);
}

static char *clone_numbered_name(const Pattern *pattern, guint number)
{
    return g_strdup_printf("%.*s%0*u%s", (int)pattern->before_len, pattern->before,
                           (int)pattern->width, number, pattern->after);
}

/* Return: the names of the requested clones; NULL with an error. *ret_many: --count was given. */
static GPtrArray *clone_read_names(CliCtl *ctl, const CliArgs *args, const CstPoolRef *pool,
                                   gboolean *ret_many, GError **error)
{
    const char *elsewhere = _("vol-convert copies a vol to another pool");
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *newname, *pattern_text;
    unsigned count = 1, first = 1;
    Pattern pattern;

    *ret_many = cli_args_has(args, "count");
    if (!cli_vol_new_name(ctl, args, "newname", pool, elsewhere, &newname, error) ||
        !cli_vol_new_name(ctl, args, "name", pool, elsewhere, &pattern_text, error) ||
        !cli_args_uint(args, "count", &count, error) ||
        !cli_args_uint(args, "first", &first, error))
        return NULL;
    if (newname && pattern_text) {
        cst_fail(error, CST_ERROR_USAGE, _("Options --%s and --%s are mutually exclusive"),
                 "newname", "name");
        return NULL;
    }
    if (!newname)
        newname = pattern_text;
    if (!*ret_many) {
        g_ptr_array_add(names, g_strdup(newname));
        return g_steal_pointer(&names);
    }
    if (count == 0 || count > COUNT_MAX || first > G_MAXINT - COUNT_MAX) {
        cst_fail(error, CST_ERROR_USAGE, _("--count takes a number from 1 to %u"), COUNT_MAX);
        return NULL;
    }
    if (!read_pattern(newname, &pattern, error))
        return NULL;
    for (guint i = 0; i < count; i++)
        g_ptr_array_add(names, clone_numbered_name(&pattern, first + i));
    return g_steal_pointer(&names);
}

/* --- clones ----------------------------------------------------------------------------------- */

typedef struct {
    CliCtl *ctl;
    const CliArgs *args;
    const CstVolRef *source;
    const CstPoolRef *pool; /* of the source */
    const char *xml;        /* of the source */
    CliLiveCopy *live;      /* the point in time of all clones */
} Cloning;

/* Return: the new volume, or NULL with an error. */
static CstVolRef *clone_as(const Cloning *cloning, const char *name, GError **error)
{
    g_autofree char *xml = cli_vol_clone_xml(cloning->xml, name, error);

    return xml ? cli_vol_make_live(cloning->ctl, cloning->args, cloning->pool, cloning->live, xml,
                                   _("Cloning"), error)
               : NULL;
}

static gboolean clone_print_xml(const Cloning *cloning, const char *name, GError **error)
{
    g_autofree char *xml = cli_vol_clone_xml(cloning->xml, name, error);

    if (xml)
        cli_document(cloning->ctl, "xml", xml);
    return xml != NULL;
}

static gboolean clone_vol(const Cloning *cloning, const char *name, GError **error)
{
    const CstVolRef *source = cloning->source;
    CliCtl *ctl = cloning->ctl;
    g_autoptr(CstVolRef) vol = NULL;
    CliFact facts[CLI_LIVE_COPY_FACTS];
    guint count;

    cli_plan(ctl, _("Would clone vol %s of pool %s as %s"), source->name, source->pool, name);
    if (cli_live_copy_begin(cloning->live, error))
        vol = clone_as(cloning, name, error);
    if (!cli_live_copy_end(cloning->live, vol != NULL, error) || !vol) {
        if (vol)
            cli_live_copy_drop(cloning->live, g_steal_pointer(&vol));
        return cli_failed(ctl, _("Failed to clone vol from %s"), source->name);
    }
    cli_live_copy_warn(cloning->live);
    count = cli_live_copy_facts(cloning->live, facts);
    cli_done_with(ctl, "volume", vol->name, cli_vol_made_size(ctl, vol), facts, count,
                  _("Vol %s cloned from %s"), vol->name, source->name);
    cli_live_copy_print(cloning->live);
    return TRUE;
}

static const CliColumn columns[] = {
    {"", "pool", CLI_CELL_TEXT, NULL, 0},
    {"", "name", CLI_CELL_TEXT, NULL, 0},
};

/*
 * Makes the clones, and adds them to @made. Stops at the first failure, because the next clone
 * would most likely fail for the same reason.
 */
static gboolean clone_make_many(const Cloning *cloning, const GPtrArray *names, GPtrArray *made,
                                GError **error)
{
    CliCtl *ctl = cloning->ctl;

    for (guint i = 0; i < names->len; i++) {
        GError *why = NULL;
        CstVolRef *vol = clone_as(cloning, g_ptr_array_index(names, i), &why);

        /* A dry run checks each clone. */
        if (g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN)) {
            g_clear_error(&why);
            continue;
        }
        if (!vol) {
            g_propagate_error(error, why);
            return FALSE;
        }
        g_ptr_array_add(made, vol);
        cli_live_copy_warn(cloning->live);
        cli_extra(ctl, _("Vol %s cloned from %s"), vol->name, cloning->source->name);
        cli_extra(ctl, "\n");
    }
    return TRUE;
}

static void clone_print_many(const Cloning *cloning, const GPtrArray *made)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    CliFact facts[CLI_LIVE_COPY_FACTS];
    guint count = cli_live_copy_facts(cloning->live, facts);
    CliCtl *ctl = cloning->ctl;
    CliSheet sheet;

    for (guint i = 0; i < made->len; i++) {
        const CstVolRef *vol = made->pdata[i];

        cli_table_add_text(table, vol->pool);
        cli_table_add_text(table, vol->name);
    }
    if (ctl->settings.json && !ctl->settings.dry_run) {
        cli_sheet_begin(&sheet, ctl);
        cli_sheet_add_table(&sheet, "volumes", table);
        cli_sheet_add(&sheet, facts, count);
        cli_sheet_end(&sheet);
    }
    cli_live_copy_print(cloning->live);
}

static gboolean clone_many(const Cloning *cloning, const GPtrArray *names, GError **error)
{
    g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);
    const CstVolRef *source = cloning->source;
    CliCtl *ctl = cloning->ctl;
    g_autofree char *problem = NULL;
    GError *why = NULL;
    gboolean done;

    cli_plan(ctl, _("Would clone vol %s of pool %s as %s to %s (%u vols)"), source->name,
             source->pool, (const char *)names->pdata[0],
             (const char *)names->pdata[names->len - 1], names->len);
    done = cli_live_copy_begin(cloning->live, &why) && clone_make_many(cloning, names, made, &why);
    if (!cli_live_copy_end(cloning->live, done, &why) && done)
        while (made->len > 0)
            cli_live_copy_drop(cloning->live, g_ptr_array_steal_index(made, made->len - 1));
    clone_print_many(cloning, made);
    if (!why)
        return TRUE;
    if (made->len == 0) {
        g_propagate_error(error, why);
        return cli_failed(ctl, _("Failed to clone vol from %s"), source->name);
    }
    problem = cst_error_text(why);
    g_error_free(why);
    cst_fail(error, CST_ERROR_PARTIAL, "%s", problem);
    return cli_failed(ctl, _("Only %u of %u vols were cloned from %s"), made->len, names->len,
                      source->name);
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean check_clone_options(const CliArgs *args, gboolean many, GError **error)
{
    static const char *const one_only[] = {"detach", "print-xml"};

    for (gsize i = 0; many && i < G_N_ELEMENTS(one_only); i++)
        if (!cli_args_exclusive(args, "count", one_only[i], error))
            return FALSE;
    return TRUE;
}

/* A copy that shares the source's content cannot have that of a live snapshot. */
static gboolean clone_read_live(CliCtl *ctl, const CliArgs *args, const CstVolRef *source,
                                CliLiveCopy *live, GError **error)
{
    GError *why = NULL;

    if (!cli_args_exclusive(args, "consistency", "linked", error) ||
        !cli_args_exclusive(args, "consistency", "reflink", error) ||
        !cli_live_copy_read(ctl, args, source, source->name, live, error))
        return FALSE;
    if (live->disk && cli_args_has(args, "reflink"))
        cst_fail(&why, CST_ERROR_UNSUPPORTED,
                 _("disk '%s' of domain '%s': a reflink copy shares the stored bytes; clone "
                   "without --reflink"),
                 live->disk->target, live->disk->domain);
    if (why || cli_args_has(args, "linked"))
        cli_live_copy_give_up(live, why);
    return TRUE;
}

static gboolean cmd_vol_clone(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) source = cli_vol(ctl, args, "pool", NULL, error);
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autofree char *xml = NULL;
    gboolean many = FALSE;
    g_auto(CliLiveCopy) live = {0};
    Cloning cloning = {ctl, args, source, NULL, NULL, &live};

    if (!source)
        return FALSE;
    cloning.pool = pool = cst_conn_pool_of_vol(ctl->conn, source, error);
    if (!pool)
        return cli_failed(ctl, "%s", _("failed to get parent pool"));
    names = clone_read_names(ctl, args, pool, &many, error);
    if (!names || !check_clone_options(args, many, error))
        return FALSE;
    cloning.xml = xml = cst_conn_vol_xml(ctl->conn, source, 0, error);
    if (!xml)
        return FALSE;
    if (cli_args_has(args, "print-xml"))
        return clone_print_xml(&cloning, g_ptr_array_index(names, 0), error);
    if (!clone_read_live(ctl, args, source, &live, error))
        return FALSE;
    return many ? clone_many(&cloning, names, error)
                : clone_vol(&cloning, g_ptr_array_index(names, 0), error);
}

static const CliOption clone_options[] = {
    VOL,
    {.name = "newname",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_OFFERED,
     .help = N_("clone name"),
     .unless = "name",
     .complete = cli_complete_new_vols},
    POOL,
    PREALLOC,
    PREALLOCATION,
    REFLINK,
    CLI_SWITCH("print-xml", N_("print XML document rather than clone the volume")),
    CLI_SWITCH("linked", N_("store only the differences, and depend on the volume")),
    {.name = "count",
     .kind = CLI_OPT_INT,
     .flags = CLI_OPT_NAMED,
     .help = N_("make so many; the name has a place for their number: vm-%02d")},
    {.name = "first",
     .kind = CLI_OPT_INT,
     .flags = CLI_OPT_NAMED,
     .help = N_("the first of these numbers (1)")},
    NEW_NAME("name", CLI_OPT_NAMED, NULL, N_("the same as newname")),
    FORCE_SHARE,
    CLI_CONSISTENCY,
    OVERWRITE,
    RATE_LIMIT,
    DETACH,
    {0},
};

const CliCommand cli_vol_clone_command = {
    .name = "vol-clone",
    .alias = "cp",
    .summary = N_("clone a volume."),
    .description = N_("Clone an existing volume within the parent pool."),
    .options = clone_options,
    .handler = cmd_vol_clone,
    .flags = CLI_CMD_MUTATES,
};
