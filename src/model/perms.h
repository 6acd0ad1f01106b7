/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>

#include "xml_read.h"
#include <model/xml_write.h>

/**
 * Parses the <permissions> at @path below @node into *@perms, which must own no memory. All members
 * are unset if the element is missing. Fails with XML for a malformed mode or id.
 */
gboolean cst_perms_parse(xmlNode *node, const char *path, CstPerms *perms, GError **error);

/** Formats <permissions>. No output if no member is set. */
void cst_perms_format(CstXmlWriter *xml, const CstPerms *perms);

/** Makes @to a deep copy of @from. @to must own no memory. */
void cst_perms_copy(CstPerms *to, const CstPerms *from);
