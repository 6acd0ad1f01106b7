/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>

#include "xml_read.h"
#include <model/xml_write.h>

/**
 * Parses the <adapter> of a scsi pool. @adapter must be zeroed. The caller clears it, also on
 * failure.
 */
gboolean cst_adapter_parse(xmlNode *node, CstAdapter *adapter, GError **error);

/** Checks that @adapter identifies a host adapter. Fails with XML. */
gboolean cst_adapter_check(const CstAdapter *adapter, GError **error);

/** Formats <adapter>. No output if @adapter has no type. */
void cst_adapter_format(CstXmlWriter *xml, const CstAdapter *adapter);
/** Makes @to a deep copy of @from. @to must own no memory. */
void cst_adapter_copy(CstAdapter *to, const CstAdapter *from);
/** Frees the memory that @adapter owns and zeroes it. */
void cst_adapter_clear(CstAdapter *adapter);

/** Whether both are the same host adapter, according to the definitions. */
gboolean cst_adapter_same(const CstAdapter *a, const CstAdapter *b);
