/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-list: virsh's table, its details, bare names and UUIDs, or a view (output/view.h). The data
 * for each column is queried pool by pool. Values that a server does not report are shown as
 * unknown.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "output/table.h"
#include "output/text.h"
#include "output/view.h"
#include "pool.h"

typedef struct {
    gboolean details, uuid, name;
    unsigned filter;
} Request;

/** Split a list with commas. ",," is a comma in a name, as in virsh. */
static char **split_list(const char *text)
{
    GPtrArray *items = g_ptr_array_new();
    GString *item = g_string_new(NULL);

    for (; *text; text++) {
        if (*text == ',' && text[1] != ',') {
            g_ptr_array_add(items, g_string_free(item, FALSE));
            item = g_string_new(NULL);
            continue;
        }
        g_string_append_c(item, *text);
        if (*text == ',')
            text++;
    }
    g_ptr_array_add(items, g_string_free(item, FALSE));
    g_ptr_array_add(items, NULL);
    return (char **)g_ptr_array_free(items, FALSE);
}

static gboolean add_type(const char *name, unsigned *filter, GError **error)
{
    for (const CliPoolType *type = cli_pool_types(); type->name; type++)
        if (g_str_equal(type->name, name)) {
            *filter |= type->filter;
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_USAGE, _("Invalid pool type '%s'"), name);
}

static gboolean add_types(const CliArgs *args, unsigned *filter, GError **error)
{
    g_auto(GStrv) names = NULL;
    const char *list;

    if (!cli_args_string(args, "type", &list, error))
        return FALSE;
    if (!list)
        return TRUE;
    names = split_list(list);
    for (char **name = names; *name; name++)
        if (!add_type(*name, filter, error))
            return FALSE;
    return TRUE;
}

static gboolean read_pool_list_request(const CliArgs *args, Request *request, GError **error)
{
    static const struct {
        const char *option;
        unsigned filter;
    } filters[] = {
        {"autostart", CST_LIST_POOLS_AUTOSTART},
        {"no-autostart", CST_LIST_POOLS_NO_AUTOSTART},
        {"persistent", CST_LIST_POOLS_PERSISTENT},
        {"transient", CST_LIST_POOLS_TRANSIENT},
    };

    request->details = cli_args_has(args, "details");
    request->uuid = cli_args_has(args, "uuid");
    request->name = cli_args_has(args, "name");
    if (!cli_args_exclusive(args, "details", "uuid", error) ||
        !cli_args_exclusive(args, "details", "name", error) ||
        !cli_args_exclusive(args, "all", "inactive", error))
        return FALSE;
    request->filter =
        cli_args_has(args, "inactive") ? CST_LIST_POOLS_INACTIVE : CST_LIST_POOLS_ACTIVE;
    if (cli_args_has(args, "all"))
        request->filter = CST_LIST_POOLS_ACTIVE | CST_LIST_POOLS_INACTIVE;
    for (gsize i = 0; i < G_N_ELEMENTS(filters); i++)
        if (cli_args_has(args, filters[i].option))
            request->filter |= filters[i].filter;
    return add_types(args, &request->filter, error);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* The queries that fill in a column. */
enum {
    NEEDS_INFO = CLI_COLUMN_NEEDS,
    NEEDS_PERSISTENT = CLI_COLUMN_NEEDS << 1,
    NEEDS_HEALTH = CLI_COLUMN_NEEDS << 2,
    NEEDS_TYPE = CLI_COLUMN_NEEDS << 3,
    NEEDS_COUNT = CLI_COLUMN_NEEDS << 4,
    NEEDS_VOLUMES = CLI_COLUMN_NEEDS << 5,
    NEEDS_FORECAST = CLI_COLUMN_NEEDS << 6
};

static const CliColumn columns[] = {
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("UUID"), "uuid", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("State"), "state", CLI_CELL_WORD, N_("unknown"), 0},
    {N_("Autostart"), "autostart", CLI_CELL_BOOL, N_("no autostart"), 0},
    {N_("Persistent"), "persistent", CLI_CELL_BOOL, N_("unknown"), NEEDS_PERSISTENT},
    {N_("Capacity"), "capacity", CLI_CELL_SIZE, "-", NEEDS_INFO},
    {N_("Allocation"), "allocation", CLI_CELL_SIZE, "-", NEEDS_INFO},
    {N_("Available"), "available", CLI_CELL_SIZE, "-", NEEDS_INFO},
    {N_("Health"), "health", CLI_CELL_TEXT, "-", NEEDS_HEALTH},
    {N_("Type"), "type", CLI_CELL_TEXT, "-", NEEDS_TYPE | CLI_COLUMN_ON_REQUEST},
    {N_("Volumes"), "volumes", CLI_CELL_NUMBER, "-", NEEDS_COUNT | CLI_COLUMN_ON_REQUEST},
    {N_("Provisioned"), "provisioned", CLI_CELL_SIZE, "-", NEEDS_VOLUMES | CLI_COLUMN_ON_REQUEST},
    {N_("Days until full"), "days_until_full", CLI_CELL_NUMBER, "-",
     NEEDS_FORECAST | CLI_COLUMN_ON_REQUEST},
};

