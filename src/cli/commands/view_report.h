/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/image_report.h>

#include "output/table.h"

/* What commands over image files and their twins over volumes print. */

/** image-measure, vol-measure. */
void cli_measure_print(CliCtl *ctl, const CstMeasureReport *report);

/** image-map, vol-map: a table for cli_map_add(), printed as "map". */
CliTable *cli_map_table(void);
/** @file: path of the image that decides. */
void cli_map_add(CliTable *table, const CstVolMapRun *run, const char *file);

/** image-compare, vol-compare; MISMATCH when they differ, with @strict in size,
 *  too. */
gboolean cli_compare_judge(CliCtl *ctl, const CstCompareReport *report, gboolean strict,
                           GError **error);
