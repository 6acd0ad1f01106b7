/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declarations as plain data. src/store keeps them in a database. src/pool decides with them which
 * references of an image are followed. src/service creates and changes them.
 */
#include <model/declaration.h>

#include <inttypes.h>
#include <string.h>

CstDeclaration *cst_declaration_new(const char *format, gboolean restricted)
{
    CstDeclaration *declaration = g_new0(CstDeclaration, 1);

    declaration->format = g_strdup(format);
    declaration->restricted = restricted;
    return declaration;
}

CstDeclaration *cst_declaration_unread(const char *failure)
{
    CstDeclaration *declaration = cst_declaration_new(NULL, TRUE);

    declaration->failure = g_strdup(failure);
    return declaration;
}

CstDeclaration *cst_declaration_copy(const CstDeclaration *declaration)
{
    CstDeclaration *copy = cst_declaration_new(declaration->format, declaration->restricted);

    cst_declaration_set_backing(copy, declaration->backing, declaration->backing_format);
    copy->data_file = g_strdup(declaration->data_file);
    copy->seen_format = g_strdup(declaration->seen_format);
    copy->failure = g_strdup(declaration->failure);
    return copy;
}

void cst_declaration_free(CstDeclaration *declaration)
{
    if (!declaration)
        return;
    g_free(declaration->format);
    g_free(declaration->backing);
    g_free(declaration->backing_format);
    g_free(declaration->data_file);
    g_free(declaration->seen_format);
    g_free(declaration->failure);
    g_free(declaration);
}

gboolean cst_declaration_declares(const CstDeclaration *declaration)
{
    return declaration->format || declaration->restricted || !declaration->seen_format;
}

void cst_declaration_set_backing(CstDeclaration *declaration, const char *path, const char *format)
{
    g_free(declaration->backing);
    g_free(declaration->backing_format);
    declaration->backing = g_strdup(path);
    declaration->backing_format = g_strdup(path ? format : NULL);
}

static const char *const follow_names[] = {
    [CST_FOLLOW_POOLS] = "pools",
    [CST_FOLLOW_NONE] = "none",
    [CST_FOLLOW_ANYWHERE] = "anywhere",
};

const char *cst_follow_name(CstFollow follow)
{
    return follow_names[follow];
}

gboolean cst_follow_parse(const char *name, CstFollow *ret_follow)
{
    for (size_t i = 0; i < G_N_ELEMENTS(follow_names); i++) {
        if (strcmp(name, follow_names[i]) == 0) {
            *ret_follow = (CstFollow)i;
            return TRUE;
        }
    }
    return FALSE;
}

guint cst_file_id_hash(gconstpointer id)
{
    const CstFileId *file = id;

    return (guint)(file->inode ^ (file->inode >> 32) ^ (guint64)file->btime_ns);
}

gboolean cst_file_id_equal(gconstpointer a, gconstpointer b)
{
    const CstFileId *left = a, *right = b;

    return left->inode == right->inode && left->btime_ns == right->btime_ns;
}

char *cst_file_id_text(const CstFileId *id)
{
    return id->inode ? g_strdup_printf("%" PRIu64 " %" PRId64, id->inode, id->btime_ns)
                     : g_strdup("");
}
