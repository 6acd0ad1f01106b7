/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>
#include <store/paths.h>

/**
 * The files of pools, in the places and formats of libvirt's storage driver: definitions and
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
 * Loads all definitions. Elements CstPoolFile *, freed with the array. Skips and logs files that
 * cannot be read, and never removes them. Removes autostart links whose definition does not exist
 * and temporary files that a crash has left.
 */
GPtrArray *cst_pool_files_load(const CstPaths *paths);
/**
 * Loads the definition at @path with the checks of cst_pool_files_load(). Fails with the reason for
 * which that function would skip it. Changes nothing.
 */
CstPoolDef *cst_pool_file_read(const char *path, GError **error);
/** Loads the state of all active pools, as cst_pool_files_load() does; autostart is FALSE. */
GPtrArray *cst_pool_states_load(const CstPaths *paths);

/** Writes a definition. Creates the directory when it is missing. */
gboolean cst_pool_file_save(const CstPaths *paths, const CstPoolDef *def, GError **error);
/** Removes the definition, then its autostart link. */
gboolean cst_pool_file_remove(const CstPaths *paths, const char *name, GError **error);
/** Creates or removes the autostart link; succeeds when nothing has to change. */
gboolean cst_pool_file_set_autostart(const CstPaths *paths, const char *name, gboolean autostart,
                                     GError **error);
/** Writes the state of an active pool. */
gboolean cst_pool_state_save(const CstPaths *paths, const CstPoolDef *def, GError **error);
/** Removes the state of a pool; succeeds when there is none. */
gboolean cst_pool_state_remove(const CstPaths *paths, const char *name, GError **error);

/**
 * Writes the identity of a pool's storage as it was when the pool was started, so that another file
 * system (or none) at the same path is detected. @identity is a line of text in the backend's own
 * format. Kept by uuid in the data directory; survives reboots.
 */
gboolean cst_pool_identity_save(const CstPaths *paths, const CstUuid *uuid, const char *identity,
                                GError **error);
/** Reads the identity; NULL when there is none. The caller frees it. */
char *cst_pool_identity_load(const CstPaths *paths, const CstUuid *uuid);
/** Removes the identity; succeeds when there is none. */
gboolean cst_pool_identity_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
