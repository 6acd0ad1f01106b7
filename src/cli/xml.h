/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl.h"

/**
 * Prints @xml, or what --xpath selects from it (with --wrap under one <nodes> element), as the
 * dumpxml commands of virsh do.
 */
gboolean cli_dump_xml(CliCtl *ctl, const CliArgs *args, const char *xml, GError **error);
/** TRUE when @xpath selects something in @xml. */
gboolean cli_xml_has(const char *xml, const char *xpath);
