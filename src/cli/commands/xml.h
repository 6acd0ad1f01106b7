/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "core/ctl.h"

/** Definition files larger than this are refused, as virsh does. */
#define CLI_XML_MAX (10 * 1024 * 1024)

/**
 * Reads a definition from file @path; free *ret_xml. Errors are worded as virsh's; LIMIT for a file
 * above CLI_XML_MAX.
 */
gboolean cli_read_xml(const char *path, char **ret_xml, GError **error);

/** The option of commands that hand over a definition. */
#define CLI_VALIDATE CLI_SWITCH("validate", N_("validate the XML against the schema"))

/** The options that cli_dump_xml() reads. */
#define CLI_DUMP_XML_OPTIONS                                               \
    CLI_NAMED("xpath", N_("xpath expression to filter the XML document")), \
        CLI_SWITCH("wrap", N_("wrap xpath results in an common root element"))

/**
 * Prints @xml, or what --xpath selects from it (with --wrap under one <nodes> element), as the
 * dumpxml commands of virsh do.
 */
gboolean cli_dump_xml(CliCtl *ctl, const CliArgs *args, const char *xml, GError **error);
/** Returns the text of the first node that @xpath selects in @xml; NULL: none. Free it. */
char *cli_xml_text(const char *xml, const char *xpath);
/** As cli_blame_name() for the name that @xpath selects in @xml. */
void cli_blame_name_in(CliCtl *ctl, const char *xml, const char *xpath);
/** Whether @xpath selects something in @xml. */
gboolean cli_xml_has(const char *xml, const char *xpath);
