/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>
#include <store/paths.h>

/**
 * Pools on disk, in the files libvirt's storage driver keeps: definitions and autostart links in
 * the configuration directory, the state of active pools in the run directory. Every write
 * replaces a whole file; the caller holds the driver lock.
 */

typedef struct {
    CstPoolDef *def;
    gboolean autostart; /**< definitions only */
} CstPoolFile;

void cst_pool_file_free(CstPoolFile *file);

/** Elements CstPoolFile *. A file that can't be read is logged and left out, never removed.
 * Autostart links to definitions that are gone are dropped, and what replacements of files that a
 * crash cut short have left. */
GPtrArray *cst_pool_files_load(const CstPaths *paths);
/**
 * Reads the one definition at @path, with the checks of cst_pool_files_load(), and changes nothing.
 * NULL with the reason for which that function would leave it out.
 */
CstPoolDef *cst_pool_file_read(const char *path, GError **error);
/** cst_pool_files_load() for the state of active pools. */
GPtrArray *cst_pool_states_load(const CstPaths *paths);

gboolean cst_pool_file_save(const CstPaths *paths, const CstPoolDef *def, GError **error);
/** Removes the definition, then the autostart link. */
gboolean cst_pool_file_remove(const CstPaths *paths, const char *name, GError **error);
gboolean cst_pool_file_set_autostart(const CstPaths *paths, const char *name, gboolean autostart,
                                     GError **error);
gboolean cst_pool_state_save(const CstPaths *paths, const CstPoolDef *def, GError **error);
gboolean cst_pool_state_remove(const CstPaths *paths, const char *name, GError **error);

/**
 * What an active pool's storage looked like when it was started, so that another file system (or
 * none) under the same path is noticed. Kept in our own data directory, by uuid; survives reboots.
 * @identity is a line of text that only the backend understands.
 */
gboolean cst_pool_identity_save(const CstPaths *paths, const CstUuid *uuid, const char *identity,
                                GError **error);
/** NULL when none is recorded. */
char *cst_pool_identity_load(const CstPaths *paths, const CstUuid *uuid);
gboolean cst_pool_identity_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
