/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declarations kept with a file's content: the extended attribute "user.cistern.format" holds
 * "FORMAT" or "FORMAT restricted". It goes along where a tool copies a file with its attributes,
 * and exists when our own records are lost. Whoever owns the file can write it, so it only ever
 * takes away: it fixes the format and restricts the references, and declares none. That of a draft
 * is synced with its content.
 */
#include "dir.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include <base/error.h>
#include <base/log.h>
#include <pool/content.h>

/*
 * File systems without such attributes are no error: the core's record then has to be durable by
 * itself.
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
 * The owner of the file may have written anything: an unknown format or a longer value is nothing.
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
