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
#include <image/image.h>
#include <pool/backend.h>

#define DECLARATION_XATTR "user.cistern.format"
#define RESTRICTED        " restricted"
#define VALUE_MAX         64

/*
 * File systems without such attributes are no error: the core's record then has to be durable by
 * itself.
 */
gboolean cst_dir_vol_declare(CstPoolState *state, CstBlob *blob, const CstDeclaration *declaration)
{
    g_autofree char *value =
        g_strconcat(declaration->format, declaration->restricted ? RESTRICTED : NULL, NULL);

    if (fsetxattr(cst_blob_file_fd(blob), DECLARATION_XATTR, value, strlen(value), 0) == 0)
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
    char value[VALUE_MAX];
    ssize_t len = fgetxattr(cst_blob_file_fd(blob), DECLARATION_XATTR, value, sizeof(value) - 1);
    gboolean restricted;

    if (len <= 0)
        return NULL;
    value[len] = '\0';
    restricted = g_str_has_suffix(value, RESTRICTED);
    if (restricted)
        value[len - (ssize_t)strlen(RESTRICTED)] = '\0';
    return cst_image_format_find(value, NULL) ? cst_declaration_new(value, restricted) : NULL;
}

/* A record without a format (of references alone) takes that of the attribute. */
void cst_dir_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                      CstDeclaration **declarations)
{
    g_autofree CstDeclaration **recorded = g_new0(CstDeclaration *, count);

    if (state)
        cst_pool_state_declared(state, volumes, count, recorded);
    for (guint i = 0; i < count; i++) {
        if (!recorded[i])
            continue;
        if (declarations[i] && !recorded[i]->format)
            recorded[i]->format = g_steal_pointer(&declarations[i]->format);
        cst_declaration_free(declarations[i]);
        declarations[i] = recorded[i];
    }
}
