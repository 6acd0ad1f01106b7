/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/vol_def.h>

#include "xml_read.h"
#include "xml_write.h"

/** Parses and formats the <encryption> of a volume (libvirt docs/formatstorageencryption.rst). */
CstEncryption *cst_encryption_parse(xmlNode *node, GError **error);
void cst_encryption_format(CstXmlWriter *xml, const CstEncryption *encryption);
