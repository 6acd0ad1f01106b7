/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * What the administrator stands behind of a volume's content, as opposed to what the content says
 * of itself. An image may name other files (a backing file, a data file, extents); whoever wrote
 * the image chose those names, so a name is followed only when it is declared.
 *
 * Strings are owned by the struct; NULL where nothing is declared.
 */
typedef struct {
    char *format;         /**< the engine's name ("qcow2"); NULL: whatever the content is */
    gboolean restricted;  /**< no reference is declared but those named below, wherever it lies */
    char *backing;        /**< absolute path of the backing file */
    char *backing_format; /**< its format; NULL: not said */
    char *data_file;      /**< as the image names it: a file beside the image */
} CstDeclaration;

CstDeclaration *cst_declaration_new(const char *format, gboolean restricted);
CstDeclaration *cst_declaration_copy(const CstDeclaration *declaration);
/** NULL is accepted. */
void cst_declaration_free(CstDeclaration *declaration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDeclaration, cst_declaration_free)

/** Replaces the declared backing file. NULL @path: none. */
void cst_declaration_set_backing(CstDeclaration *declaration, const char *path, const char *format);

/** Identifies a file on its file system, whatever its name. Zero: unknown. */
typedef struct {
    uint64_t inode;
    int64_t btime_ns; /**< time of birth, which tells two users of one inode number apart */
} CstFileId;

/** For hash tables whose keys are CstFileId. */
guint cst_file_id_hash(gconstpointer id);
gboolean cst_file_id_equal(gconstpointer a, gconstpointer b);

/** Which references a pool's volumes follow that nobody has declared one by one. */
typedef enum {
    CST_FOLLOW_POOLS,   /**< those that lead to volumes of active pools; the default */
    CST_FOLLOW_NONE,    /**< none: each is declared */
    CST_FOLLOW_ANYWHERE /**< also those that lead to files outside of all pools */
} CstFollow;

/** "pools", "none" or "anywhere"; static. */
const char *cst_follow_name(CstFollow follow);
/** FALSE for an unknown name. */
gboolean cst_follow_parse(const char *name, CstFollow *ret_follow);
