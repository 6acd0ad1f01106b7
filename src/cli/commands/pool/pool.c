/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared code of pool commands: finding the pool of an option, words for state and type, flags, and
 * the completion of names. If a pool is not found, the nearest name becomes the hint of the error.
 */
#include "pool.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "core/suggest.h"

/* The names and bits of virsh's pool-list --type. The last two are types of other drivers. */
static const CliPoolType pool_types[] = {
    {"dir", CST_LIST_POOLS_DIR},
    {"fs", CST_LIST_POOLS_FS},
    {"netfs", CST_LIST_POOLS_NETFS},
    {"logical", CST_LIST_POOLS_LOGICAL},
    {"disk", CST_LIST_POOLS_DISK},
    {"iscsi", CST_LIST_POOLS_ISCSI},
    {"scsi", CST_LIST_POOLS_SCSI},
    {"mpath", CST_LIST_POOLS_MPATH},
    {"rbd", CST_LIST_POOLS_RBD},
    {"gluster", CST_LIST_POOLS_GLUSTER},
    {"zfs", CST_LIST_POOLS_ZFS},
    {"iscsi-direct", CST_LIST_POOLS_ISCSI_DIRECT},
    {"sheepdog", CST_LIST_POOLS_SHEEPDOG},
    {"vstorage", CST_LIST_POOLS_VSTORAGE},
    {0},
};

const CliPoolType *cli_pool_types(void)
{
    return pool_types;
}

const char *cli_pool_state_word(CstPoolRunState state)
{
    static const char *const words[] = {
        [CST_POOL_INACTIVE] = N_("inactive"),         [CST_POOL_BUILDING] = N_("building"),
        [CST_POOL_RUNNING] = N_("running"),           [CST_POOL_DEGRADED] = N_("degraded"),
        [CST_POOL_INACCESSIBLE] = N_("inaccessible"),
    };

    return (unsigned)state < G_N_ELEMENTS(words) ? words[state] : N_("unknown");
}

static gboolean option_uuid(const char *text, CstUuid *ret_uuid)
{
    return strlen(text) == CST_UUID_TEXT_LEN - 1 && cst_uuid_parse(text, ret_uuid);
}

/* Set the hint of the error to the pool name nearest to @name. */
static void suggest_pool(CliCtl *ctl, const char *name)
{
    g_autoptr(GPtrArray) pools = NULL;
    g_auto(CliNearest) nearest = {0};

    cli_nearest_init(&nearest, name);
    pools = cst_conn_pool_list(ctl->conn, CST_LIST_POOLS_ACTIVE | CST_LIST_POOLS_INACTIVE, NULL);
    for (guint i = 0; pools && i < pools->len; i++)
        cli_nearest_offer(&nearest, ((const CstPoolRef *)g_ptr_array_index(pools, i))->name);
    cli_suggest_name(ctl, &nearest);
}

/* Detect a wrong order of words: another plain word is the name of a pool. */
static void find_misplaced_pool(CliCtl *ctl, const CliArgs *args, const char *name)
{
    for (guint i = 0; i < args->items->len; i++) {
        const CliArg *item = &g_array_index(args->items, CliArg, i);
        g_autoptr(CstPoolRef) pool = item->plain && item->value && strcmp(item->value, name) != 0
                                         ? cst_conn_pool_by_name(ctl->conn, item->value, NULL)
                                         : NULL;

        if (pool)
            cli_next_step(ctl,
                          _("'%s' is a pool, and '%s' stands where the pool is expected; "
                            "`cistern help %s` shows the order of the words"),
                          pool->name, name, args->command->name);
    }
}

static void fail_pool(CliCtl *ctl, const CliArgs *args, const char *option, const char *name)
{
    const char *origin = cli_args_origin(args, option);

    cli_failed(ctl, _("failed to get pool '%s'"), name);
    suggest_pool(ctl, name);
    find_misplaced_pool(ctl, args, name);
    if (origin)
        cli_hint(ctl, _("no pool was named, and '%s' is the default of %s"), name, origin);
}

CstPoolRef *cli_pool_named(CliCtl *ctl, const CliArgs *args, const char *option, const char *name,
                           GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    CstPoolRef *pool = NULL;
    CstUuid uuid;

    if (!conn)
        return NULL;
    if (option_uuid(name, &uuid))
        pool = cst_conn_pool_by_uuid(conn, &uuid, NULL);
    if (!pool)
        pool = cst_conn_pool_by_name(conn, name, error);
    if (!pool)
        fail_pool(ctl, args, option, name);
    return pool;
}

CstPoolRef *cli_pool(CliCtl *ctl, const CliArgs *args, const char *option, const char **ret_name,
                     GError **error)
{
    CstPoolRef *pool;
    const char *name;

    if (!cli_conn(ctl, error) || !cli_args_string(args, option, &name, error))
        return NULL;
    pool = cli_pool_named(ctl, args, option, name, error);
    if (pool && ret_name)
        *ret_name = name;
    return pool;
}

/* --- several pools --------------------------------------------------------------------------- */

static void pool_arg_free(gpointer data)
{
    CliPoolArg *arg = data;

    cst_pool_ref_free(arg->pool);
    g_free(arg->typed);
    g_free(arg);
}

