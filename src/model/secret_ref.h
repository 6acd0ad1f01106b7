/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>

#include "xml_read.h"
#include <model/xml_write.h>

/**
 * Parses a <secret> reference. Fails with XML unless it has exactly one of the attributes uuid and
 * usage. The caller frees *@ret_usage, which is NULL for a uuid. For a usage *@ret_uuid is
 * unchanged.
 */
gboolean cst_secret_ref_parse(xmlNode *node, gboolean *ret_by_uuid, CstUuid *ret_uuid,
                              char **ret_usage, GError **error);

/** Formats <secret type='@type' …/>. @type NULL: no such attribute. */
void cst_secret_ref_format(CstXmlWriter *xml, const char *type, gboolean by_uuid,
                           const CstUuid *uuid, const char *usage);
