/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

/**
 * The intent journal: what is being done to storage right now, so that the next start can clean up
 * after a crash. An intent is a small key file in DATA/journal. The process that works on it holds
 * an OFD lock on the file, which ends with the process: a live intent is never replayed.
 *
 * Call cst_journal_begin() and cst_journal_replay() with the driver lock held. All functions may be
 * called from any thread.
 */
typedef struct CstJournal CstJournal;
typedef struct CstIntent CstIntent;

/** The record of an intent during replay. Borrowed. */
typedef struct {
    const char *operation; /**< "create", "resize", … */
    GHashTable *fields;    /**< of char * to char * */
} CstIntentRecord;

/** Touches no file yet. */
CstJournal *cst_journal_new(const CstPaths *paths);
/** NULL is accepted. Intents may outlive the journal. */
void cst_journal_free(CstJournal *journal);

/**
 * Records an intent; call it before the work begins. The fields are pairs of strings, ended by
 * NULL: cst_journal_begin(j, &error, "create", "pool", name, "draft", draft, NULL). The value of
 * "draft" is a UUID that no other intent has. In a dry run records nothing and succeeds.
 */
CstIntent *cst_journal_begin(CstJournal *journal, GError **error, const char *operation,
                             ...) G_GNUC_NULL_TERMINATED;
/**
 * Records an intent that a power cut does not lose, nor its end; @fields are char * to char *.
 * LIMIT when that is too much for a record.
 */
CstIntent *cst_journal_begin_durable(CstJournal *journal, const char *operation, GHashTable *fields,
                                     GError **error);
/**
 * Removes the record, as the work is complete or undone, and frees the intent. NULL is accepted.
 */
void cst_intent_end(CstIntent *intent);

/**
 * Makes the record durable, for a draft that nothing else tells from a volume: call it before the
 * draft is made. FALSE: it may not be, and the intent stays the caller's.
 */
gboolean cst_intent_sync(CstIntent *intent, GError **error);
/**
 * As cst_intent_end(), durably: no power cut brings the record back. FALSE: it may be there still
 * or come back, so the work has to be undone; the intent stays the caller's.
 */
gboolean cst_intent_end_synced(CstIntent *intent, GError **error);

/**
 * Returns the drafts that records name, whoever works on them: the tokens (lower-case UUIDs), each
 * with the name of its volume; "": not known. Unref it. NULL with @error when the journal can't be
 * read.
 */
GHashTable *cst_journal_drafts(const CstJournal *journal, GError **error);

/** Frees the intent and keeps its record for the next replay. NULL is accepted. */
void cst_intent_keep(CstIntent *intent);

/**
 * Completes or undoes the work of an intent. TRUE: the record is removed. FALSE: it is kept for the
 * next replay, and @error, which may stay NULL, is logged.
 */
typedef gboolean (*CstReplayFunc)(const CstIntentRecord *record, gpointer data, GError **error);

/** Replays every intent whose process is gone. Idempotent. */
void cst_journal_replay(CstJournal *journal, CstReplayFunc replay, gpointer data);
/**
 * Replays the kept intents whose field "pool" is @pool. Unlike cst_journal_replay() it may run
 * while other intents begin, and while the intents of other pools are replayed.
 */
void cst_journal_replay_kept(CstJournal *journal, const char *pool, CstReplayFunc replay,
                             gpointer data);
