/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>

#include "core/claim.h"

/** Returns the declaration for a new volume's definition. The caller frees it. */
CstDeclaration *trust_of_definition(const CstVolDef *def);
/**
 * Returns the declaration of a byte copy of @source with the definition @def: at most the
 * declarations of @source. The caller frees it.
 */
CstDeclaration *trust_of_copy(const CstVolDef *def, const CstVolume *source);

/**
 * Records the declaration of a draft. Call it right before the draft gets its name (claim->name).
 * The record survives a power failure if the draft's content does.
 */
gboolean trust_declare_draft(const VolumeClaim *claim, const CstVolDraft *draft,
                             const CstDeclaration *declaration, GError **error);

/**
 * Freezes the format and the references of the claimed @volume. From now on a format change in its
 * content has no effect, and new references are undeclared. Call it before a client's bytes are
 * written to @blob, the volume's content. Durable on return. Succeeds if declarations do not apply.
 */
gboolean trust_restrict(const VolumeClaim *claim, const CstVolume *volume, CstBlob *blob,
                        GError **error);

/**
 * Keeps the declaration of a claimed volume after its file was replaced by an earlier state. Call
 * it after the replacement.
 */
void trust_keep_for_new_file(const VolumeClaim *claim);
/**
 * Declares the new backing file of a claimed volume. Call it after the change to @path (NULL: no
 * backing file).
 */
void trust_note_backing(const VolumeClaim *claim, const char *path, const char *format);
/** Removes the declaration of the claimed @volume. Call it after its deletion. */
void trust_forget(const VolumeClaim *claim, const CstVolume *volume);
