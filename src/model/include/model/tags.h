/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/tag.h>
#include <base/uuid.h>

/** A volume or a snapshot with tags or a note. */
typedef struct {
    int64_t id; /**< in the database, for pages of lists */
    CstUuid pool;
    char *volume;
    char *snapshot; /**< NULL: the volume itself */
    GStrv tags;     /**< sorted, never NULL */
    char *note;     /**< NULL: no note */
} CstTagged;

/** NULL is accepted. */
void cst_tagged_free(CstTagged *tagged);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTagged, cst_tagged_free)

/** Returns the tags as one text, separated by blanks; NULL without tags. The caller frees it. */
char *cst_tagged_text(const CstTagged *tagged);

/** A change of tags and of the note, in this order: clear, remove, add. */
typedef struct {
    gboolean clear;            /**< remove all tags */
    const char *const *remove; /**< ends with NULL; NULL: no tag */
    const char *const *add;    /**< likewise */
    gboolean sets_note;
    const char *note; /**< with sets_note; NULL: remove the note */
} CstTagChange;

/** Checks the tags and the note of @change. Fails with INVALID, or with LIMIT for too many tags. */
gboolean cst_tag_change_check(const CstTagChange *change, GError **error);
