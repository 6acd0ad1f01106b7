/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml/tree.h>

#include <model/pool_def.h>

#include "xml_write.h"

/** The option lists of a type's own XML namespace, as children of <pool> or <volume>. */

/** Reads them into *options; @ns NULL: the type has none. */
gboolean cst_options_parse(xmlNode *node, const CstPoolNamespace *ns, GPtrArray **options,
                           GError **error);

/** The namespace to declare: @ns, or NULL when there is nothing to write. */
const CstPoolNamespace *cst_options_namespace(const CstPoolNamespace *ns, const GPtrArray *options);

/** Writes the list; nothing when @ns is NULL. */
void cst_options_format(CstXmlWriter *xml, const CstPoolNamespace *ns, const GPtrArray *options);
