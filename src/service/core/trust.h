/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/declarations.h>

#include "pool.h"

/**
 * Declarations about the content of volumes, and the resulting rules: which files referenced by an
 * image may be opened. docs/security-model.md has the rules.
 */

/**
 * Returns whether declarations apply to the pool's volumes. They apply to files, because only the
 * content of files is probed for images.
 */
gboolean trust_applies(CstPoolState *state);
/** Returns the key of the record of file @name. Borrows @name and the state's directory. */
CstDeclaredFile trust_file(const CstPoolState *state, const char *name, CstFileId id);

/**
 * Implements CstPoolHost.declared. @data is the service. If the lookup fails, all volumes count as
 * restricted.
 */
void trust_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                    CstDeclaration **ret_declarations, gpointer data);

/**
 * Records the formats of files that other tools have created and that have no declaration. A raw
 * file stays raw after any write. An image keeps its format if its header is destroyed. It stays
 * restricted in a directory that other users can write. Marks the records of @volumes (borrowed,
 * not published yet) as declared.
 */
void trust_pin(CstPool *pool, const CstPoolState *state, CstVolume *const *volumes, guint count);

/**
 * Checks whether the backing file of @volume may be opened. The volume must have one. @outside: the
 * file is not a volume of an active pool. Errors: DENIED with a hint how to declare it; NOT_FOUND.
 */
gboolean trust_check_backing(CstPool *pool, const CstVolume *volume, gboolean outside,
                             GError **error);
/**
 * Returns whether a backing file with the declaration @trust may be opened outside of all active
 * pools.
 */
gboolean trust_follows_outside(CstPool *pool, CstTrust trust);
/**
 * Checks whether @part, a further data file of @volume's image, may be opened. Errors as for
 * trust_check_backing().
 */
gboolean trust_check_part(CstPool *pool, const CstVolume *volume, const char *part, GError **error);

/**
 * Fails with CORRUPT for an image without its header, because its bytes are not the guest's disk.
 */
gboolean trust_check_header(const CstVolume *volume, GError **error);

/** Returns TRUE if the volume has a declared backing file. */
gboolean trust_has_backing(const CstVolume *volume);
