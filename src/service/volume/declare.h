/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>

#include "core/claim.h"

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
