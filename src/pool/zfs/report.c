/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parses reports of zfs and zpool (report.h). Names have no tabs and newlines, because ZFS does not
 * allow them. Properties that any user may set are not requested, except our own mark
 * and records.
 *
 * Each line ends with a newline, so a report that was cut within a line is detected.
 */
#include "report.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#define NOTHING "-" /* value of a property that the dataset lacks */

/* Always returns FALSE. @what: the invalid field. */
static gboolean zfs_fail_field(const char *what, GError **error)
{
    return cst_fail(error, CST_ERROR_CORRUPT,
                    _("ZFS's report is not to be believed (%s); look at it with 'zfs list'"), what);
}

/* --- lines ------------------------------------------------------------------------------------ */

/*
 * Parses the fields of one line, @count of them, and appends the result to @into. FALSE with
 * @error.
 */
typedef gboolean (*TakeFields)(char **fields, GPtrArray *into, GError **error);

/* Parses all lines. Returns @into; on failure frees it and returns NULL with @error. */
static GPtrArray *parse_lines(const char *text, guint count, TakeFields take, GPtrArray *into,
                              GError **error)
{
    g_autoptr(GPtrArray) owned = into;

    while (*text) {
        const char *end = strchr(text, '\n');
        g_autofree char *line = g_strndup(text, end ? (gsize)(end - text) : 0);
        g_auto(GStrv) fields = g_strsplit(line, "\t", -1);

        if (!end || g_strv_length(fields) != count) {
            zfs_fail_field(_("a line of another length"), error);
            return NULL;
        }
        if (!take(fields, owned, error))
            return NULL;
        text = end + 1;
    }
    return g_steal_pointer(&owned);
}

/* --- fields ----------------------------------------------------------------------------------- */

/* Parses a number of bytes; "-" and "none" are 0. */
static gboolean zfs_parse_number(const char *text, const char *what, uint64_t *ret_number,
                                 GError **error)
{
    guint64 number = 0;

    if (strcmp(text, NOTHING) != 0 && strcmp(text, "none") != 0 &&
        !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &number, NULL))
        return zfs_fail_field(what, error);
    *ret_number = number;
    return TRUE;
}

/* A guid is a 64-bit number, stored as text. */
static gboolean zfs_parse_guid(const char *text, char **ret_guid, GError **error)
{
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, NULL, NULL))
        return zfs_fail_field("guid", error);
    *ret_guid = g_strdup(text);
    return TRUE;
}

/* NULL if the dataset lacks the property. */
static char *zfs_parse_text(const char *text)
{
    return *text && strcmp(text, NOTHING) != 0 ? g_strdup(text) : NULL;
}

/* --- datasets --------------------------------------------------------------------------------- */

enum {
    DATASET_NAME,
    DATASET_TYPE,
    DATASET_GUID,
    DATASET_AVAILABLE,
    DATASET_REFERENCED,
    DATASET_SIZE,
    DATASET_RESERVED,
    DATASET_BLOCK,
    DATASET_COMPRESSION,
    DATASET_ORIGIN,
    DATASET_ENCRYPTION_ROOT,
    DATASET_KEY_STATUS,
    DATASET_REPLACES,
    DATASET_COUNT
};

static void dataset_free(gpointer data)
{
    ZfsDataset *dataset = data;

    g_free(dataset->name);
    g_free(dataset->guid);
    g_free(dataset->compression);
    g_free(dataset->origin);
    g_free(dataset->encryption_root);
    g_free(dataset->replaces);
    g_free(dataset);
}

static gboolean zfs_parse_sizes(char **fields, ZfsDataset *dataset, GError **error)
{
    return zfs_parse_number(fields[DATASET_AVAILABLE], "available", &dataset->available, error) &&
           zfs_parse_number(fields[DATASET_REFERENCED], "referenced", &dataset->referenced,
                            error) &&
           zfs_parse_number(fields[DATASET_SIZE], "volsize", &dataset->size, error) &&
           zfs_parse_number(fields[DATASET_RESERVED], "refreservation", &dataset->reserved,
                            error) &&
           zfs_parse_number(fields[DATASET_BLOCK], "volblocksize", &dataset->block, error);
}

