/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Tags and notes of volumes and snapshots: their limits, in bytes. */

#define CST_TAG_MAX  63   /**< length of a tag */
#define CST_TAGS_MAX 64   /**< tags of an object */
#define CST_NOTE_MAX 4096 /**< length of a note */

/**
 * Checks a tag: letters, digits, '.', '_', ':' and '-' of ASCII. It does not begin with '.', ':' or
 * '-'. Fails with INVALID.
 */
gboolean cst_tag_check(const char *tag, GError **error);

/**
 * Checks a note: UTF-8 without control characters, except line breaks, and without direction marks.
 * Fails with INVALID, also for an empty note.
 */
gboolean cst_note_check(const char *note, GError **error);
