/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as what zfs and zpool report: the first byte chooses which report it is. One that is
 * refused has an error, and one that is believed holds what the rest of the program goes by.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "zfs/zfs.h"

static void datasets(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = zfs_datasets_parse(text, &error);

    if (!list != (error != NULL))
        abort();
    for (guint i = 0; list && i < list->len; i++) {
        const ZfsDataset *dataset = g_ptr_array_index(list, i);

        if (!dataset->name || !dataset->guid || (dataset->is_volume && dataset->block == 0) ||
            !zfs_datasets_find(list, dataset->name))
            abort();
    }
}

static void snapshots(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = zfs_snapshots_parse(text, &error);

    if (!list != (error != NULL))
        abort();
    for (guint i = 0; list && i < list->len; i++) {
        const ZfsSnapshot *snapshot = g_ptr_array_index(list, i);

        if (!*snapshot->dataset || !*snapshot->name || strpbrk(snapshot->dataset, "@#") ||
            !snapshot->guid || !snapshot->clones)
            abort();
    }
}

static void pool(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ZfsPool) found = zfs_pool_parse(text, &error);

    if (!found != (error != NULL))
        abort();
}

static void status(const char *text)
{
    g_auto(CstPoolHealth) health = {0};

    zfs_status_parse(text, &health);
    for (guint i = 0; health.notes && i < health.notes->len; i++)
        if (!*(const char *)g_ptr_array_index(health.notes, i))
            abort();
}

/* It stands in messages, and its words in commands that these propose. */
static void answer(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = zfs_answer_parse(text, &error);

    if (!found != (error != NULL) || (found && (!*found || strpbrk(found, "\"\\'\n\t$`"))))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const reports[])(const char *text) = {datasets, snapshots, pool, status, answer};
    g_autofree char *text = size > 0 ? g_strndup((const char *)data + 1, size - 1) : NULL;

    if (text)
        reports[data[0] % G_N_ELEMENTS(reports)](text);
    return 0;
}
