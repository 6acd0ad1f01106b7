/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>

#include "core/claim.h"

/** Returns what the definition of a new volume declares. The caller frees it. */
CstDeclaration *trust_of_definition(const CstVolDef *def);
/**
 * Returns what is declared of a copy, byte by byte, of @source with the definition @def: no more
 * than of @source itself. The caller frees it.
 */
CstDeclaration *trust_of_copy(const CstVolDef *def, const CstVolume *source);

/**
 * Records what is declared of a draft right before it gets its name (claim->name). The record
 * survives a power cut if the draft's content does.
 */
gboolean trust_declare_draft(const VolumeClaim *claim, const CstVolDraft *draft,
                             const CstDeclaration *declaration, GError **error);

/**
 * Call it before a client's bytes are written to @blob, the content of @volume, which @claim holds:
 * from now on its format stays what it is, and no reference is declared but those that are now. It
 * is on the disk when the call returns. Succeeds where declarations don't apply.
 */
gboolean trust_restrict(const VolumeClaim *claim, const CstVolume *volume, CstBlob *blob,
                        GError **error);

/**
 * Call it after the file of a claimed volume was replaced by one of its earlier states: keeps its
 * declaration.
 */
void trust_keep_for_new_file(const VolumeClaim *claim);
/**
 * Call it after the backing file of a claimed volume was changed to @path (NULL: none): declares
 * it.
 */
void trust_note_backing(const VolumeClaim *claim, const char *path, const char *format);
/** Call it after the claimed @volume was deleted: removes what was declared of it. */
void trust_forget(const VolumeClaim *claim, const CstVolume *volume);
