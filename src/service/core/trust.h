/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/declarations.h>

#include "pool.h"

/**
 * What is declared of volumes' content, and what follows from it: which of the files that an image
 * names may be opened. docs/security-model.md has the rules.
 */

/**
 * Whether declarations apply to the pool's volumes: only files hold images whose content is probed.
 */
gboolean trust_applies(CstPoolState *state);
/** The key of the record of file @name. Borrows @name and the state's directory. */
CstDeclaredFile trust_file(const CstPoolState *state, const char *name, CstFileId id);

/** CstPoolHost.declared; @data is the service. What can't be looked up counts as restricted. */
void trust_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                    CstDeclaration **ret_declarations, gpointer data);

/**
 * Records the formats of files that other tools have made and that have no declaration. A raw file
 * stays raw after any write. An image keeps its format if its header is destroyed, and stays
 * restricted in a directory that other users can write. Marks the records of @volumes (borrowed,
 * not published yet) as declared.
 */
void trust_pin(CstPool *pool, const CstPoolState *state, CstVolume *const *volumes, guint count);

/**
 * Checks that the backing file of @volume, which it has, may be opened. @outside: the file is no
 * volume of an active pool. DENIED, saying how it can be declared; NOT_FOUND.
 */
gboolean trust_check_backing(CstPool *pool, const CstVolume *volume, gboolean outside,
                             GError **error);
/**
 * Whether a backing file declared as @trust may be opened though it is no volume of an active pool.
 */
gboolean trust_follows_outside(CstPool *pool, CstTrust trust);
/** Checks the same of @part, another file in which @volume's image keeps data. */
gboolean trust_check_part(CstPool *pool, const CstVolume *volume, const char *part, GError **error);

/** Fails with CORRUPT for an image whose header is lost: its bytes are not the guest's disk. */
gboolean trust_check_header(const CstVolume *volume, GError **error);

/** TRUE when the volume names a backing file that is declared. */
gboolean trust_has_backing(const CstVolume *volume);
