/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared code of volume commands: finding the volume of an option by name, key, path or POOL/NAME;
 * sizes; warnings about writers; completion of names. virsh's lookups are tried first. The
 * additional lookups follow only if these fail, so that a virsh command line never selects another
 * volume here.
 */
#include "volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "commands/pool/pool.h"
#include "commands/xml.h"
#include "core/suggest.h"
#include "output/each.h"
#include "output/text.h"

#define BACKING_MAX 256 /* volumes of a chain, as in image/chain.h */

/* Indexed by CstWipeAlgorithm. */
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

void cli_vol_warn_of(CliCtl *ctl, const char *name, const char *writers)
{
    if (!*writers)
        return;
    cli_warn(ctl, _("warning: vol '%s' is open for writing: %s; the copy may be inconsistent\n"),
             name, writers);
}

unsigned cli_vol_sector_size(CliCtl *ctl, const CstVolRef *vol)
{
    g_autofree char *xml = cst_conn_vol_xml(ctl->conn, vol, 0, NULL);
    g_autofree char *size =
        xml ? cli_xml_text(xml, "//*[local-name()='option'][@name='sector-size']/@value") : NULL;

    return size ? (unsigned)strtoul(size, NULL, 10) : CLI_SECTOR_SIZE;
}

int cli_wipe_algorithm(const char *name)
{
    for (int i = 0; wipe_algorithms[i]; i++)
        if (g_str_equal(wipe_algorithms[i], name))
            return i;
    return -1;
}

/**
 * Fail with STATE. In text, only the sentence is printed, as in virsh. During completion, no
 * message is printed.
 */
static gboolean fail_inactive(CliCtl *ctl, const char *pool, GError **error)
{
    g_autofree char *step = g_strdup_printf(_("`cistern pool-start %s` starts it"), pool);

    if (!ctl->settings.json && !ctl->typed) {
        cli_complain(ctl, _("pool '%s' is not active"), pool);
        ctl->reported = TRUE;
        if (isatty(fileno(ctl->err)))
            cli_warn(ctl, _("hint: %s\n"), step);
    }
    cli_next_step(ctl, "%s", step);
    return cst_fail(error, CST_ERROR_STATE, _("pool '%s' is not active"), pool);
}

/** Get the pool of a volume command. *ret_pool is NULL if no pool was given. */
static gboolean find_vol_pool(CliCtl *ctl, const CliArgs *args, const char *option,
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

/** Return: the pool of "POOL/NAME"; NULL if @text has another form or the pool does not exist. */
static CstPoolRef *pool_of_full_name(CliCtl *ctl, const char *text)
{
    g_autofree char *pool = cli_full_name_pool(text);

    return pool ? cst_conn_pool_by_name(ctl->conn, pool, NULL) : NULL;
}

/** Return: the volume "POOL/NAME"; NULL if the pool or the volume does not exist. */
static CstVolRef *by_full_name(CliCtl *ctl, const char *text)
{
    g_autoptr(CstPoolRef) pool = pool_of_full_name(ctl, text);

    return pool ? cst_conn_vol_by_name(ctl->conn, pool, cli_full_name(text), NULL) : NULL;
}

static CstPoolRef *default_pool(CliCtl *ctl)
{
    const char *name = ctl->config.pool.value;

    return name ? cst_conn_pool_by_name(ctl->conn, name, NULL) : NULL;
}

/** Return: NULL if no pool is configured, or if the pool does not have the volume. */
static CstVolRef *in_default_pool(CliCtl *ctl, const char *name)
{
    g_autoptr(CstPoolRef) pool = default_pool(ctl);

    return pool ? cst_conn_vol_by_name(ctl->conn, pool, name, NULL) : NULL;
}

/**
 * Find a volume in the configured pool, else in all active pools. FALSE with an error if several
 * active pools have the name.
 */
static gboolean by_unique_name(CliCtl *ctl, const char *text, CstVolRef **ret_vol, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;
    g_autoptr(CstVolRef) vol = NULL;

    *ret_vol = NULL;
    if (strchr(text, '/'))
        return TRUE;
    *ret_vol = in_default_pool(ctl, text);
    if (*ret_vol)
        return TRUE;
    pools = cst_conn_pool_list(ctl->conn, CST_LIST_POOLS_ACTIVE, NULL);
    for (guint i = 0; pools && i < pools->len; i++) {
        g_autoptr(CstVolRef) one =
            cst_conn_vol_by_name(ctl->conn, g_ptr_array_index(pools, i), text, NULL);

        if (one && vol)
            return cst_fail(error, CST_ERROR_USAGE,
                            _("pools '%s' and '%s' both have a vol '%s': write %s/%s or %s/%s"),
                            vol->pool, one->pool, text, vol->pool, text, one->pool, text);
        if (one)
            vol = g_steal_pointer(&one);
    }
    *ret_vol = g_steal_pointer(&vol);
    return TRUE;
}

/* Offer the volumes in the form of the typed word: NAME, or POOL/NAME. */
static void offer_vols(CliCtl *ctl, const CstPoolRef *pool, CliNearest *nearest)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(ctl->conn, pool, FALSE, NULL);
    gboolean with_pool = strchr(nearest->typed, '/') != NULL;

    for (guint i = 0; rows && i < rows->len; i++) {
        const CstVolRow *row = g_ptr_array_index(rows, i);
        g_autofree char *full = with_pool ? g_strdup_printf("%s/%s", pool->name, row->name) : NULL;

        cli_nearest_offer(nearest, full ? full : row->name);
    }
}

