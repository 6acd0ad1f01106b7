/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>

#include "xml_read.h"
#include "xml_write.h"

/** The <adapter> of scsi pools. @adapter must be zeroed; the caller clears it, also on failure. */
gboolean cst_adapter_parse(xmlNode *node, CstAdapter *adapter, GError **error);

/** Refuses an adapter that does not say which host it is. */
gboolean cst_adapter_check(const CstAdapter *adapter, GError **error);

void cst_adapter_format(CstXmlWriter *xml, const CstAdapter *adapter);
void cst_adapter_copy(CstAdapter *to, const CstAdapter *from);
void cst_adapter_clear(CstAdapter *adapter);

/** Same host adapter, as far as the definitions tell. */
gboolean cst_adapter_same(const CstAdapter *a, const CstAdapter *b);
