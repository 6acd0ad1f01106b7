/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of lists of volumes, and of deleted volumes. */
#include <model/listing.h>

#include <string.h>

void cst_vol_row_free(CstVolRow *row)
{
    if (!row)
        return;
    g_free(row->name);
    g_free(row->key);
    g_free(row->path);
    g_free(row->format);
    g_free(row->problem);
    g_free(row);
}

void cst_trash_row_free(CstTrashRow *row)
{
    if (!row)
        return;
    g_free(row->id);
    g_free(row->name);
    g_free(row->hidden);
    g_free(row->pool);
    g_free(row);
}

static int trash_row_compare(gconstpointer a, gconstpointer b)
{
    const CstTrashRow *one = *(CstTrashRow *const *)a, *other = *(CstTrashRow *const *)b;

    if (one->deleted != other->deleted)
        return one->deleted < other->deleted ? -1 : 1;
    return strcmp(one->hidden, other->hidden);
}

void cst_trash_rows_sort(GPtrArray *rows)
{
    g_ptr_array_sort(rows, trash_row_compare);
}
