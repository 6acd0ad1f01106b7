/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>

#include "xml_read.h"
#include <model/xml_write.h>

/** The <source> element, which is a part of several documents. */

/** Parses a <source> element into @source, which cst_pool_source_init() has initialised. */
gboolean cst_pool_source_parse_node(xmlNode *node, CstPoolType type, CstPoolSource *source,
                                    GError **error);
/** Formats a <source> element with the parts that @type has. */
gboolean cst_pool_source_format_node(CstXmlWriter *xml, const CstPoolSource *source,
                                     CstPoolType type, GError **error);

/** Removes repeated and trailing slashes. Keeps a leading "//" and URIs. g_free() the result. */
char *cst_path_tidy(const char *path);
