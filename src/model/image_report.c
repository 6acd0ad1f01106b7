/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <model/image_report.h>

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
