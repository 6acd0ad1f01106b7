/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/vol_def.h>

#include "xml_read.h"
#include <model/xml_write.h>

/** The <encryption> of a volume (libvirt docs/formatstorageencryption.rst). */
/**
 * Parses the element @node. Returns NULL with XML (missing or malformed parts) or CONFIG (unknown
 * format, type of secret, …). The caller frees the result.
 */
CstEncryption *cst_encryption_parse(xmlNode *node, GError **error);
/** Formats the element. No output if @encryption has no format. */
void cst_encryption_format(CstXmlWriter *xml, const CstEncryption *encryption);
