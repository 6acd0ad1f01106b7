/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/options.h>
#include <model/vol_def.h>
#include <service/service.h>
#include <store/journal.h>

#include "claim.h"

/** What a new volume is to be: its definition turned into the image engine's words. */
typedef struct {
    const CstImageFormat *format; /* NULL: a directory volume */
    CstImageCreate options;       /* strings belong to the definition */
} VolumePlan;

/** Refuses what can't be made, in libvirt's words. @flags: CstVolCreateFlags. */
gboolean volume_plan(const CstVolDef *def, unsigned flags, VolumePlan *ret_plan, GError **error);

/**
 * What an overlay says of the format of @base, which its definition calls @path: *format is filled
 * in when nothing was said; CONFIG when it contradicts the base's own.
 */
gboolean volume_base_format(const CstVolume *base, const char *path, char **format, GError **error);

/**
 * The format of a copy, with @text ("name=value,…"; NULL: none) as its options. CONFIG, naming
 * those that there are, when images of that format can't be made.
 */
gboolean volume_copy_options(const char *format, const char *text,
                             const CstImageFormat **ret_format, CstImageOptions *ret_options,
                             GError **error);

/** The definition names raw, or no format. */
gboolean volume_is_raw(const CstVolDef *def);

/** CONFIG when @flags ask for what the format of @def has not. */
gboolean volume_flags_fit(const CstVolDef *def, unsigned flags, GError **error);

/**
 * Opens the other files that the image of @volume, which @claim holds, keeps its content in: those
 * that are declared, and are volumes of the same pool. They are claimed with the volume, and
 * released with it. The result is good as long as the claim.
 */
CstImageFiles volume_part_files(VolumeClaim *claim, const CstVolume *volume);
/**
 * Opens a claimed volume's image alone, without what it is based on; @claim
 * outlives it. With CST_IMAGE_WRITE only when
 * nobody else has it open (BUSY, naming the holder).
 */
CstImage *volume_open_image(VolumeClaim *claim, const CstVolume *volume, unsigned flags,
                            GError **error);
/** NULL: there is none of that name. */
const CstSnapshot *volume_snapshot_find(const GPtrArray *snapshots, const char *name);
/** The format of the volume keeps snapshots inside of the image. */
gboolean volume_keeps_snapshots(const CstVolume *volume);

/** BUSY, naming who has the volume open. */
gboolean volume_not_held(const VolumeClaim *claim, GError **error);
/**
 * Call before the image of a claimed volume, which @blob has open, is copied: BUSY names a process
 * that writes to it. What is copied while its metadata changes is likely to be no valid image. Raw
 * volumes pass, for any of their moments is one that a guest may have to start from.
 */
gboolean volume_not_written(const CstVolume *volume, CstBlob *blob, GError **error);
/**
 * Call before whatever changes what a claimed volume reads as (wipe, upload, shrink, revert). BUSY
 * names who has the volume open, or shows the tree of images that are based on it and would read
 * something else.
 */
gboolean volume_not_shown(const VolumeClaim *claim, GError **error);
/** BUSY, with the tree of everything that is based on it, by whatever technology. */
gboolean volume_not_needed(const VolumeClaim *claim, GError **error);

/**
 * Records that a claimed volume is being changed by its pool's technology in more than one step:
 * after a crash the backend is asked to drop or finish what is left (drop_drafts).
 */
CstIntent *volume_intent(const VolumeClaim *claim, const char *operation, GError **error);

/** A new volume between its reservation and its end; see CstVolDraft. */
typedef struct {
    VolumeClaim claim;
    CstVolDraft draft;
    CstIntent *intent;
    /* What is declared of it; set by who knows more than its definition says. NULL: that. */
    CstDeclaration *declaration;
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