static gboolean zfs_parse_dataset(char **fields, GPtrArray *into, GError **error)
{
    ZfsDataset *dataset = g_new0(ZfsDataset, 1);

    g_ptr_array_add(into, dataset);
    dataset->name = g_strdup(fields[DATASET_NAME]);
    dataset->is_volume = strcmp(fields[DATASET_TYPE], "volume") == 0;
    dataset->compression = zfs_parse_text(fields[DATASET_COMPRESSION]);
    dataset->origin = zfs_parse_text(fields[DATASET_ORIGIN]);
    dataset->encryption_root = zfs_parse_text(fields[DATASET_ENCRYPTION_ROOT]);
    dataset->locked = strcmp(fields[DATASET_KEY_STATUS], "unavailable") == 0;
    dataset->replaces = zfs_parse_text(fields[DATASET_REPLACES]);
    if (!dataset->is_volume && strcmp(fields[DATASET_TYPE], "filesystem") != 0)
        return zfs_fail_field("type", error);
    if (dataset->origin && !strchr(dataset->origin, '@'))
        return zfs_fail_field("origin", error);
    if (!zfs_parse_guid(fields[DATASET_GUID], &dataset->guid, error) ||
        !zfs_parse_sizes(fields, dataset, error))
        return FALSE;
    /* A volume has a size and a block size; callers divide by the latter. */
    if (dataset->is_volume && (dataset->size == 0 || dataset->block == 0))
        return zfs_fail_field("volsize", error);
    return TRUE;
}

GPtrArray *zfs_datasets_parse(const char *text, GError **error)
{
    return parse_lines(text, DATASET_COUNT, zfs_parse_dataset,
                       g_ptr_array_new_with_free_func(dataset_free), error);
}

const ZfsDataset *zfs_datasets_find(const GPtrArray *datasets, const char *name)
{
    for (guint i = 0; i < datasets->len; i++) {
        const ZfsDataset *dataset = g_ptr_array_index(datasets, i);

        if (strcmp(dataset->name, name) == 0)
            return dataset;
    }
    return NULL;
}

/* --- snapshots -------------------------------------------------------------------------------- */

enum {
    SNAPSHOT_NAME,
    SNAPSHOT_GUID,
    SNAPSHOT_TXG,
    SNAPSHOT_CREATED,
    SNAPSHOT_SIZE,
    SNAPSHOT_USED,
    SNAPSHOT_CLONES,
    SNAPSHOT_CONSISTENCY,
    SNAPSHOT_COUNT
};

static void snapshot_free(gpointer data)
{
    ZfsSnapshot *snapshot = data;

    g_free(snapshot->dataset);
    g_free(snapshot->name);
    g_free(snapshot->guid);
    g_free(snapshot->consistency);
    g_strfreev(snapshot->clones);
    g_free(snapshot);
}

/* The volume itself is a line without the name of a snapshot. */
static gboolean zfs_parse_snapshot(char **fields, GPtrArray *into, GError **error)
{
    ZfsSnapshot *snapshot = g_new0(ZfsSnapshot, 1);
    const char *name = fields[SNAPSHOT_NAME], *at = strpbrk(name, "@#");
    const char *clones = fields[SNAPSHOT_CLONES];
    uint64_t created;

    g_ptr_array_add(into, snapshot);
    snapshot->clones = g_strsplit(strcmp(clones, NOTHING) == 0 ? "" : clones, ",", -1);
    snapshot->consistency = zfs_parse_text(fields[SNAPSHOT_CONSISTENCY]);
    if (!*name || at == name || (at && !at[1]))
        return zfs_fail_field("name", error);
    snapshot->dataset = at ? g_strndup(name, (gsize)(at - name)) : g_strdup(name);
    snapshot->name = at ? g_strdup(at + 1) : NULL;
    snapshot->bookmark = at && *at == '#';
    if (!zfs_parse_guid(fields[SNAPSHOT_GUID], &snapshot->guid, error) ||
        !zfs_parse_number(fields[SNAPSHOT_TXG], "createtxg", &snapshot->txg, error) ||
        !zfs_parse_number(fields[SNAPSHOT_CREATED], "creation", &created, error) ||
        !zfs_parse_number(fields[SNAPSHOT_SIZE], "volsize", &snapshot->size, error) ||
        !zfs_parse_number(fields[SNAPSHOT_USED], "used", &snapshot->used, error))
        return FALSE;
    snapshot->created = (int64_t)created;
    return TRUE;
}

