/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <store/paths.h>

/**
 * The intent journal records changes to storage that are in progress, so that the next start can
 * clean up after a crash. An intent is a small key file in DATA/journal. The process that works on
 * it holds an OFD lock on the file, which ends with the process. So a live intent is never
 * replayed.
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

/** Makes the object without accessing files. */
CstJournal *cst_journal_new(const CstPaths *paths);
/** NULL is accepted. Intents may outlive the journal. */
void cst_journal_free(CstJournal *journal);

/**
 * Records an intent. Call it before the work begins. The fields are pairs of strings, ended by
 * NULL: cst_journal_begin(j, &error, "create", "pool", name, "draft", draft, NULL). The value of
 * "draft" is a UUID that no other intent has. A dry run succeeds without a record.
 */
CstIntent *cst_journal_begin(CstJournal *journal, GError **error, const char *operation,
                             ...) G_GNUC_NULL_TERMINATED;
/**
 * Records an intent durably; its end is durable as well. @fields are char * to char *. Fails with
 * LIMIT if the fields are too long for a record.
 */
CstIntent *cst_journal_begin_durable(CstJournal *journal, const char *operation, GHashTable *fields,
                                     GError **error);
/**
 * Removes the record, because the work is complete or undone, and frees the intent. NULL is
 * accepted.
 */
void cst_intent_end(CstIntent *intent);

/**
 * Makes the record durable, for a draft that only the journal distinguishes from a volume. Call it
 * before the draft is created. On FALSE the record may not be durable, and the caller still owns
 * the intent.
 */
gboolean cst_intent_sync(CstIntent *intent, GError **error);
/**
 * As cst_intent_end(), durably: the record does not return after a power loss. On FALSE the record
 * may still exist or return, so the caller must undo the work. The caller still owns the intent.
 */
gboolean cst_intent_end_synced(CstIntent *intent, GError **error);

/**
 * Returns the drafts of all records, live or not: a table of tokens (lower-case UUIDs), each with
 * the name of its volume; "": unknown. The caller drops the reference. Returns NULL with @error if
 * the journal cannot be read.
 */
GHashTable *cst_journal_drafts(const CstJournal *journal, GError **error);

/**
 * *ret_found: there is a record of @operation on a volume, live or not. Reads all records. Fails if
 * one cannot be read.
 */
gboolean cst_journal_has(const CstJournal *journal, const char *operation, const char *pool,
                         const char *volume, gboolean *ret_found, GError **error);

/** Frees the intent and keeps its record for the next replay. NULL is accepted. */
void cst_intent_keep(CstIntent *intent);

/**
 * Completes or undoes the work of an intent. TRUE: the record is removed. FALSE: the record is kept
 * for the next replay, and @error, which may remain NULL, is logged.
 */
typedef gboolean (*CstReplayFunc)(const CstIntentRecord *record, gpointer data, GError **error);

/** Replays every intent of a dead process. Idempotent. */
void cst_journal_replay(CstJournal *journal, CstReplayFunc replay, gpointer data);
/**
 * Replays the kept intents with @pool in their field "pool". Unlike cst_journal_replay() it may run
 * while other intents begin, and while the intents of other pools are replayed.
 */
void cst_journal_replay_kept(CstJournal *journal, const char *pool, CstReplayFunc replay,
                             gpointer data);
