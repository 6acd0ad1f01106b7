/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

/**
 * Intents: what is being done to storage right now, so that a crash in the middle is cleaned up at
 * the next start. One small key file an intent in DATA/journal; the process that works on it holds
 * an OFD lock on the file, which dies with the process, so a live intent is never replayed by
 * somebody else. Intents begin, and replay runs, under the driver lock.
 */
typedef struct CstJournal CstJournal;
typedef struct CstIntent CstIntent;

/** One intent as replay sees it. */
typedef struct {
    const char *operation; /**< "create", "resize", … */
    GHashTable *fields;    /**< of char * to char * */
} CstIntentRecord;

CstJournal *cst_journal_new(const CstPaths *paths);
void cst_journal_free(CstJournal *journal);

/**
 * Records an intent before the work begins. The fields are pairs of strings ended by NULL:
 * cst_journal_begin(j, &error, "create", "pool", name, "draft", draft, NULL).
 */
CstIntent *cst_journal_begin(CstJournal *journal, GError **error, const char *operation,
                             ...) G_GNUC_NULL_TERMINATED;
/** The work is done, or undone: forgets the intent and frees it. NULL is accepted. */
void cst_intent_end(CstIntent *intent);

/** Frees the intent and keeps its record, for the replay at the next start. */
void cst_intent_keep(CstIntent *intent);

/** TRUE: settled, the intent is forgotten. FALSE: kept for the next replay, the error if any
 * logged. */
typedef gboolean (*CstReplayFunc)(const CstIntentRecord *record, gpointer data, GError **error);

/** Offers every intent whose process is gone. Doing it twice changes nothing. */
void cst_journal_replay(CstJournal *journal, CstReplayFunc replay, gpointer data);
/**
 * The same later on for what was kept and has @pool in its field "pool": beside others that begin
 * intents, and beside other pools that look for theirs.
 */
void cst_journal_replay_kept(CstJournal *journal, const char *pool, CstReplayFunc replay,
                             gpointer data);
