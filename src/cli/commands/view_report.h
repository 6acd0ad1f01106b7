/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/image_report.h>

#include "output/table.h"

/* What commands over image files and their twins over volumes print. */

/** Prints the result of image-measure and vol-measure. */
void cli_measure_print(CliCtl *ctl, const CstMeasureReport *report);

/** Returns the table of image-map and vol-map, for cli_map_add(); print it as "map". */
CliTable *cli_map_table(void);
/** Adds a run. @file: path of the image of the chain that the run comes from; NULL: none. */
void cli_map_add(CliTable *table, const CstVolMapRun *run, const char *file);

/**
 * Reports the result of image-compare and vol-compare; MISMATCH when the images differ, with
 * @strict also in size.
 */
gboolean cli_compare_judge(CliCtl *ctl, const CstCompareReport *report, gboolean strict,
                           GError **error);
