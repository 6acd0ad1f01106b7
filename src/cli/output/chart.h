/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** A value over time. */
typedef struct {
    int64_t time;   /**< seconds since 1970 */
    uint64_t value; /**< bytes */
} CliChartPoint;

/**
 * Prints a chart of bars with a bar for each column of the terminal, at most @count bars. The axis
 * reaches from 0 to @top bytes. A column shows the largest of its values; a column without a value
 * is empty. Block characters are used in a UTF-8 locale, else ASCII. Bars above 80 and 90 percent
 * of @top are yellow and red, if stdout is coloured. @points is in ascending order.
 */
void cli_chart_print(CliCtl *ctl, const CliChartPoint *points, guint count, uint64_t top);
