/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>
#include <store/paths.h>

/**
 * The files of pools, with the paths and formats of libvirt's storage driver: definitions and
 * autostart links in the configuration directory, the state of active pools in the run directory. A
 * write replaces a whole file and is durable when it returns. The caller holds the driver lock.
 */

/** A loaded definition or state. */
typedef struct {
    CstPoolDef *def;
    gboolean autostart; /**< definitions only */
} CstPoolFile;

/** Frees the definition as well. @file must not be NULL. */
void cst_pool_file_free(CstPoolFile *file);

/**
 * Loads all definitions. Elements CstPoolFile *, freed with the array. Skips and logs damaged
 * files, and never removes them. NULL with IO or DENIED if a file exists and cannot be read.
 * Removes autostart links without a definition, and temporary files that a crash left.
 */
GPtrArray *cst_pool_files_load(const CstPaths *paths, GError **error);
/**
 * Loads the definition at @path with the checks of cst_pool_files_load(). Fails if that function
 * would skip the file, with the same reason. Changes no file.
 */
CstPoolDef *cst_pool_file_read(const char *path, GError **error);
/** Loads the state of all active pools, as cst_pool_files_load() does; autostart is FALSE. */
GPtrArray *cst_pool_states_load(const CstPaths *paths, GError **error);

/** Writes a definition. Creates the directory if it is missing. */
gboolean cst_pool_file_save(const CstPaths *paths, const CstPoolDef *def, GError **error);
/** Removes the definition, then its autostart link. */
gboolean cst_pool_file_remove(const CstPaths *paths, const char *name, GError **error);
/** Creates or removes the autostart link. Succeeds if the link is already in that state. */
gboolean cst_pool_file_set_autostart(const CstPaths *paths, const char *name, gboolean autostart,
                                     GError **error);
/** Writes the state of an active pool. */
gboolean cst_pool_state_save(const CstPaths *paths, const CstPoolDef *def, GError **error);
/** Removes the state of a pool. Succeeds if the pool has no state. */
gboolean cst_pool_state_remove(const CstPaths *paths, const char *name, GError **error);

/**
 * Marks a pool whose state is about to be written before its first scan has ended. Until the mark
 * is removed, the recorded references of the pool's images may be incomplete.
 */
gboolean cst_pool_unread_save(const CstPaths *paths, const char *name, GError **error);
/** Returns whether the pool has the mark. */
gboolean cst_pool_is_unread(const CstPaths *paths, const char *name);
/** Removes the mark. Succeeds if the pool has no mark. */
gboolean cst_pool_unread_remove(const CstPaths *paths, const char *name, GError **error);

/**
 * Writes the identity of a pool's storage at the start of the pool, so that another file system (or
 * no file system) at the same path is detected. @identity is a line of text in the backend's own
 * format. Kept by uuid in the data directory; survives reboots.
 */
gboolean cst_pool_identity_save(const CstPaths *paths, const CstUuid *uuid, const char *identity,
                                GError **error);
/** Reads the identity. *ret_identity is NULL if it does not exist. The caller frees it. */
gboolean cst_pool_identity_load(const CstPaths *paths, const CstUuid *uuid, char **ret_identity,
                                GError **error);
/** Removes the identity. Succeeds if it does not exist. */
gboolean cst_pool_identity_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