/*
 * Removes the line of the volume. If the volume has a value of the property, its snapshots may have
 * inherited their values, so they have no record.
 */
static void zfs_snapshots_drop_volume(GPtrArray *snapshots)
{
    gboolean inherited = FALSE;

    for (guint i = snapshots->len; i-- > 0;) {
        const ZfsSnapshot *line = g_ptr_array_index(snapshots, i);

        if (line->name)
            continue;
        inherited |= line->consistency != NULL;
        g_ptr_array_remove_index(snapshots, i);
    }
    for (guint i = 0; inherited && i < snapshots->len; i++)
        g_clear_pointer(&((ZfsSnapshot *)snapshots->pdata[i])->consistency, g_free);
}

GPtrArray *zfs_snapshots_parse(const char *text, GError **error)
{
    GPtrArray *snapshots = parse_lines(text, SNAPSHOT_COUNT, zfs_parse_snapshot,
                                       g_ptr_array_new_with_free_func(snapshot_free), error);

    if (snapshots)
        zfs_snapshots_drop_volume(snapshots);
    return snapshots;
}

/* --- a pool ----------------------------------------------------------------------------------- */

enum { POOL_NAME, POOL_GUID, POOL_SIZE, POOL_ALLOCATED, POOL_HEALTH, POOL_COUNT };

void zfs_pool_free(ZfsPool *pool)
{
    if (!pool)
        return;
    g_free(pool->name);
    g_free(pool->guid);
    g_free(pool->health);
    g_free(pool);
}

ZfsPool *zfs_pool_copy(const ZfsPool *pool)
{
    ZfsPool *copy = g_new0(ZfsPool, 1);

    *copy = *pool;
    copy->name = g_strdup(pool->name);
    copy->guid = g_strdup(pool->guid);
    copy->health = g_strdup(pool->health);
    return copy;
}

static gboolean zfs_parse_pool(char **fields, GPtrArray *into, GError **error)
{
    ZfsPool *pool = g_new0(ZfsPool, 1);

    g_ptr_array_add(into, pool);
    pool->name = g_strdup(fields[POOL_NAME]);
    pool->health = g_strdup(fields[POOL_HEALTH]);
    /* A pool that has lost its devices has no sizes. */
    return zfs_parse_guid(fields[POOL_GUID], &pool->guid, error) &&
           zfs_parse_number(fields[POOL_SIZE], "size", &pool->size, error) &&
           zfs_parse_number(fields[POOL_ALLOCATED], "allocated", &pool->allocated, error);
}

ZfsPool *zfs_pool_parse(const char *text, GError **error)
{
    g_autoptr(GPtrArray) pools =
        parse_lines(text, POOL_COUNT, zfs_parse_pool,
                    g_ptr_array_new_with_free_func((GDestroyNotify)zfs_pool_free), error);

    if (!pools)
        return NULL;
    if (pools->len != 1) {
        zfs_fail_field("name", error);
        return NULL;
    }
    return g_ptr_array_steal_index(pools, 0);
}

/* --- answers ---------------------------------------------------------------------------------- */

#define ANSWER_BEGIN   "{\"return\":\""
#define ANSWER_END     "\"}"
#define ANSWER_LETTERS " /@#-_.:"

char *zfs_answer_parse(const char *text, GError **error)
{
    g_autofree char *line = g_strchomp(g_strdup(text));
    size_t len = strlen(line), begin = strlen(ANSWER_BEGIN), end = strlen(ANSWER_END);
    char *answer;

    if (len <= begin + end || !g_str_has_prefix(line, ANSWER_BEGIN) ||
        !g_str_has_suffix(line, ANSWER_END)) {
        zfs_fail_field(_("no answer of a program"), error);
        return NULL;
    }
    answer = g_strndup(line + begin, len - begin - end);
    for (const char *p = answer; *p; p++)
        if (!g_ascii_isalnum(*p) && !strchr(ANSWER_LETTERS, *p)) {
            g_free(answer);
            zfs_fail_field(_("no answer of a program"), error);
            return NULL;
        }
    return answer;
}