/* Set the hint of the error to the inactive pool with the directory of @path. */
static void hint_at_inactive_pool(CliCtl *ctl, const char *path)
{
    g_autoptr(GPtrArray) pools = cst_conn_pool_list(ctl->conn, CST_LIST_POOLS_INACTIVE, NULL);

    for (guint i = 0; pools && i < pools->len; i++) {
        const CstPoolRef *pool = g_ptr_array_index(pools, i);
        g_autofree char *xml = cst_conn_pool_xml(ctl->conn, pool, 0, NULL);
        g_autofree char *target = xml ? cli_xml_text(xml, "/pool/target/path") : NULL;

        if (target && g_str_has_prefix(path, target) && path[strlen(target)] == '/') {
            cli_hint(ctl, _("pool '%s' at '%s' is not active; `cistern pool-start %s` starts it"),
                     pool->name, target, pool->name);
            return;
        }
    }
}

/* Return: the pool "p" if @name is "p" or "p/"; NULL: no such pool. @name is not a volume. */
static CstPoolRef *pool_called(CliCtl *ctl, const char *name)
{
    g_autofree char *pool = g_strdup(name);
    size_t len = strlen(pool);

    if (len > 1 && pool[len - 1] == '/')
        pool[len - 1] = '\0';
    return cst_conn_pool_by_name(ctl->conn, pool, NULL);
}

/**
 * Set the hint of the error to the volume name nearest to @name. @pool limits the search; NULL: all
 * active pools.
 */
static void suggest_vol(CliCtl *ctl, const CstPoolRef *pool, const char *name)
{
    g_autoptr(GPtrArray) pools = NULL;
    g_autoptr(CstPoolRef) named = NULL;
    g_auto(CliNearest) nearest = {0};

    if (*name == '/') {
        hint_at_inactive_pool(ctl, name);
        return;
    }
    named = pool_called(ctl, name);
    if (named) {
        cli_next_step(ctl, _("'%s' is a pool; `cistern vol-list %s` lists its volumes"),
                      named->name, named->name);
        return;
    }
    cli_nearest_init(&nearest, name);
    if (pool) {
        offer_vols(ctl, pool, &nearest);
    } else {
        pools = cst_conn_pool_list(ctl->conn, CST_LIST_POOLS_ACTIVE, NULL);
        for (guint i = 0; pools && i < pools->len; i++)
            offer_vols(ctl, g_ptr_array_index(pools, i), &nearest);
    }
    cli_suggest_name(ctl, &nearest);
}

/**
 * Fail with STATE if the volume @text was not found because its pool is inactive. The pool is that
 * of POOL/NAME, the given one, or the configured one.
 */