#define SHORT_COLUMNS  "name,uuid,state,autostart"
#define DETAIL_COLUMNS SHORT_COLUMNS ",persistent,capacity,allocation,available,health"

/* An active pool with inaccessible storage gets another word than "active". */
static const char *pool_activity_word(CliCtl *ctl, const CstPoolRef *pool)
{
    CstPoolInfo info = {0};
    gboolean active = FALSE;

    if (!cst_conn_pool_is_active(ctl->conn, pool, &active, NULL))
        return NULL;
    if (!active)
        return N_("inactive");
    return cst_conn_pool_info(ctl->conn, pool, &info, NULL) && info.state == CST_POOL_INACCESSIBLE
               ? cli_pool_state_word(info.state)
               : N_("active");
}

static void add_sizes(CliTable *table, CliCtl *ctl, const CstPoolRef *pool, gboolean asked)
{
    CstPoolInfo info = {0};
    gboolean known = asked && cst_conn_pool_info(ctl->conn, pool, &info, NULL) &&
                     (info.state == CST_POOL_RUNNING || info.state == CST_POOL_DEGRADED);

    cli_table_add_known_size(table, known, info.capacity);
    cli_table_add_known_size(table, known, info.allocation);
    cli_table_add_known_size(table, known, info.available);
}

/*
 * Return: the health of a pool in the words of its storage technology; NULL: not reported. The
 * caller frees it.
 */
static char *health_text(CliCtl *ctl, const CstPoolRef *pool)
{
    g_auto(CstPoolHealth) health = {0};
    g_autoptr(GString) text = NULL;

    if (!cst_conn_pool_health(ctl->conn, pool, &health, NULL) || health.level == CST_HEALTH_UNKNOWN)
        return NULL;
    text = g_string_new(health.state);
    for (guint i = 0; health.notes && i < health.notes->len; i++)
        g_string_append_printf(text, "; %s", (const char *)g_ptr_array_index(health.notes, i));
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static const char *type_name(CliCtl *ctl, const CstPoolRef *pool)
{
    g_autofree char *xml = cst_conn_pool_xml(ctl->conn, pool, 0, NULL);
    g_autoptr(CstPoolDef) def = xml ? cst_pool_def_parse(xml, 0, NULL) : NULL;

    return def ? cst_pool_type_name(def->type) : NULL;
}

/* Sum up the space that the volumes may need when they are full. Return: FALSE if unknown. */
static gboolean sum_volumes(CliCtl *ctl, const CstPoolRef *pool, uint64_t *ret_bytes)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(ctl->conn, pool, TRUE, NULL);

    *ret_bytes = 0;
    for (guint i = 0; rows && i < rows->len; i++) {
        const CstVolInfo *info = &((const CstVolRow *)rows->pdata[i])->info;

        *ret_bytes += MAX(info->capacity, info->allocation);
    }
    return rows != NULL;
}

static void add_on_request(CliTable *table, CliCtl *ctl, const CstPoolRef *pool, unsigned needs)
{
    uint64_t provisioned = 0, days = 0;
    guint volumes = 0;
    gboolean known;

    cli_table_add_text(table, needs & NEEDS_TYPE ? type_name(ctl, pool) : NULL);
    known = (needs & NEEDS_COUNT) && cst_conn_pool_count_volumes(ctl->conn, pool, &volumes, NULL);
    cli_table_add_known_number(table, known, volumes);
    known = (needs & NEEDS_VOLUMES) && sum_volumes(ctl, pool, &provisioned);
    cli_table_add_known_size(table, known, provisioned);
    known = (needs & NEEDS_FORECAST) && cli_pool_days_until_full(ctl, pool, &days);
    cli_table_add_known_number(table, known, days);
}

/*
 * Add a row. With @details, the state comes from the pool's info. *ret_health is set to TRUE if the
 * pool reports its health.
 */