void cli_pool_arg_name(gconstpointer thing, const char **ret_pool, const char **ret_name)
{
    *ret_name = ((const CliPoolArg *)thing)->pool->name;
}

static gboolean pool_arg_is_same(gconstpointer one, gconstpointer other)
{
    return g_str_equal(((const CliPoolArg *)one)->pool->name,
                       ((const CliPoolArg *)other)->pool->name);
}

gboolean cli_pool_each(CliCtl *ctl, const CliArgs *args, const CliEach *each, gpointer data,
                       GError **error)
{
    g_autoptr(GPtrArray) pools = g_ptr_array_new_with_free_func(pool_arg_free);
    g_autoptr(GPtrArray) words = cli_conn(ctl, error) ? cli_each_word(args, "pool", error) : NULL;

    for (guint i = 0; words && i < words->len; i++) {
        CstPoolRef *pool = cli_pool_named(ctl, args, "pool", words->pdata[i], error);
        CliPoolArg *arg;

        if (!pool)
            return FALSE;
        arg = g_new0(CliPoolArg, 1);
        *arg = (CliPoolArg){pool, g_strdup(words->pdata[i])};
        if (g_ptr_array_find_with_equal_func(pools, arg, pool_arg_is_same, NULL))
            pool_arg_free(arg);
        else
            g_ptr_array_add(pools, arg);
    }
    return words && cli_each(ctl, each, pools, data, error);
}

CstPoolRef *cli_pool_by_name(CliCtl *ctl, const CliArgs *args, const char *option, GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    CstPoolRef *pool;
    const char *name;

    if (!conn || !cli_args_string(args, option, &name, error))
        return NULL;
    pool = cst_conn_pool_by_name(conn, name, error);
    if (!pool)
        fail_pool(ctl, args, option, name);
    return pool;
}

CstPoolRef *cli_pool_by_uuid(CliCtl *ctl, const CliArgs *args, const char *option, GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    CstPoolRef *pool;
    const char *text;
    CstUuid uuid;

    if (!conn || !cli_args_string(args, option, &text, error))
        return NULL;
    if (!option_uuid(text, &uuid)) {
        cst_fail(error, CST_ERROR_NOT_FOUND, _("failed to get pool '%s'"), text);
        return NULL;
    }
    pool = cst_conn_pool_by_uuid(conn, &uuid, error);
    if (!pool)
        cli_failed(ctl, _("failed to get pool '%s'"), text);
    return pool;
}

gboolean cli_pool_create_flags(const CliArgs *args, unsigned *ret_flags, GError **error)
{
    unsigned flags = 0;

    if (!cli_args_exclusive(args, "overwrite", "no-overwrite", error))
        return FALSE;
    if (cli_args_has(args, "build"))
        flags |= CST_POOL_CREATE_WITH_BUILD;
    if (cli_args_has(args, "overwrite"))
        flags |= CST_POOL_CREATE_WITH_BUILD_OVERWRITE;
    if (cli_args_has(args, "no-overwrite"))
        flags |= CST_POOL_CREATE_WITH_BUILD_NO_OVERWRITE;
    *ret_flags = flags;
    return TRUE;
}

static int compare_refs(gconstpointer a, gconstpointer b)
{
    const CstPoolRef *const *one = a;
    const CstPoolRef *const *two = b;

    return g_ascii_strcasecmp((*one)->name, (*two)->name);
}

GPtrArray *cli_pool_collect(CliCtl *ctl, unsigned filter, GError **error)
{
    CstConn *conn = cli_conn(ctl, error);
    GPtrArray *pools = conn ? cst_conn_pool_list(conn, filter, error) : NULL;

    if (pools)
        g_ptr_array_sort(pools, compare_refs);
    else if (conn)
        cli_failed(ctl, "%s", _("Failed to list pools"));
    return pools;
}

GPtrArray *cli_pools_asked(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;
    CstPoolRef *pool;

    if (!cli_args_has(args, "pool"))
        return cli_pool_collect(ctl, CST_LIST_POOLS_ACTIVE, error);
    pool = cli_pool(ctl, args, "pool", NULL, error);
    if (!pool)
        return NULL;
    pools = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_ref_free);
    g_ptr_array_add(pools, pool);
    return g_steal_pointer(&pools);
}

/* --- completion ------------------------------------------------------------------------------ */

static void add_pools(CliCtl *ctl, unsigned filter, GPtrArray *words)
{
    CstConn *conn = cli_conn(ctl, NULL);
    g_autoptr(GPtrArray) pools = conn ? cst_conn_pool_list(conn, filter, NULL) : NULL;

    g_clear_pointer(&ctl->headline, g_free);
    for (guint i = 0; pools && i < pools->len; i++) {
        const CstPoolRef *pool = g_ptr_array_index(pools, i);

        g_ptr_array_add(words, g_strdup(pool->name));
    }
}

void cli_complete_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_pools(ctl, CST_LIST_POOLS_ACTIVE | CST_LIST_POOLS_INACTIVE, words);
}

void cli_complete_active_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_pools(ctl, CST_LIST_POOLS_ACTIVE, words);
}

void cli_complete_inactive_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_pools(ctl, CST_LIST_POOLS_INACTIVE, words);
}

void cli_complete_pool_types(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const CliPoolType *type = cli_pool_types(); type->name; type++)
        g_ptr_array_add(words, g_strdup(type->name));
}
