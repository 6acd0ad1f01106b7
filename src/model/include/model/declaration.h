/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * A declaration: the administrator's statement about a volume's content, as opposed to the
 * content's own claims. An image may refer to other files (a backing file, a data file, extents). A
 * tenant that can write the image can choose these references. So the host follows a reference only
 * if it is declared, or if the follow policy of the directory allows it.
 *
 * Strings are owned by the struct. NULL means not declared.
 */
typedef struct {
    char *format;         /**< the image engine's name ("qcow2"); NULL: as probed */
    gboolean restricted;  /**< only the references declared below may be followed */
    char *backing;        /**< absolute path of the backing file */
    char *backing_format; /**< its format; NULL: not declared */
    char *data_file;      /**< as the image names it; a file in the image's directory */
    /**
     * The image format that the content had when its header was last read. It is not a declaration.
     * It counts only if no format is declared and the content has no image header.
     */
    char *seen_format;
    char *failure; /**< why the record could not be read; NULL: it was read, or there is none */
} CstDeclaration;

/** Makes a declaration without references. @format may be NULL. */
CstDeclaration *cst_declaration_new(const char *format, gboolean restricted);
/** Makes the declaration of a volume whose record could not be read: no reference is followed. */
CstDeclaration *cst_declaration_unread(const char *failure);
/** A deep copy, owned by the caller. */
CstDeclaration *cst_declaration_copy(const CstDeclaration *declaration);
/** NULL is accepted. */
void cst_declaration_free(CstDeclaration *declaration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDeclaration, cst_declaration_free)

/** Returns FALSE if the record holds only the format that was seen. */
gboolean cst_declaration_declares(const CstDeclaration *declaration);
/** Replaces the declared backing file. @path NULL: no backing file; @format NULL: not declared. */
void cst_declaration_set_backing(CstDeclaration *declaration, const char *path, const char *format);

/** The identity of a file on its file system, independent of its name. Zero members: unknown. */
typedef struct {
    uint64_t inode;
    int64_t btime_ns; /**< birth time; distinguishes files that reuse an inode number */
} CstFileId;

/** Hashes a const CstFileId *, for a GHashTable. */
guint cst_file_id_hash(gconstpointer id);
/** Whether both members of two const CstFileId * are equal, for a GHashTable. */
gboolean cst_file_id_equal(gconstpointer a, gconstpointer b);
/** Returns "INODE BIRTH", or "" if the identity is unknown. The caller frees it. */
char *cst_file_id_text(const CstFileId *id);

/** The follow policy of a directory: the undeclared references of its images that are followed. */
typedef enum {
    CST_FOLLOW_POOLS,   /**< references to volumes of active pools; the default */
    CST_FOLLOW_NONE,    /**< no reference */
    CST_FOLLOW_ANYWHERE /**< all references, also to files outside of all pools */
} CstFollow;

/** "pools", "none" or "anywhere"; static. */
const char *cst_follow_name(CstFollow follow);
/** Returns FALSE for an unknown name. */
gboolean cst_follow_parse(const char *name, CstFollow *ret_follow);