static gboolean check_pool_is_active(CliCtl *ctl, const CstPoolRef *pool, const char *text,
                                     GError **error)
{
    g_autoptr(CstPoolRef) named = strchr(text, '/') ? pool_of_full_name(ctl, text)
                                  : pool            ? NULL
                                                    : default_pool(ctl);
    const CstPoolRef *meant = named ? named : pool;
    gboolean active = TRUE;

    if (!meant || !cst_conn_pool_is_active(ctl->conn, meant, &active, NULL) || active)
        return TRUE;
    return fail_inactive(ctl, meant->name, error);
}

/**
 * Find @text by name in @pool (NULL: no pool was given), by key, by path, then by the additional
 * lookups. On failure the headline is virsh's. It recommends the option @advice (NULL: no
 * recommendation).
 */
static CstVolRef *find_vol(CliCtl *ctl, const CstPoolRef *pool, const char *text,
                           const char *advice, GError **error)
{
    g_autoptr(GError) why = NULL, by_name = NULL;
    CstVolRef *vol = pool ? cst_conn_vol_by_name(ctl->conn, pool, text, &by_name) : NULL;
    GError *cause = NULL;

    if (!vol)
        vol = by_key_or_path(ctl, text, &why);
    if (!vol)
        vol = by_full_name(ctl, text);
    if (!vol && !pool)
        by_unique_name(ctl, text, &vol, &cause);
    if (vol)
        return vol;
    if (!cause && !check_pool_is_active(ctl, pool, text, error))
        return NULL;
    if (advice)
        cli_failed(ctl, _("failed to get vol '%s', specifying --%s might help"), text, advice);
    else
        cli_failed(ctl, _("failed to get vol '%s'"), text);
    if (by_name && !g_error_matches(by_name, CST_ERROR, CST_ERROR_NO_VOL))
        cause = g_steal_pointer(&by_name); /* the volume may exist */
    if (!cause && g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        suggest_vol(ctl, pool, text);
    g_propagate_error(error, cause ? cause : g_steal_pointer(&why));
    return NULL;
}

CstVolRef *cli_vol_beside(CliCtl *ctl, const CstPoolRef *pool, const char *text, GError **error)
{
    return find_vol(ctl, pool, text, NULL, error);
}

CstVolRef *cli_vol(CliCtl *ctl, const CliArgs *args, const char *pool_option, const char **ret_name,
                   GError **error)
{
    return cli_vol_of(ctl, args, "vol", pool_option, ret_name, error);
}

CstVolRef *cli_vol_of(CliCtl *ctl, const CliArgs *args, const char *option, const char *pool_option,
                      const char **ret_name, GError **error)
{
    const char *name;
    CstVolRef *vol;

    if (!cli_conn(ctl, error) || !cli_args_string(args, option, &name, error))
        return NULL;
    vol = cli_vol_named(ctl, args, name, pool_option, error);
    if (vol && ret_name)
        *ret_name = name;
    return vol;
}

CstVolRef *cli_vol_named(CliCtl *ctl, const CliArgs *args, const char *name,
                         const char *pool_option, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(CstVolRef) vol = NULL;

    if (!find_vol_pool(ctl, args, pool_option, &pool, error))
        return NULL;
    vol = find_vol(ctl, pool, name, pool ? NULL : pool_option, error);
    if (!vol)
        return NULL;
    if (pool && !g_str_equal(vol->pool, pool->name)) {
        cst_fail(error, CST_ERROR_NOT_FOUND, _("Requested volume '%s' is not in pool '%s'"), name,
                 pool->name);
        return NULL;
    }
    return g_steal_pointer(&vol);
}

CstVolRef *cli_vol_other(CliCtl *ctl, const CliArgs *args, const char *option,
                         const char *other_pool, const CstVolRef *vol, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    const char *name;

    if (cli_args_has(args, other_pool))
        return cli_vol_of(ctl, args, option, other_pool, NULL, error);
    if (!cli_args_has(args, "pool"))
        return cli_vol_of(ctl, args, option, "pool", NULL, error);
    pool = cst_conn_pool_by_name(ctl->conn, vol->pool, error);
    return pool && cli_args_string(args, option, &name, error)
               ? cli_vol_beside(ctl, pool, name, error)
               : NULL;
}

/* --- several volumes ------------------------------------------------------------------------- */

static void vol_arg_free(gpointer data)
{
    CliVolArg *arg = data;

    cst_vol_ref_free(arg->vol);
    g_free(arg->typed);
    g_free(arg);
}

void cli_vol_arg_name(gconstpointer thing, const char **ret_pool, const char **ret_name)
{
    const CliVolArg *arg = thing;

    *ret_pool = arg->vol->pool;
    *ret_name = arg->vol->name;
}

static gboolean is_among(const GPtrArray *vols, const CstVolRef *vol)
{
    for (guint i = 0; i < vols->len; i++) {
        const CstVolRef *other = ((const CliVolArg *)vols->pdata[i])->vol;

        if (g_str_equal(other->pool, vol->pool) && g_str_equal(other->name, vol->name))
            return TRUE;
    }
    return FALSE;
}

/* virsh's second word is the pool, even if further volumes follow. */
static void hint_at_pool(CliCtl *ctl, const CliArgs *args, const GError *why)
{
    if (cli_args_is_plain(args, "pool") && g_error_matches(why, CST_ERROR, CST_ERROR_NO_POOL))
        cli_hint(ctl, "%s",
                 _("the second word is the pool, as with virsh; add more vols after it, or as "
                   "POOL/VOL"));
}

GPtrArray *cli_vols(CliCtl *ctl, const CliArgs *args, CliVolFinder find, GError **error)
{
    g_autoptr(GPtrArray) vols = g_ptr_array_new_with_free_func(vol_arg_free);
    g_autoptr(GPtrArray) words = NULL;

    words = cli_conn(ctl, error) ? cli_each_word(args, "vol", error) : NULL;
    if (!words)
        return NULL;
    for (guint i = 0; i < words->len; i++) {
        CstVolRef *vol = find ? find(ctl, args, words->pdata[i], error)
                              : cli_vol_named(ctl, args, words->pdata[i], "pool", error);
        CliVolArg *arg;

        if (!vol) {
            hint_at_pool(ctl, args, *error);
            return NULL;
        }
        if (is_among(vols, vol)) {
            cst_vol_ref_free(vol);
            continue;
        }
        arg = g_new0(CliVolArg, 1);
        *arg = (CliVolArg){vol, g_strdup(words->pdata[i])};
        g_ptr_array_add(vols, arg);
    }
    return g_steal_pointer(&vols);
}

/**
 * Parse a size. As in virsh, an error in the digits gives one line, and an error in the unit two.
 */
gboolean cli_vol_size(CliCtl *ctl, const char *text, uint64_t *ret_bytes, GError **error)
{
    const char *start = text;
    char *end;

    while (g_ascii_isspace(*start))
        start++;
    if (*start == '+')
        start++;
    cli_next_step(ctl, "%s",
                  *text == '-' ? _("options of a name have two dashes, as --format")
                               : _("a size is a number with a unit, as 10G or 512M, in one word"));
    errno = 0;
    (void)strtoull(start, &end, 10);
    if (!g_ascii_isdigit(*start) || errno)
        return cst_fail(error, CST_ERROR_USAGE, _("Malformed size %s"), text);
    if (cst_units_parse(start, 1, ret_bytes, error))
        return TRUE;
    ctl->blame |= CLI_BLAME_ALL;
    return cli_failed(ctl, _("Malformed size %s"), text);
}

/* --- completion ------------------------------------------------------------------------------ */

/** The number of active pools that have each name. */
typedef struct {
    GHashTable *counts; /**< name (owned) to number */
    GPtrArray *vols;    /**< of CompleteVol * */
} VolNames;

typedef struct {
    char *pool, *name, *key;
} CompleteVol;

static void complete_vol_free(gpointer data)
{
    CompleteVol *vol = data;

    g_free(vol->pool);
    g_free(vol->name);
    g_free(vol->key);
    g_free(vol);
}

static void collect_names(CliCtl *ctl, const CstPoolRef *pool, VolNames *names)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(ctl->conn, pool, FALSE, NULL);

    for (guint i = 0; rows && i < rows->len; i++) {
        const CstVolRow *row = g_ptr_array_index(rows, i);
        CompleteVol *vol = g_new0(CompleteVol, 1);
        gpointer count = g_hash_table_lookup(names->counts, row->name);

        vol->pool = g_strdup(pool->name);
        vol->name = g_strdup(row->name);
        vol->key = g_strdup(row->key);
        g_ptr_array_add(names->vols, vol);
        g_hash_table_replace(names->counts, g_strdup(row->name),
                             GUINT_TO_POINTER(GPOINTER_TO_UINT(count) + 1));
    }
}

