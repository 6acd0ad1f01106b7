/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-list: virsh's table, its details, or bare names and uuids. What each column needs is asked
 * pool by pool; what a server does not answer is shown as unknown.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "output/table.h"
#include "output/text.h"
#include "pool.h"

typedef struct {
    gboolean details, uuid, name;
    unsigned filter;
} Request;

/** A list with commas; ",," is a comma that belongs to the name, as in virsh. */
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

static gboolean read_request(const CliArgs *args, Request *request, GError **error)
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

static const CliColumn short_columns[] = {
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("UUID"), "uuid", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("State"), "state", CLI_CELL_WORD, N_("unknown"), 0},
    {N_("Autostart"), "autostart", CLI_CELL_BOOL, N_("no autostart"), 0},
};

static const CliColumn detail_columns[] = {
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("UUID"), "uuid", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("State"), "state", CLI_CELL_WORD, N_("unknown"), 0},
    {N_("Autostart"), "autostart", CLI_CELL_BOOL, N_("no autostart"), 0},
    {N_("Persistent"), "persistent", CLI_CELL_BOOL, N_("unknown"), 0},
    {N_("Capacity"), "capacity", CLI_CELL_SIZE, "-", 0},
    {N_("Allocation"), "allocation", CLI_CELL_SIZE, "-", 0},
    {N_("Available"), "available", CLI_CELL_SIZE, "-", 0},
    {N_("Health"), "health", CLI_CELL_TEXT, "-", 0}, /* the last: only where a pool tells of it */
};

static void add_identity(CliTable *table, const CstPoolRef *pool)
{
    char uuid[CST_UUID_TEXT_LEN];

    cli_table_add_text(table, pool->name);
    cli_table_add_text(table, cst_uuid_format(&pool->uuid, uuid));
}

/* "active" does not mean that the storage is there: who reads the list wants to know. */
static const char *state_word(CliCtl *ctl, const CstPoolRef *pool)
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

static void add_short(CliTable *table, CliCtl *ctl, const CstPoolRef *pool)
{
    gboolean autostart = FALSE;
    gboolean known;

    add_identity(table, pool);
    cli_table_add_word(table, state_word(ctl, pool));
    known = cst_conn_pool_get_autostart(ctl->conn, pool, &autostart, NULL);
    cli_table_add_known_bool(table, known, autostart);
}

static void add_details(CliTable *table, CliCtl *ctl, const CstPoolRef *pool)
{
    CstPoolInfo info = {0};
    gboolean autostart = FALSE;
    gboolean persistent = FALSE;
    gboolean known = cst_conn_pool_info(ctl->conn, pool, &info, NULL);
    gboolean sizes = info.state == CST_POOL_RUNNING || info.state == CST_POOL_DEGRADED;
    const uint64_t values[] = {info.capacity, info.allocation, info.available};

    if (!known)
        cli_complain(ctl, "%s", _("Could not retrieve pool information"));
    add_identity(table, pool);
    cli_table_add_word(table, known ? cli_pool_state_word(info.state) : NULL);
    known = cst_conn_pool_get_autostart(ctl->conn, pool, &autostart, NULL);
    cli_table_add_known_bool(table, known, autostart);
    known = cst_conn_pool_is_persistent(ctl->conn, pool, &persistent, NULL);
    cli_table_add_known_bool(table, known, persistent);
    for (gsize i = 0; i < G_N_ELEMENTS(values); i++)
        cli_table_add_known_size(table, sizes, values[i]);
}

/* How a pool's storage is, in its technology's words; NULL: that does not tell. Free it. */
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

static void print_details(CliCtl *ctl, const GPtrArray *pools)
{
    g_autoptr(GPtrArray) healths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(CliTable) table = NULL;
    gboolean any = FALSE;

    for (guint i = 0; i < pools->len; i++) {
        char *text = health_text(ctl, g_ptr_array_index(pools, i));

        any = any || text;
        g_ptr_array_add(healths, text);
    }
    table = cli_table_new(detail_columns, G_N_ELEMENTS(detail_columns) - (any ? 0 : 1));
    for (guint i = 0; i < pools->len; i++) {
        add_details(table, ctl, g_ptr_array_index(pools, i));
        if (any)
            cli_table_add_text(table, g_ptr_array_index(healths, i));
    }
    cli_table_print(ctl, table, "pools");
}

static void print_short(CliCtl *ctl, const GPtrArray *pools)
{
    g_autoptr(CliTable) table = cli_table_new(short_columns, G_N_ELEMENTS(short_columns));

    for (guint i = 0; i < pools->len; i++)
        add_short(table, ctl, g_ptr_array_index(pools, i));
    cli_table_print(ctl, table, "pools");
}

/** Bare uuids and names, a pool per line, in virsh's fixed widths. */
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

static gboolean cmd_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;
    Request request;

    if (!read_request(args, &request, error))
        return FALSE;
    pools = cli_pool_collect(ctl, request.filter, error);
    if (!pools)
        return FALSE;
    if ((request.uuid || request.name) && !ctl->settings.json)
        print_bare(ctl, pools, &request);
    else if (request.details)
        print_details(ctl, pools);
    else
        print_short(ctl, pools);
    return TRUE;
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
    {0},
};

const CliCommand cli_pool_list_command = {
    .name = "pool-list",
    .summary = N_("list pools"),
    .description = N_("Returns list of pools."),
    .options = list_options,
    .handler = cmd_list,
};
