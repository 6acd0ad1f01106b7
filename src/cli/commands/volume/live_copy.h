/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/domains.h>

#include "output/sheet.h"
#include "volume.h"

/** Maximum number of facts of cli_live_copy_facts(). */
#define CLI_LIVE_COPY_FACTS 5

/**
 * The source of a copy of one volume, and its point in time. If a process may write to the volume,
 * and the volume is the top layer of a disk of a running domain, the copy can read a live snapshot
 * of it. Begin with cli_live_copy_read().
 */
typedef struct {
    CliCtl *ctl;          /**< borrowed, as the two fields below */
    const CstVolRef *vol; /**< NULL: not begun */
    const char *name;     /**< of the volume, as in the command line */

    CstConsistency minimum; /**< of --consistency */
    gboolean is_forced;     /**< --force-share: the volume itself is read in any case */
    gboolean knows_writers; /**< the server has reported @writers */
    char *writers;          /**< programs that may write to the volume; "": no program is known */
    CstDomainDisk *disk;    /**< a live snapshot is possible; NULL: it is not */
    char *format;           /**< of the volume, if a live snapshot is possible */
    GError *why; /**< why no live snapshot is possible although a domain runs; NULL: no reason */

    char *snapshot;        /**< name of the live snapshot; NULL: it does not exist */
    gboolean is_planned;   /**< a dry run would make a live snapshot */
    gboolean keeps_signal; /**< since the begin, a signal cancels each further task */
    CstSnapshotSet set;    /**< its consistency, also after its end */
} CliLiveCopy;

/**
 * Parses --consistency and --force-share, and asks the server who may write to @vol. If a process
 * may, asks libvirt which running domain has the volume. Fails with USAGE, and with CANCELLED.
 */
gboolean cli_live_copy_read(CliCtl *ctl, const CliArgs *args, const CstVolRef *vol,
                            const char *name, CliLiveCopy *copy, GError **error);
/** Returns whether a live snapshot is possible, and has the stored bytes of the volume. */
gboolean cli_live_copy_is_plain(const CliLiveCopy *copy);
/** Gives up the live snapshot for this reason, before the begin. Consumes @why. */
void cli_live_copy_give_up(CliLiveCopy *copy, GError *why);
/**
 * Makes the live snapshot if it is possible. Call it after all checks and questions to the user,
 * because the guest's writes take scratch space from then on. Without a live snapshot
 * copy->snapshot stays NULL, and the volume itself is read. Fails with STATE if the consistency
 * would be worse than that of --consistency, and with CANCELLED.
 */
gboolean cli_live_copy_begin(CliLiveCopy *copy, GError **error);
/**
 * Sets the snapshot and the flag of a read of the content. In a dry run with a live snapshot the
 * flag permits that the volume is written to.
 */
void cli_live_copy_put(const CliLiveCopy *copy, CstVolSend *what);
/**
 * Ends the live snapshot after the content was read, before the target gets its name. @ok: the
 * result of the read. Fails with STATE if --consistency was reached only as long as no process had
 * the volume open, and a process has opened it since. Adds to an error BUSY the reason why there
 * was no live snapshot. Return: FALSE with *error set.
 */
gboolean cli_live_copy_end(CliLiveCopy *copy, gboolean ok, GError **error);
/** Deletes a copy that does not have the requested consistency. Takes ownership of it. */
void cli_live_copy_drop(const CliLiveCopy *copy, CstVolRef *made);
/**
 * Creates a volume in @pool with the content of the live snapshot, or of the volume itself. Like
 * cli_vol_make(), without its warning. Defined in create.c.
 */
CstVolRef *cli_vol_make_live(CliCtl *ctl, const CliArgs *args, const CstPoolRef *pool,
                             const CliLiveCopy *live, const char *xml, const char *label,
                             GError **error);
/** Warns of a copy that may be inconsistent. */
void cli_live_copy_warn(const CliLiveCopy *copy);
/** Prints the consistency of a live snapshot. */
void cli_live_copy_print(const CliLiveCopy *copy);
/** Sets the facts of a result with a live snapshot. Return: their number; 0: there was none. */
guint cli_live_copy_facts(const CliLiveCopy *copy, CliFact ret_facts[CLI_LIVE_COPY_FACTS]);
/** Ends the live snapshot, and frees all members. */
void cli_live_copy_clear(CliLiveCopy *copy);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliLiveCopy, cli_live_copy_clear)
