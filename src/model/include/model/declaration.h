/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * A declaration: what the administrator states about a volume's content, as opposed to what the
 * content claims about itself. An image may refer to other files (a backing file, a data file,
 * extents). A tenant who can write the image can choose these references, so the host follows a
 * reference only when it is declared, or when the follow policy of the directory allows it.
 *
 * Strings are owned by the struct; NULL where nothing is declared.
 */
typedef struct {
    char *format;         /**< the image engine's name ("qcow2"); NULL: as probed */
    gboolean restricted;  /**< only the references named below may be followed */
    char *backing;        /**< absolute path of the backing file */
    char *backing_format; /**< its format; NULL: not declared */
    char *data_file;      /**< as the image names it; a file in the image's directory */
    /**
     * The image format that the content had when its header was last read. It states nothing: it
     * counts only where no format is declared and the content has no header of any image.
     */
    char *seen_format;
} CstDeclaration;

/** Makes a declaration without references. @format may be NULL. */
CstDeclaration *cst_declaration_new(const char *format, gboolean restricted);
/** A deep copy, owned by the caller. */
CstDeclaration *cst_declaration_copy(const CstDeclaration *declaration);
/** NULL is accepted. */
void cst_declaration_free(CstDeclaration *declaration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDeclaration, cst_declaration_free)

/** FALSE when the record holds no more than the format that was seen. */
gboolean cst_declaration_declares(const CstDeclaration *declaration);
/** Replaces the declared backing file. @path NULL: none; @format NULL: not declared. */
void cst_declaration_set_backing(CstDeclaration *declaration, const char *path, const char *format);

/** The identity of a file on its file system, independent of its name. Zero members: unknown. */
typedef struct {
    uint64_t inode;
    int64_t btime_ns; /**< birth time; distinguishes files that use the same inode number in turn */
} CstFileId;

/** Hashes a const CstFileId *, for a GHashTable. */
guint cst_file_id_hash(gconstpointer id);
/** Whether both members of two const CstFileId * are equal, for a GHashTable. */
gboolean cst_file_id_equal(gconstpointer a, gconstpointer b);
/** "INODE BIRTH", "" where it is unknown; the caller frees it. */
char *cst_file_id_text(const CstFileId *id);

/** The follow policy of a directory: which undeclared references of its images are followed. */
typedef enum {
    CST_FOLLOW_POOLS,   /**< those to volumes of active pools; the default */
    CST_FOLLOW_NONE,    /**< none */
    CST_FOLLOW_ANYWHERE /**< all, also those to files outside of all pools */
} CstFollow;

/** "pools", "none" or "anywhere"; static. */
const char *cst_follow_name(CstFollow follow);
/** FALSE for an unknown name. */
gboolean cst_follow_parse(const char *name, CstFollow *ret_follow);
