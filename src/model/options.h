/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml2_library.h>

#include <model/pool_def.h>

#include <model/xml_write.h>

/** Lists of options in an XML namespace, as children of <pool> or <volume>. */

/**
 * Parses the list into *options, which remains NULL if the list is empty. @ns NULL: the type has no
 * options, and an option in Cistern's namespace is an error.
 */
gboolean cst_options_parse(xmlNode *node, const CstPoolNamespace *ns, GPtrArray **options,
                           GError **error);

/** An element in Cistern's namespace that pools of all types may have. It is not an option list. */
#define CST_TRASH_ELEMENT      "trash"
#define CST_THRESHOLDS_ELEMENT "thresholds"
#define CST_LIMITS_ELEMENT     "limits"
#define CST_AUTOEXTEND_ELEMENT "autoextend"
#define CST_CHAINS_ELEMENT     "chains"

/** Returns the namespace that the document must declare: @ns, or NULL if there are no options. */
const CstPoolNamespace *cst_options_namespace(const CstPoolNamespace *ns, const GPtrArray *options);

/** Formats the list. No output if @ns is NULL. */
void cst_options_format(CstXmlWriter *xml, const CstPoolNamespace *ns, const GPtrArray *options);
