/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "core/ctl.h"

/** Maximum size of a definition file, as in virsh. */
#define CLI_XML_MAX (10 * 1024 * 1024)

/**
 * Reads a definition from file @path. Error messages are virsh's; LIMIT if the file is larger than
 * CLI_XML_MAX. The caller frees *ret_xml.
 */
gboolean cli_read_xml(const char *path, char **ret_xml, GError **error);

/** The option of commands that pass a definition to the server. */
#define CLI_VALIDATE CLI_SWITCH("validate", N_("validate the XML against the schema"))

/** The options that cli_dump_xml() reads. */
#define CLI_DUMP_XML_OPTIONS                                               \
    CLI_NAMED("xpath", N_("xpath expression to filter the XML document")), \
        CLI_SWITCH("wrap", N_("wrap xpath results in an common root element"))

/**
 * Prints @xml, or the nodes that --xpath selects, as virsh's dumpxml commands do. With --wrap, the
 * nodes are in one <nodes> element.
 */
gboolean cli_dump_xml(CliCtl *ctl, const CliArgs *args, const char *xml, GError **error);
/** Returns the text of the first node that @xpath selects in @xml, or NULL. The caller frees it. */
char *cli_xml_text(const char *xml, const char *xpath);
/** Like cli_blame_name(), for the name that @xpath selects in @xml. */
void cli_blame_name_in(CliCtl *ctl, const char *xml, const char *xpath);
/** Return: TRUE if @xpath selects at least one node in @xml. */
gboolean cli_xml_has(const char *xml, const char *xpath);
