/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/image_report.h>

#include "output/table.h"

/* The output of image commands and of their counterparts for volumes. */

/** Prints the result of image-measure and vol-measure. */
void cli_measure_print(CliCtl *ctl, const CstMeasureReport *report);

/** Returns the table of image-map and vol-map, for cli_map_add(). Print it with the key "map". */
CliTable *cli_map_table(void);
/** Adds a run. @file is the path of the image in the chain that has the run, or NULL. */
void cli_map_add(CliTable *table, const CstVolMapRun *run, const char *file);

/**
 * Reports the result of image-compare and vol-compare. Fails with MISMATCH if the images differ;
 * with @strict, also if only their sizes differ.
 */
gboolean cli_compare_judge(CliCtl *ctl, const CstCompareReport *report, gboolean strict,
                           GError **error);
