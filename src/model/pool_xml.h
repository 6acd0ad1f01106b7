/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>

#include "xml_read.h"
#include "xml_write.h"

/** Shared by the documents that a pool or its source is a part of. */

/** Reads the element <source> into @source, which cst_pool_source_init() prepared. */
gboolean cst_pool_source_parse_node(xmlNode *node, CstPoolType type, CstPoolSource *source,
                                    GError **error);
gboolean cst_pool_source_format_node(CstXmlWriter *xml, const CstPoolSource *source,
                                     CstPoolType type, GError **error);

/** Drops repeated and trailing slashes, but keeps a leading "//" and URIs as they are. */
char *cst_path_tidy(const char *path);
