/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>

#include "xml_read.h"
#include "xml_write.h"

/** Reads the <permissions> at @path below @node into @perms, which are unset when there is none. */
gboolean cst_perms_parse(xmlNode *node, const char *path, CstPerms *perms, GError **error);

/** Writes nothing when nothing is set. */
void cst_perms_format(CstXmlWriter *xml, const CstPerms *perms);

void cst_perms_copy(CstPerms *to, const CstPerms *from);
