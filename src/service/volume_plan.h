/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>
#include <model/vol_def.h>
#include <service/service.h>

#include "service_private.h"

/** What a new volume is to be: its definition turned into the image engine's words. */
typedef struct {
    const CstImageFormat *format; /* NULL: a directory volume */
    CstImageCreate options;       /* strings belong to the definition */
} VolumePlan;

/** Refuses what can't be made, in libvirt's words. @flags: CstVolCreateFlags. */
gboolean volume_plan(const CstVolDef *def, unsigned flags, VolumePlan *ret_plan, GError **error);

/** CONFIG when @flags ask for what the format of @def has not. */
gboolean volume_flags_fit(const CstVolDef *def, unsigned flags, GError **error);

/**
 * Opens the guest's view of a volume's content for reading, with its backing chain. Only files that
 * are volumes of active pools are followed.
 */
CstBlob *volume_open_guest(CstService *service, CstPoolState *state, const CstVolume *volume,
                           GError **error);

/** BUSY, naming who has the volume open. */
gboolean volume_not_held(const VolumeClaim *claim, GError **error);

/** A new volume between its reservation and its end; see CstVolDraft. */
typedef struct {
    VolumeClaim claim;
    CstVolDraft draft;
    CstIntent *intent;
    gboolean shared; /* the draft has the source's content already (making_begin_clone) */
} Making;

/** Claims the name, records the intent and reserves the draft. */
gboolean making_begin(Making *making, CstPool *pool, const CstVolDef *def, const char *operation,
                      GError **error);
/**
 * The same for a copy, as it is stored, of @source in @source_pool (or of its snapshot @snapshot;
 * NULL: of what it is now): where the pool's technology can share content, the draft has it.
 */
gboolean making_begin_clone(Making *making, CstPool *pool, const CstVolDef *def,
                            CstPool *source_pool, const char *source, const char *snapshot,
                            GError **error);
/** Commits; the volume is in the table afterwards. */
gboolean making_commit(Making *making, const CstVolDef *def, GError **error);
/** Drops what was not committed, and lets go. */
void making_end(Making *making);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Making, making_end)
