/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>

#include "xml_read.h"
#include <model/xml_write.h>

/**
 * Parses the <adapter> of a scsi pool. @adapter is zeroed; the caller clears it, also on failure.
 */
gboolean cst_adapter_parse(xmlNode *node, CstAdapter *adapter, GError **error);

/** Checks that @adapter identifies a host adapter (XML). */
gboolean cst_adapter_check(const CstAdapter *adapter, GError **error);

/** Formats <adapter>; nothing when @adapter has no type. */
void cst_adapter_format(CstXmlWriter *xml, const CstAdapter *adapter);
/** Makes @to, which owns nothing, a deep copy of @from. */
void cst_adapter_copy(CstAdapter *to, const CstAdapter *from);
/** Frees what @adapter owns and zeroes it. */
void cst_adapter_clear(CstAdapter *adapter);

/** Whether both are the same host adapter, as far as the definitions show. */
gboolean cst_adapter_same(const CstAdapter *a, const CstAdapter *b);
