/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Constructors and destructors of the results of image operations. */
#include <model/image_report.h>

void cst_check_report_clear(CstCheckReport *report)
{
    g_clear_pointer(&report->findings, cst_findings_free);
}

void cst_vol_holder_free(CstVolHolder *holder)
{
    if (!holder)
        return;
    g_free(holder->what);
    g_free(holder);
}

void cst_chain_row_free(CstChainRow *row)
{
    if (!row)
        return;
    g_free(row->pool);
    g_free(row->name);
    g_free(row->path);
    g_free(row->format);
    g_free(row->problem);
    g_free(row);
}

CstVolMap *cst_vol_map_new(void)
{
    CstVolMap *map = g_new0(CstVolMap, 1);

    map->runs = g_array_new(FALSE, FALSE, sizeof(CstVolMapRun));
    map->files = g_ptr_array_new_with_free_func(g_free);
    return map;
}

void cst_vol_map_free(CstVolMap *map)
{
    if (!map)
        return;
    g_array_unref(map->runs);
    g_ptr_array_unref(map->files);
    g_free(map);
}
