/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/range.h>
#include <conn/conn.h>

/** Which chunks of a volume may differ from what a snapshot of it holds, as the storage tells. */
typedef struct {
    uint64_t chunk;    /**< bytes */
    uint64_t capacity; /**< of the volume, bytes */
    uint8_t *dirty;    /**< one bit for each chunk, from the lowest on; NULL: it is not told */
    char *identity;    /**< of the snapshot: another one has another; "": not known */
} CliChanged;

/** Frees what is in it. */
void cli_changed_clear(CliChanged *changed);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliChanged, cli_changed_clear)

/**
 * Asks what has changed in a volume of @capacity bytes since the snapshot @since, until @until
 * (NULL: now). Where the storage can't tell, ret->dirty is NULL, which is no error. BUSY when the
 * volume has another size now, and as cst_conn_vol_changed() says.
 */
gboolean cli_changed_ask(CstConn *conn, const CstVolRef *vol, const char *since, const char *until,
                         uint64_t chunk, uint64_t capacity, CstTask *task, CliChanged *ret,
                         GError **error);
/** BUSY unless volume @name, of which content is read, is of the size that it had before. */
gboolean cli_check_size(const char *name, uint64_t before, uint64_t now, GError **error);
/** Marks the chunks of a range that lies in the volume. */
void cli_changed_mark(CliChanged *changed, uint64_t offset, uint64_t length);
/** Whether two answers about a volume are the same. */
gboolean cli_changed_equal(const CliChanged *a, const CliChanged *b);
/**
 * Returns the runs of chunks that may differ (CstRange), of which those with at most @gap bytes
 * between them are one. Free it with g_array_unref().
 */
GArray *cli_changed_runs(const CliChanged *changed, uint64_t gap);

/**
 * Tells which snapshot @snapshot of the volume is ("": the storage can't tell), and its size. The
 * caller frees *ret_identity.
 */
gboolean cli_snapshot_identify(CstConn *conn, const CstVolRef *vol, const char *snapshot,
                               char **ret_identity, uint64_t *ret_capacity, GError **error);

/* --- runs ------------------------------------------------------------------------------------- */

/** Adds a run behind the others, to the last one when at most @gap bytes lie between them. */
void cli_runs_add(GArray *runs, uint64_t offset, uint64_t length, uint64_t gap);
/** Returns how many bytes they have together. */
uint64_t cli_runs_total(const GArray *runs);
