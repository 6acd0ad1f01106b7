/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool's options of our namespace. They are checked when the pool is opened, so that a misspelt
 * value does not fail later during a creation. Sizes are stored as arguments of LVM's tools.
 */
#include "logical.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define DEFAULT_THIN_SIZE        "-l90%FREE"
#define DEFAULT_SNAPSHOT_PERCENT 20

/* Fails with CONFIG. The message has the option, its value and the valid values. */
static gboolean option_fail_value(const char *key, const char *value, const char *wanted,
                                  GError **error)
{
    return cst_fail(error, CST_ERROR_CONFIG, _("option '%s' of the pool is '%s'; it takes %s"), key,
                    value, wanted);
}

/* Parses "20%". */
static gboolean parse_percent(const char *text, unsigned *ret_percent)
{
    g_autofree char *number = NULL;
    guint64 percent;

    if (!g_str_has_suffix(text, "%"))
        return FALSE;
    number = g_strndup(text, strlen(text) - 1);
    if (!g_ascii_string_to_unsigned(number, 10, 1, 100, &percent, NULL))
        return FALSE;
    *ret_percent = (unsigned)percent;
    return TRUE;
}

static gboolean read_thin(const GPtrArray *options, LogicalOptions *o, GError **error)
{
    const char *thin = cst_options_get(options, "thin");

    if (thin && strcmp(thin, "yes") != 0 && strcmp(thin, "no") != 0)
        return option_fail_value("thin", thin, _("'yes' or 'no'"), error);
    o->thin = g_strcmp0(thin, "yes") == 0;
    o->thin_pool = g_strdup(cst_options_get(options, "thin-pool"));
    return !o->thin_pool || logical_name_check(o->thin_pool, error);
}

/* The sizes of a thin pool are only used when a thin pool is created. */
static gboolean read_sizes(const GPtrArray *options, LogicalOptions *o, GError **error)
{
    const char *size = cst_options_get(options, "thin-pool-size");
    const char *metadata = cst_options_get(options, "thin-pool-metadata-size");
    unsigned percent;
    uint64_t bytes;

    if (!size)
        o->thin_size = g_strdup(DEFAULT_THIN_SIZE);
    else if (parse_percent(size, &percent))
        o->thin_size = g_strdup_printf("-l%u%%FREE", percent);
    else if (cst_units_parse(size, 1, &bytes, NULL) && bytes > 0)
        o->thin_size = lvm_size("-L", bytes);
    else
        return option_fail_value("thin-pool-size", size,
                                 _("a size, or a percentage of the free space"), error);
    if (!metadata)
        return TRUE;
    if (!cst_units_parse(metadata, 1, &bytes, NULL) || bytes == 0)
        return option_fail_value("thin-pool-metadata-size", metadata, _("a size"), error);
    o->thin_metadata = lvm_size("--poolmetadatasize=", bytes);
    return TRUE;
}

/* The default size of classic snapshots. */
static gboolean read_snapshot(const GPtrArray *options, LogicalOptions *o, GError **error)
{
    const char *size = cst_options_get(options, "snapshot-size");

    o->snapshot_percent = DEFAULT_SNAPSHOT_PERCENT;
    if (!size || parse_percent(size, &o->snapshot_percent))
        return TRUE;
    if (!cst_units_parse(size, 1, &o->snapshot_bytes, NULL) || o->snapshot_bytes == 0)
        return option_fail_value("snapshot-size", size, _("a size or a percentage of the volume"),
                                 error);
    return TRUE;
}

gboolean logical_options_read(const CstPoolDef *def, LogicalOptions *ret_options, GError **error)
{
    return read_thin(def->options, ret_options, error) &&
           read_sizes(def->options, ret_options, error) &&
           read_snapshot(def->options, ret_options, error);
}

void logical_options_clear(LogicalOptions *options)
{
    g_free(options->thin_pool);
    g_free(options->thin_size);
    g_free(options->thin_metadata);
}
