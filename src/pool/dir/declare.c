/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declarations kept with a file's content. The extended attribute "user.cistern.format" holds
 * "FORMAT" or "FORMAT restricted". A tool that copies a file with its attributes also copies the
 * declaration. It survives the loss of our own records.
 *
 * The owner of the file can write the attribute, so it can only remove rights. It fixes the format,
 * restricts the references, and never declares a reference. The declaration of a draft is synced
 * with its content.
 */
#include "dir.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include <base/error.h>
#include <base/log.h>
#include <pool/content.h>

/*
 * A file system without extended attributes is no error. The core must then make its own record
 * durable.
 */
gboolean cst_dir_vol_declare(CstPoolState *state, CstBlob *blob, const CstDeclaration *declaration)
{
    g_autofree char *value = cst_declaration_text(declaration);

    if (fsetxattr(cst_blob_file_fd(blob), CST_DECLARATION_XATTR, value, strlen(value), 0) == 0)
        return TRUE;
    cst_log(CST_LOG_DEBUG, "cannot write the declaration of '%s' beside it: %s", blob->name,
            g_strerror(errno));
    return FALSE;
}

/*
 * The owner of the file may have written any value. An unknown format or a longer value counts as
 * missing.
 */
CstDeclaration *cst_dir_declaration_read(CstBlob *blob)
{
    char value[CST_DECLARATION_TEXT_MAX];
    ssize_t len =
        fgetxattr(cst_blob_file_fd(blob), CST_DECLARATION_XATTR, value, sizeof(value) - 1);

    if (len <= 0)
        return NULL;
    value[len] = '\0';
    return cst_declaration_of_text(value);
}
