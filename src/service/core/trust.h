/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/declarations.h>

#include "pool.h"

/**
 * What is declared of volumes' content, and what follows from it: which of the files that an image
 * names may be opened. docs/security-model.md has the rules.
 */

/** Something may be declared: only volumes that are files hold images whose content is probed. */
gboolean trust_applies(CstPoolState *state);
/** The record of the file @name, which is borrowed, as is the state's directory. */
CstDeclaredFile trust_file(const CstPoolState *state, const char *name, CstFileId id);

/** CstPoolHost.declared; @data is the service. What can't be looked up counts as restricted. */
void trust_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                    CstDeclaration **ret_declarations, gpointer data);

/**
 * Records what was found of files that other tools have made, and that nothing is declared of: raw
 * ones stay raw, whatever is written into them; images that lie where others can write stay
 * restricted. Marks the records of @volumes (borrowed, not published yet) as declared.
 */
void trust_pin(CstPool *pool, const CstPoolState *state, CstVolume *const *volumes, guint count);

/**
 * Whether the backing file of @volume may be opened: one that is a volume of a pool, or (@outside)
 * any other file. DENIED, saying how it can be declared; NOT_FOUND.
 */
gboolean trust_check_backing(CstPool *pool, const CstVolume *volume, gboolean outside,
                             GError **error);
/** Whether a declared backing file that is no volume of an active pool may be opened. */
gboolean trust_follows_outside(CstPool *pool, CstTrust trust);
/** The same of @part, a file with data of @volume's image. */
gboolean trust_check_part(CstPool *pool, const CstVolume *volume, const char *part, GError **error);

/** TRUE when the volume names a backing file that is declared. */
gboolean trust_has_backing(const CstVolume *volume);