/**
 * Add the keys, if a path is being typed or only keys are valid. Else add POOL/NAME, if the typed
 * word has a slash or several pools have the name. Else add the plain name.
 */
static void add_vol_names(const char *typed, gboolean keys, const VolNames *names, GPtrArray *words)
{
    gboolean full = typed && strchr(typed, '/');

    keys |= typed && *typed == '/';
    for (guint i = 0; i < names->vols->len; i++) {
        const CompleteVol *vol = g_ptr_array_index(names->vols, i);
        guint count = GPOINTER_TO_UINT(g_hash_table_lookup(names->counts, vol->name));

        if (keys)
            g_ptr_array_add(words, g_strdup(vol->key));
        else if (full || count > 1)
            g_ptr_array_add(words, g_strdup_printf("%s/%s", vol->pool, vol->name));
        else
            g_ptr_array_add(words, g_strdup(vol->name));
    }
}

/** Add the volumes of the pool that @pool_option names, else the volumes of all active pools. */
static void add_vols(CliCtl *ctl, const CliArgs *args, const char *pool_option, gboolean keys,
                     GPtrArray *words)
{
    VolNames names = {g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                      g_ptr_array_new_with_free_func(complete_vol_free)};
    g_autoptr(GPtrArray) pools = NULL;
    g_autoptr(CstPoolRef) pool = NULL;

    if (cli_conn(ctl, NULL)) {
        if (pool_option && cli_args_has(args, pool_option))
            pool = cli_pool(ctl, args, pool_option, NULL, NULL);
        else
            pools = cst_conn_pool_list(ctl->conn, CST_LIST_POOLS_ACTIVE, NULL);
    }
    if (pool)
        collect_names(ctl, pool, &names);
    for (guint i = 0; pools && i < pools->len; i++)
        collect_names(ctl, g_ptr_array_index(pools, i), &names);
    add_vol_names(ctl->typed, keys, &names, words);
    g_clear_pointer(&ctl->headline, g_free);
    g_clear_pointer(&ctl->hint, g_free);
    g_hash_table_unref(names.counts);
    g_ptr_array_unref(names.vols);
}

