/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/range.h>
#include <conn/conn.h>

/** The chunks of a volume that may differ from a snapshot, as reported by the storage. */
typedef struct {
    uint64_t chunk;    /**< chunk size in bytes */
    uint64_t capacity; /**< size of the volume in bytes */
    uint8_t *dirty;    /**< one bit for each chunk, lowest bit first; NULL: not reported */
    char *identity;    /**< unique identity of the snapshot; "": unknown */
} CliChanged;

/** Frees the members. */
void cli_changed_clear(CliChanged *changed);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliChanged, cli_changed_clear)

/**
 * Queries the changes in a volume of @capacity bytes between the snapshots @since and @until (NULL:
 * now). If the storage cannot report them, ret->dirty is NULL, which is not an error. Fails with
 * BUSY if the size of the volume has changed. Further errors are the errors of
 * cst_conn_vol_changed().
 */
gboolean cli_changed_ask(CstConn *conn, const CstVolRef *vol, const char *since, const char *until,
                         uint64_t chunk, uint64_t capacity, CstTask *task, CliChanged *ret,
                         GError **error);
/** Fails with BUSY if the size of volume @name has changed while its content is read. */
gboolean cli_check_size(const char *name, uint64_t before, uint64_t now, GError **error);
/** Marks the chunks of a range as changed. The range must lie in the volume. */
void cli_changed_mark(CliChanged *changed, uint64_t offset, uint64_t length);
/** Return: TRUE if two answers about a volume are equal. */
gboolean cli_changed_equal(const CliChanged *a, const CliChanged *b);
/**
 * Returns the runs of chunks that may differ (CstRange). Runs with a gap of at most @gap bytes are
 * merged. Free it with g_array_unref().
 */
GArray *cli_changed_runs(const CliChanged *changed, uint64_t gap);

/**
 * Gets the identity and the size of snapshot @snapshot of the volume. The identity is "" if the
 * storage cannot report it. The caller frees *ret_identity.
 */
gboolean cli_snapshot_identify(CstConn *conn, const CstVolRef *vol, const char *snapshot,
                               char **ret_identity, uint64_t *ret_capacity, GError **error);

/* --- runs ------------------------------------------------------------------------------------- */

/** Appends a run, or extends the last run if the gap between them is at most @gap bytes. */
void cli_runs_add(GArray *runs, uint64_t offset, uint64_t length, uint64_t gap);
/** Returns the total length of the runs in bytes. */
uint64_t cli_runs_total(const GArray *runs);
