/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml2_library.h>

#include <model/pool_def.h>

#include <model/xml_write.h>

/** Lists of options in an XML namespace, as children of <pool> or <volume>. */

/**
 * Parses the list into *options; NULL when it is empty. @ns NULL: the type has no options, and any
 * in Cistern's namespace are refused.
 */
gboolean cst_options_parse(xmlNode *node, const CstPoolNamespace *ns, GPtrArray **options,
                           GError **error);

/** An element in Cistern's namespace that pools of all types may have; no list of options. */
#define CST_TRASH_ELEMENT "trash"

/** The namespace that the document has to declare: @ns; NULL when there are no options. */
const CstPoolNamespace *cst_options_namespace(const CstPoolNamespace *ns, const GPtrArray *options);

/** Formats the list; nothing when @ns is NULL. */
void cst_options_format(CstXmlWriter *xml, const CstPoolNamespace *ns, const GPtrArray *options);
