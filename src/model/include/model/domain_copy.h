/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The document of virDomainBlockCopy(): the destination of a copy. */

typedef struct {
    const char *path;   /**< absolute path of a file or a block device */
    const char *format; /**< as in the document of a domain: "qcow2" */
    gboolean is_device;
} CstDomainCopy;

/** Returns the document, which the caller frees. INVALID: XML cannot represent a value. */
char *cst_domain_copy_format(const CstDomainCopy *copy, GError **error);
