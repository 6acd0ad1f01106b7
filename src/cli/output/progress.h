/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>

/** What is told about progress; @eta_s below 0: unknown. */
typedef struct {
    double percent;
    double rate; /**< bytes a second */
    double eta_s;
} CliProgressFigures;

void cli_progress_compute(CstProgress progress, double seconds, CliProgressFigures *ret);

/** One line that fits @columns: label, a bar when there is room, percent, done, rate, time left. */
char *cli_progress_text(const char *label, CstProgress progress, const CliProgressFigures *figures,
                        int columns);