void cli_complete_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_vols(ctl, args, "pool", FALSE, words);
}

void cli_complete_input_vols(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_vols(ctl, args, "inputpool", FALSE, words);
}

void cli_complete_vol_keys(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    add_vols(ctl, args, NULL, TRUE, words);
}

void cli_complete_wipe_algorithms(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const char *const *name = wipe_algorithms; *name; name++)
        g_ptr_array_add(words, g_strdup(*name));
}

void cli_vol_restrict_access(CliCtl *ctl, const CstVolRef *vol, gboolean chain, CstAccess *access)
{
    g_autofree char *xml = cst_conn_vol_xml(ctl->conn, vol, 0, NULL);

    for (guint i = 0; xml && i < BACKING_MAX; i++) {
        g_autofree char *mode = cli_xml_text(xml, "/volume/target/permissions/mode");
        g_autofree char *group = cli_xml_text(xml, "/volume/target/permissions/group");
        g_autofree char *backing = cli_xml_text(xml, "/volume/backingStore/path");
        g_autoptr(CstVolRef) base = NULL;

        if (!mode || !group)
            break;
        cst_access_restrict(access, (mode_t)g_ascii_strtoull(mode, NULL, 8),
                            (gid_t)g_ascii_strtoull(group, NULL, 10));
        if (!backing || !chain)
            return;
        base = cst_conn_vol_by_path(ctl->conn, backing, NULL);
        g_free(xml);
        xml = base ? cst_conn_vol_xml(ctl->conn, base, 0, NULL) : NULL;
    }
    access->mode &= 0600;
}

gboolean cli_vol_check_snapshot(CliCtl *ctl, const CstVolRef *vol, const char *name, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) snapshots = cst_conn_snapshot_list(ctl->conn, vol, &why);

    if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT))
        return TRUE;
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return cst_snapshot_find(snapshots, name) ||
           cst_fail(error, CST_ERROR_NOT_FOUND, _("volume '%s' has no snapshot '%s'"), vol->name,
                    name);
}