static void pool_row_add(CliTable *table, CliCtl *ctl, const CstPoolRef *pool, gboolean details,
                         unsigned needs, gboolean *ret_health)
{
    g_autofree char *health = needs & NEEDS_HEALTH ? health_text(ctl, pool) : NULL;
    CstPoolInfo info = {0};
    gboolean autostart = FALSE, persistent = FALSE;
    char uuid[CST_UUID_TEXT_LEN];
    gboolean known;

    cli_table_add_text(table, pool->name);
    cli_table_add_text(table, cst_uuid_format(&pool->uuid, uuid));
    known = details && cst_conn_pool_info(ctl->conn, pool, &info, NULL);
    if (details && !known)
        cli_complain(ctl, "%s", _("Could not retrieve pool information"));
    cli_table_add_word(table, !details ? pool_activity_word(ctl, pool)
                              : known  ? cli_pool_state_word(info.state)
                                       : NULL);
    known = cst_conn_pool_get_autostart(ctl->conn, pool, &autostart, NULL);
    cli_table_add_known_bool(table, known, autostart);
    known = (needs & NEEDS_PERSISTENT) &&
            cst_conn_pool_is_persistent(ctl->conn, pool, &persistent, NULL);
    cli_table_add_known_bool(table, known, persistent);
    add_sizes(table, ctl, pool, (needs & NEEDS_INFO) != 0);
    cli_table_add_text(table, health);
    add_on_request(table, ctl, pool, needs);
    *ret_health |= health != NULL;
}

static void print_view(CliCtl *ctl, const GPtrArray *pools, gboolean details, CliView *view)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    gboolean health = FALSE;

    for (guint i = 0; i < pools->len; i++)
        pool_row_add(table, ctl, g_ptr_array_index(pools, i), details, view->needs, &health);
    /* virsh has no such column. It is shown only if a pool reports its health. */
    if (!health)
        cli_view_hide(view, "health");
    cli_view_print(ctl, view, table, "pools");
}

/** Print bare UUIDs and names, a pool on each line, in virsh's fixed widths. */
static void print_bare(CliCtl *ctl, const GPtrArray *pools, const Request *request)
{
    for (guint i = 0; i < pools->len; i++) {
        const CstPoolRef *pool = g_ptr_array_index(pools, i);
        char uuid[CST_UUID_TEXT_LEN];

        if (request->uuid)
            cli_print(ctl, "%s%s", cst_uuid_format(&pool->uuid, uuid), request->name ? " " : "");
        if (request->name)
            cli_print(ctl, "%-20s", pool->name);
        cli_print(ctl, "\n");
    }
}

/* Bare lines are virsh's output and cannot be combined with view options. */
static gboolean check_bare(const CliArgs *args, const Request *request, GError **error)
{
    static const char *const others[] = {"columns", "sort", "filter", "format", "parsable"};

    for (gsize i = 0; i < G_N_ELEMENTS(others); i++)
        if ((request->uuid && !cli_args_exclusive(args, "uuid", others[i], error)) ||
            (request->name && !cli_args_exclusive(args, "name", others[i], error)))
            return FALSE;
    return TRUE;
}

static gboolean cmd_pool_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;
    g_auto(CliView) view = {0};
    Request request;

    if (!read_pool_list_request(args, &request, error) || !check_bare(args, &request, error) ||
        !cli_view_read(&view, args, columns, G_N_ELEMENTS(columns),
                       request.details ? DETAIL_COLUMNS : SHORT_COLUMNS, error))
        return FALSE;
    pools = cli_pool_collect(ctl, request.filter, error);
    if (!pools)
        return FALSE;
    if ((request.uuid || request.name) && !ctl->settings.json)
        print_bare(ctl, pools, &request);
    else
        print_view(ctl, pools, request.details, &view);
    return TRUE;
}

static void complete_pool_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(columns, G_N_ELEMENTS(columns), words);
}

static const CliOption list_options[] = {
    CLI_SWITCH("inactive", N_("list inactive pools")),
    CLI_SWITCH("all", N_("list inactive & active pools")),
    CLI_SWITCH("transient", N_("list transient pools")),
    CLI_SWITCH("persistent", N_("list persistent pools")),
    CLI_SWITCH("autostart", N_("list pools with autostart enabled")),
    CLI_SWITCH("no-autostart", N_("list pools with autostart disabled")),
    {.name = "type",
     .kind = CLI_OPT_STRING,
     .help = N_("only list pool of specified type(s) (if supported)"),
     .complete = cli_complete_pool_types,
     .complete_by_list = TRUE},
    CLI_SWITCH("details", N_("display extended details for pools")),
    CLI_SWITCH("uuid", N_("list UUID of active pools only")),
    CLI_SWITCH("name", N_("list name of active pools only")),
    CLI_VIEW_OPTIONS(complete_pool_columns),
    {0},
};

const CliCommand cli_pool_list_command = {
    .name = "pool-list",
    .summary = N_("list pools"),
    .description = N_("Returns list of pools."),
    .options = list_options,
    .handler = cmd_pool_list,
};
