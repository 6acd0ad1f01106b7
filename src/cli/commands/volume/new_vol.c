/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of new volumes: NAME or POOL/NAME. If an option also gives the pool, both must be the same.
 * The pool in the name has precedence over the configured pool.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/uuid.h>

#include "commands/pool/pool.h"
#include "volume.h"

void cli_new_vol_clear(CliNewVol *place)
{
    g_clear_pointer(&place->pool, cst_pool_ref_free);
}

static gboolean pool_is_required(const CliArgs *args, const char *pool_option)
{
    const CliOption *option = pool_option ? cli_command_option(args->command, pool_option) : NULL;

    return option && (option->flags & CLI_OPT_REQUIRED) && !cli_args_has(args, pool_option);
}

/*
 * Find the pool of @word, which has the form POOL/NAME. If the pool does not exist, *ret_pool is
 * NULL. A hint reports the missing pool, because the server's message is only about the slash.
 */
static gboolean find_named_pool(CliCtl *ctl, const char *word, gboolean required,
                                CstPoolRef **ret_pool, GError **error)
{
    g_autofree char *pool_name = cli_full_name_pool(word);
    g_autoptr(GError) why = NULL;

    *ret_pool = cst_conn_pool_by_name(ctl->conn, pool_name, &why);
    if (*ret_pool)
        return TRUE;
    if (!required && g_error_matches(why, CST_ERROR, CST_ERROR_NO_POOL)) {
        cli_hint(ctl, _("there is no pool '%s', which '%s' would name as POOL/NAME"), pool_name,
                 word);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return cli_failed(ctl, _("failed to get pool '%s'"), pool_name);
}

/* Split @word into pool and name if the pool exists, and store both in *ret_place. */
static gboolean new_vol_split_word(CliCtl *ctl, const CliArgs *args, const char *word,
                                   const char *pool_option, CliNewVol *ret_place, GError **error)
{
    const char *name = cli_full_name(word);

    if (name &&
        !find_named_pool(ctl, word, pool_is_required(args, pool_option), &ret_place->pool, error))
        return FALSE;
    ret_place->name = name && ret_place->pool ? name : word;
    cli_blame_name(ctl, ret_place->name);
    return TRUE;
}

gboolean cli_vol_new(CliCtl *ctl, const CliArgs *args, const char *option, const char *pool_option,
                     CliNewVol *ret_place, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    const char *word;

    *ret_place = (CliNewVol){0};
    if (!cli_conn(ctl, error) || !cli_args_string(args, option, &word, error))
        return FALSE;
    if (pool_option && cli_args_has(args, pool_option)) {
        pool = cli_pool(ctl, args, pool_option, NULL, error);
        if (!pool)
            return FALSE;
    }
    if (word && !new_vol_split_word(ctl, args, word, pool_option, ret_place, error))
        return FALSE;
    if (pool && ret_place->pool && !cst_uuid_equal(&pool->uuid, &ret_place->pool->uuid))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("'%s' names pool '%s', and --%s names pool '%s': leave one of them out"),
                        word, ret_place->pool->name, pool_option, pool->name);
    if (!ret_place->pool)
        ret_place->pool = g_steal_pointer(&pool);
    return TRUE;
}

gboolean cli_vol_new_name(CliCtl *ctl, const CliArgs *args, const char *option,
                          const CstPoolRef *pool, const char *elsewhere, const char **ret_name,
                          GError **error)
{
    g_auto(CliNewVol) place = {0};

    if (!cli_vol_new(ctl, args, option, NULL, &place, error))
        return FALSE;
    *ret_name = place.name;
    if (!place.pool || cst_uuid_equal(&place.pool->uuid, &pool->uuid))
        return TRUE;
    if (elsewhere)
        cli_hint(ctl, "%s", elsewhere);
    return cst_fail(error, CST_ERROR_USAGE,
                    _("%s names a new vol of pool '%s', and '%s/%s' is in another pool"),
                    args->command->name, pool->name, place.pool->name, place.name);
}

void cli_complete_new_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    guint first = words->len;

    cli_complete_active_pools(ctl, args, words);
    for (guint i = first; i < words->len; i++) {
        g_autofree char *pool = words->pdata[i];

        words->pdata[i] = g_strconcat(pool, "/", NULL);
    }
}
