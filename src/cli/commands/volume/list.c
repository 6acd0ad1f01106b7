/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-list: the volumes of one pool, or of all active pools, in virsh's tables or in a view
 * (output/view.h). One call returns the details of many volumes. Data that must be read for each
 * volume (its backing image, snapshots, holders) is queried only if the view needs it. Problems of
 * volumes are warnings on stderr.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/url.h>
#include <conn/tags.h>

#include "commands/pool/pool.h"
#include "holders.h"
#include "options.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"
#include "volume.h"

/* The queries that fill in a column. */
enum {
    NEEDS_DETAILS = CLI_COLUMN_NEEDS,
    NEEDS_BACKING = CLI_COLUMN_NEEDS << 1,
    NEEDS_SNAPSHOTS = CLI_COLUMN_NEEDS << 2,
    NEEDS_HOLDERS = CLI_COLUMN_NEEDS << 3,
    NEEDS_PROTECTED = CLI_COLUMN_NEEDS << 4,
    NEEDS_TAGS = CLI_COLUMN_NEEDS << 5
};

#define DETAILS_JSON (NEEDS_DETAILS | CLI_COLUMN_JSON_ONLY)

static const CliColumn columns[] = {
    {N_("Pool"), "pool", CLI_CELL_TEXT, NULL, CLI_COLUMN_ON_REQUEST},
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("Path"), "path", CLI_CELL_TEXT, N_("unknown"), 0},
    {N_("Key"), "key", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Type"), "type", CLI_CELL_WORD, N_("unknown"), NEEDS_DETAILS},
    {N_("Capacity"), "capacity", CLI_CELL_SIZE, N_("unknown"), NEEDS_DETAILS},
    {N_("Allocation"), "allocation", CLI_CELL_SIZE, N_("unknown"), NEEDS_DETAILS},
    {N_("Estimated"), "allocation_estimated", CLI_CELL_BOOL, "-", DETAILS_JSON},
    {N_("Physical"), "physical", CLI_CELL_SIZE, "-", DETAILS_JSON},
    {N_("Format"), "format", CLI_CELL_TEXT, "-", DETAILS_JSON},
    {N_("Problem"), "problem", CLI_CELL_TEXT, "-", DETAILS_JSON},
    {N_("Provisioned"), "provisioned", CLI_CELL_SIZE, "-", NEEDS_DETAILS | CLI_COLUMN_ON_REQUEST},
    {N_("Backing"), "backing", CLI_CELL_TEXT, "-", NEEDS_BACKING | CLI_COLUMN_ON_REQUEST},
    {N_("Snapshots"), "snapshots", CLI_CELL_NUMBER, "-", NEEDS_SNAPSHOTS | CLI_COLUMN_ON_REQUEST},
    {N_("Holder"), "holder", CLI_CELL_TEXT, "-", NEEDS_HOLDERS | CLI_COLUMN_ON_REQUEST},
    {N_("Protected"), "protected", CLI_CELL_BOOL, "-", NEEDS_PROTECTED | CLI_COLUMN_ON_REQUEST},
    {N_("Tags"), "tags", CLI_CELL_LIST, "-", NEEDS_TAGS | CLI_COLUMN_ON_REQUEST},
    {N_("Note"), "note", CLI_CELL_TEXT, "-", NEEDS_TAGS | CLI_COLUMN_ON_REQUEST},
};

#define SHORT_COLUMNS "name,path,key"
#define DETAIL_COLUMNS \
    SHORT_COLUMNS ",type,capacity,allocation,allocation_estimated,physical,format,problem"

/* --- rows ------------------------------------------------------------------------------------- */

static int compare_vol_rows(gconstpointer a, gconstpointer b)
{
    const CstVolRow *const *one = a;
    const CstVolRow *const *two = b;

    return g_ascii_strcasecmp((*one)->name, (*two)->name);
}

/* Rows of a server are usually sorted already, and a check is cheaper than a sort. */
static void sort_rows(GPtrArray *rows)
{
    for (guint i = 1; i < rows->len; i++)
        if (compare_vol_rows(&rows->pdata[i - 1], &rows->pdata[i]) > 0) {
            g_ptr_array_sort(rows, compare_vol_rows);
            return;
        }
}

/* State shared by all rows of a list. */
typedef struct {
    CliCtl *ctl;
    const CliView *view;
    CliTable *table;
    GPtrArray *jobs; /* of CstJobInfo, for the holders column; NULL: not queried */
} Listing;

