/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "complete.h"
#include "pool.h"

/* By CstWipeAlgorithm. */
static const char *const wipe_algorithms[] = {"zero",    "nnsa",     "dod",       "bsi",
                                              "gutmann", "schneier", "pfitzner7", "pfitzner33",
                                              "random",  "trim",     NULL};
G_STATIC_ASSERT(G_N_ELEMENTS(wipe_algorithms) == CST_WIPE_LAST + 1);

const char *cli_vol_type_word(int type)
{
    static const char *const words[] = {N_("file"),    N_("block"),  N_("dir"),
                                        N_("network"), N_("netdir"), N_("ploop")};

    return type >= 0 && type < (int)G_N_ELEMENTS(words) ? words[type] : N_("unknown");
}

int cli_wipe_algorithm(const char *name)
{
    for (int i = 0; wipe_algorithms[i]; i++)
        if (g_str_equal(wipe_algorithms[i], name))
            return i;
    return -1;
}

/** The sentence alone, as virsh prints it; in JSON and for the exit status it is a state. */
static gboolean fail_inactive(CliCtl *ctl, const char *pool, GError **error)
{
    if (!ctl->settings.json) {
        cli_complain(ctl, _("pool '%s' is not active"), pool);
        ctl->told = TRUE;
    }
    return cst_fail(error, CST_ERROR_STATE, _("pool '%s' is not active"), pool);
}

/** The pool that a volume command was given; NULL in *ret_pool when it was given none. */
static gboolean find_pool(CliCtl *ctl, const CliArgs *args, const char *option,
                          CstPoolRef **ret_pool, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    gboolean active = FALSE;
    const char *name;

    if (!option || !cli_args_has(args, option))
        return TRUE;
    pool = cli_pool(ctl, args, option, &name, error);
    if (!pool)
        return FALSE;
    if (!cst_conn_pool_is_active(ctl->conn, pool, &active, error))
        return FALSE;
    if (!active)
        return fail_inactive(ctl, name, error);
    *ret_pool = g_steal_pointer(&pool);
    return TRUE;
}

static CstVolRef *by_key_or_path(CliCtl *ctl, const char *text, GError **error)
{
    CstVolRef *vol = cst_conn_vol_by_key(ctl->conn, text, NULL);

    return vol ? vol : cst_conn_vol_by_path(ctl->conn, text, error);
}

CstVolRef *cli_vol_beside(CliCtl *ctl, const CstPoolRef *pool, const char *text, GError **error)
{
    CstVolRef *vol = cst_conn_vol_by_name(ctl->conn, pool, text, NULL);

    if (!vol)
        vol = by_key_or_path(ctl, text, error);
    if (!vol)
        cli_failed(ctl, _("failed to get vol '%s'"), text);
    return vol;
}

CstVolRef *cli_vol(CliCtl *ctl, const CliArgs *args, const char *pool_option, const char **ret_name,
                   GError **error)
{
    return cli_vol_of(ctl, args, "vol", pool_option, ret_name, error);
}

CstVolRef *cli_vol_of(CliCtl *ctl, const CliArgs *args, const char *option, const char *pool_option,
                      const char **ret_name, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(CstVolRef) vol = NULL;
    const char *name;

    if (!cli_conn(ctl, error) || !cli_args_string(args, option, &name, error) ||
        !find_pool(ctl, args, pool_option, &pool, error))
        return NULL;
    if (pool)
        vol = cst_conn_vol_by_name(ctl->conn, pool, name, NULL);
    if (!vol)
        vol = by_key_or_path(ctl, name, error);
    if (!vol) {
        if (pool || !pool_option)
            cli_failed(ctl, _("failed to get vol '%s'"), name);
        else
            cli_failed(ctl, _("failed to get vol '%s', specifying --%s might help"), name,
                       pool_option);
        return NULL;
    }
    if (pool && !g_str_equal(vol->pool, pool->name)) {
        cst_fail(error, CST_ERROR_NOT_FOUND, _("Requested volume '%s' is not in pool '%s'"), name,
                 pool->name);
        return NULL;
    }
    if (ret_name)
        *ret_name = name;
    return g_steal_pointer(&vol);
}

/** What is wrong with the digits is said in one line, what is wrong with the unit in two. */
gboolean cli_vol_size(CliCtl *ctl, const char *text, uint64_t *ret_bytes, GError **error)
{
    const char *start = text;
    unsigned long long digits;
    uint64_t value;
    char *end;

    while (g_ascii_isspace(*start))
        start++;
    errno = 0;
    digits = strtoull(start, &end, 10);
    if (*start == '-' || end == start || errno)
        return cst_fail(error, CST_ERROR_USAGE, _("Malformed size %s"), text);
    value = digits;
    if (!cst_units_scale(&value, end, 1, G_MAXUINT64, error))
        return cli_failed(ctl, _("Malformed size %s"), text);
    *ret_bytes = value;
    return TRUE;
}

/* --- completion ------------------------------------------------------------------------------ */

static void add_from_pool(CliCtl *ctl, const CstPoolRef *pool, gboolean names, GPtrArray *words)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(ctl->conn, pool, FALSE, NULL);

    for (guint i = 0; rows && i < rows->len; i++) {
        const CstConnVolRow *row = g_ptr_array_index(rows, i);

        g_ptr_array_add(words, g_strdup(names ? row->name : row->key));
    }
}

/** Names in the pool that was given, else the keys of everything. */
static void add_vols(CliCtl *ctl, const CliArgs *args, const char *pool_option, GPtrArray *words)
{
    g_autoptr(GPtrArray) pools = NULL;
    g_autoptr(CstPoolRef) pool = NULL;

    if (!cli_conn(ctl, NULL)) {
        g_clear_pointer(&ctl->headline, g_free);
        return;
    }
    if (pool_option && cli_args_has(args, pool_option)) {
        pool = cli_pool(ctl, args, pool_option, NULL, NULL);
        g_clear_pointer(&ctl->headline, g_free);
        if (pool)
            add_from_pool(ctl, pool, TRUE, words);
        return;
    }
    pools = cst_conn_pool_list(ctl->conn, CST_LIST_POOLS_ACTIVE, NULL);
    for (guint i = 0; pools && i < pools->len; i++)
        add_from_pool(ctl, g_ptr_array_index(pools, i), FALSE, words);
}

void cli_complete_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_vols(ctl, args, "pool", words);
}

void cli_complete_input_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_vols(ctl, args, "inputpool", words);
}

void cli_complete_vol_keys(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_vols(ctl, args, NULL, words);
}

void cli_complete_vol_formats(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    static const char *const formats[] = {"raw", "qcow2", "vdi", "vmdk", "vpc", "vhdx", NULL};

    cli_complete_add(words, formats);
}

void cli_complete_wipe_algorithms(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_complete_add(words, wipe_algorithms);
}
