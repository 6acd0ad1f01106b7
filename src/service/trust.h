/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <pool/pool.h>

#include "claim.h"

/**
 * What is declared of volumes' content, and what follows from it: when something is declared, kept
 * or forgotten, and which of the files that an image names may be opened. docs/security-model.md
 * has the rules.
 */

/** CstPoolHost.declared; @data is the service. What can't be looked up counts as restricted. */
void trust_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                    CstDeclaration **ret_declarations, gpointer data);

/** What the definition of a new volume declares. The caller frees it. */
CstDeclaration *trust_of_definition(const CstVolDef *def);
/**
 * What is declared of a copy, byte by byte, of @source with the definition @def: no more than of
 * @source itself.
 */
CstDeclaration *trust_of_copy(const CstVolDef *def, const CstVolume *source);

/** Records what is declared of a draft that is about to get its name (claim->name). */
gboolean trust_declare_draft(const VolumeClaim *claim, const CstVolDraft *draft,
                             const CstDeclaration *declaration, GError **error);

/**
 * A stranger's bytes are about to be written to @blob, the content of @volume, which @claim holds:
 * from now on its format is the one that it has, and no reference is declared but those that are
 * now. On the disk when it returns.
 */
gboolean trust_restrict(const VolumeClaim *claim, const CstVolume *volume, CstBlob *blob,
                        GError **error);

/** The file of a claimed volume was replaced by us with one of its earlier states. */
void trust_keep_for_new_file(const VolumeClaim *claim);
/** The backing file of a claimed volume was changed by us to @path (NULL: none). */
void trust_note_backing(const VolumeClaim *claim, const char *path, const char *format);
void trust_forget(const VolumeClaim *claim);

/**
 * Records what was found of files that other tools have made, and that nothing is declared of: raw
 * ones stay raw, whatever is written into them; images that lie where others can write stay
 * restricted. Marks the records of @volumes (borrowed, not published yet) as declared.
 */
void trust_pin(CstPool *pool, const CstPoolState *state, CstVolume *const *volumes, guint count);

/**
 * All of the pool's directory has been scanned, @found (name to CstVolume *, not published yet) is
 * what there is: notes which records have no file any more, and drops those that have had none for
 * a week. Once an hour at most.
 */
void trust_sweep(CstPool *pool, CstPoolState *state, GHashTable *found);

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