/* The data about all volumes of a pool. */
typedef struct {
    const CstPoolRef *pool;
    GPtrArray *rows;            /* of CstVolRow */
    GPtrArray *more;            /* of CstVolMore, one for each row; NULL: not queried */
    GHashTable *protected_ones; /* names; NULL: not queried */
    GHashTable *tagged;         /* names to CstTagged; NULL: not queried */
} PoolVolumes;

static void pool_volumes_clear(PoolVolumes *volumes)
{
    g_clear_pointer(&volumes->rows, g_ptr_array_unref);
    g_clear_pointer(&volumes->more, g_ptr_array_unref);
    g_clear_pointer(&volumes->protected_ones, g_hash_table_unref);
    g_clear_pointer(&volumes->tagged, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PoolVolumes, pool_volumes_clear)

static void add_details(CliTable *table, const CstVolRow *row, gboolean asked)
{
    const CstVolInfo *info = &row->info;
    /* libvirt's daemon reports no sizes for a volume that it could not read. */
    gboolean known =
        asked && (!row->problem || info->capacity || info->allocation || info->physical);

    cli_table_add_word(table, known ? cli_vol_type_word(info->type) : NULL);
    cli_table_add_known_size(table, known, info->capacity);
    cli_table_add_known_size(table, known, info->allocation);
    cli_table_add_known_bool(table, known, info->estimated);
    cli_table_add_known_size(table, info->physical != 0, info->physical);
    cli_table_add_text(table, row->format);
    cli_table_add_text(table, row->problem);
    /* The space that the volume needs when it is full. */
    cli_table_add_known_size(table, known, MAX(info->capacity, info->allocation));
}

static void add_tags(CliTable *table, const PoolVolumes *volumes, const char *name)
{
    const CstTagged *tagged = volumes->tagged ? g_hash_table_lookup(volumes->tagged, name) : NULL;
    g_autofree char *tags = cst_tagged_text(tagged);

    cli_table_add_list(table, tags);
    cli_table_add_text(table, tagged ? tagged->note : NULL);
}

static void vol_row_add(const Listing *listing, const PoolVolumes *volumes, guint i)
{
    const CstVolRow *row = g_ptr_array_index(volumes->rows, i);
    const CstVolMore *more = volumes->more ? g_ptr_array_index(volumes->more, i) : NULL;
    gboolean counted = more && more->snapshots >= 0;
    g_autofree char *holders = NULL;
    g_autofree char *backing = more && more->backing ? cst_reference_shown(more->backing) : NULL;
    CliTable *table = listing->table;

    if (listing->view->needs & NEEDS_HOLDERS)
        holders = cli_vol_holders_text(more ? more->holders : NULL, listing->jobs,
                                       volumes->pool->name, row->name);
    cli_table_add_text(table, volumes->pool->name);
    cli_table_add_text(table, row->name);
    cli_table_add_text(table, *row->path ? row->path : NULL);
    cli_table_add_text(table, row->key);
    add_details(table, row, (listing->view->needs & NEEDS_DETAILS) != 0);
    cli_table_add_text(table, backing);
    cli_table_add_known_number(table, counted, counted ? (uint64_t)more->snapshots : 0);
    cli_table_add_text(table, holders);
    cli_table_add_known_bool(table, volumes->protected_ones != NULL,
                             volumes->protected_ones &&
                                 g_hash_table_contains(volumes->protected_ones, row->name));
    add_tags(table, volumes, row->name);
}

static unsigned wants_of(const CliView *view)
{
    return (view->needs & NEEDS_BACKING ? CST_VOL_MORE_BACKING : 0) |
           (view->needs & NEEDS_SNAPSHOTS ? CST_VOL_MORE_SNAPSHOTS : 0) |
           (view->needs & NEEDS_HOLDERS ? CST_VOL_MORE_HOLDERS : 0);
}

/** The columns of the table are virsh's, so problems of volumes are printed as warnings. */
static void warn_of_problems(CliCtl *ctl, const GPtrArray *rows)
{
    if (ctl->settings.json)
        return;
    for (guint i = 0; i < rows->len; i++) {
        const CstVolRow *row = g_ptr_array_index(rows, i);

        if (row->problem)
            cli_warn(ctl, _("warning: volume '%s': %s\n"), row->name, row->problem);
    }
}

/* Query the data that the view needs. Return: FALSE with an error. */
static gboolean listing_query_pool(const Listing *listing, PoolVolumes *volumes, GError **error)
{
    CstConn *conn = listing->ctl->conn;
    unsigned needs = listing->view->needs, wants = wants_of(listing->view);

    volumes->rows = cst_conn_vol_list(conn, volumes->pool, (needs & NEEDS_DETAILS) != 0, error);
    if (!volumes->rows)
        return FALSE;
    sort_rows(volumes->rows);
    if (wants)
        volumes->more = cst_conn_vol_list_more(conn, volumes->pool, volumes->rows, wants, error);
    if (wants && !volumes->more)
        return FALSE;
    if (needs & NEEDS_PROTECTED)
        volumes->protected_ones = cst_conn_pool_protected(conn, volumes->pool, error);
    if ((needs & NEEDS_PROTECTED) && !volumes->protected_ones)
        return FALSE;
    if (needs & NEEDS_TAGS)
        volumes->tagged = cst_conn_pool_tagged(conn, volumes->pool, error);
    return !(needs & NEEDS_TAGS) || volumes->tagged;
}

/* Add the pool's volumes. *ret_rows receives the rows, for warnings after the table. */
static gboolean listing_add_pool(const Listing *listing, const CstPoolRef *pool,
                                 GPtrArray **ret_rows, GError **error)
{
    g_auto(PoolVolumes) volumes = {.pool = pool};

    if (!listing_query_pool(listing, &volumes, error))
        return FALSE;
    for (guint i = 0; i < volumes.rows->len; i++)
        vol_row_add(listing, &volumes, i);
    *ret_rows = g_steal_pointer(&volumes.rows);
    return TRUE;
}

/* --- the command ------------------------------------------------------------------------------ */

/* If one pool fails, the other pools are still listed. */
static gboolean list_vols_of_pools(const Listing *listing, const GPtrArray *pools, gboolean all,
                                   GError **error)
{
    g_autoptr(GPtrArray) lists = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    g_autoptr(GString) failed = g_string_new(NULL);

    for (guint i = 0; i < pools->len; i++) {
        const CstPoolRef *pool = g_ptr_array_index(pools, i);
        g_autoptr(GError) why = NULL;
        GPtrArray *rows = NULL;

        if (listing_add_pool(listing, pool, &rows, all ? &why : error))
            g_ptr_array_add(lists, rows);
        else if (all)
            g_string_append_printf(failed, "%s%s: %s", failed->len ? "; " : "", pool->name,
                                   why->message);
        else
            return cli_failed(listing->ctl, "%s", _("Failed to list volumes"));
    }
    cli_view_print(listing->ctl, listing->view, listing->table, "volumes");
    for (guint i = 0; i < lists->len; i++)
        warn_of_problems(listing->ctl, g_ptr_array_index(lists, i));
    if (failed->len == 0)
        return TRUE;
    cst_fail(error, CST_ERROR_PARTIAL, "%s", failed->str);
    return cli_failed(listing->ctl, "%s", _("Failed to list the volumes of all pools"));
}

static const char *usual_columns(gboolean details, gboolean all)
{
    if (details)
        return all ? "pool," DETAIL_COLUMNS : DETAIL_COLUMNS;
    return all ? "pool," SHORT_COLUMNS : SHORT_COLUMNS;
}

static gboolean cmd_vol_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    gboolean all = !cli_args_has(args, "pool");
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    g_autoptr(GPtrArray) pools = NULL, jobs = NULL;
    g_auto(CliView) view = {0};
    Listing listing = {ctl, &view, table, NULL};

    if (!cli_view_read(&view, args, columns, G_N_ELEMENTS(columns),
                       usual_columns(cli_args_has(args, "details"), all), error))
        return FALSE;
    pools = cli_pools_asked(ctl, args, error);
    if (!pools)
        return FALSE;
    if (view.needs & NEEDS_HOLDERS)
        listing.jobs = jobs = cst_conn_job_list(ctl->conn, FALSE, NULL);
    return list_vols_of_pools(&listing, pools, all, error);
}

static void complete_vol_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(columns, G_N_ELEMENTS(columns), words);
}

static const CliOption list_options[] = {
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_OFFERED,
     .help = N_("pool name or uuid; default: all active pools"),
     .complete = cli_complete_active_pools},
    CLI_SWITCH("details", N_("display extended details for volumes")),
    CLI_VIEW_OPTIONS(complete_vol_columns),
    {0},
};

const CliCommand cli_vol_list_command = {
    .name = "vol-list",
    .alias = "ls",
    .summary = N_("list vols"),
    .description = N_("Returns list of vols by pool."),
    .options = list_options,
    .handler = cmd_vol_list,
};
