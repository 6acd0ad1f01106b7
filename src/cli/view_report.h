/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/image_report.h>

#include "ctl.h"

/** What image-compare and vol-compare print; MISMATCH when they differ, with @strict in size, too.
 */
gboolean cli_compare_judge(CliCtl *ctl, const CstCompareReport *report, gboolean strict,
                           GError **error);
