/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/liveness.h>

#include <service/jobs.h>
#include <service/pools.h>
#include <service/secrets.h>
#include <service/service.h>
#include <service/volumes.h>
#include <store/audit.h>

/**
 * A service in memory with the real interface: two pools ("images" with volumes, "empty"), one
 * secret, and switches that make calls wait or fail. Every field is guarded by @lock.
 */
typedef struct {
    GMutex lock;
    GCond changed;
    guint volumes;           /**< in "images": vol00000, vol00001, … */
    guint rows;              /**< in each other list; 0: as few as usual */
    GByteArray *data;        /**< content of all downloads and uploads */
    guint hole_at, hole_len; /**< range that sparse downloads report as a hole */
    guint upload_limit;      /**< bytes after which an upload is out of space; 0: unlimited */
    gboolean any_name;       /**< every name and uuid is that of "images", or of a volume in it */
    gboolean hold_refresh;   /**< refresh runs on */
    CstLiveness *liveness;   /**< storage of refreshes and downloads; NULL: it never hangs */
    gboolean hold_build;     /**< build waits for other users, and ends when it is canceled */
    guint building;          /**< calls in build */
    guint listed;            /**< calls that listed volumes */
    void (*on_list)(gpointer data); /**< called by each of them; may be NULL */
    gpointer on_list_data;
    gboolean hold_wipe;      /**< a wipe continues until it is canceled */
    gboolean hold_writes;    /**< uploads wait */
    gboolean hold_finish;    /**< uploads wait when they are finished */
    gboolean hold_reads;     /**< downloads wait */
    gboolean cancel_streams; /**< the jobs of streams are cancelled */
    gboolean broken;         /**< calls to the storage fail */
    guint refreshing;        /**< calls in refresh */
    guint checks;            /**< of running wipes, whether they are cancelled */
    guint mutations;         /**< calls that change the service */
    guint streams_open;
    guint writing, finishing;  /**< uploads in a write, and in their finish */
    guint reads;               /**< calls that read a download */
    guint ends;                /**< streams that were marked as ending */
    guint finished, abandoned; /**< uploads that ended, by finish or without */
    char token[64];            /**< that the last call for a secret's value came with */
    gboolean cancelled;        /**< a wipe saw its cancel */
    CstAudit *audit;           /**< borrowed; NULL: changes are not recorded */
    uint64_t rate;             /**< of the last wipe, at its beginning */
} FakeState;

/** Every wipe is listed under this number, and no other call is listed. */
#define FAKE_WIPE_JOB 7

extern FakeState fake;
/** Of the one secret. */
extern const CstUuid fake_secret_uuid;

/** How many rows a list has. */
static inline guint fake_rows(guint usual)
{
    return fake.rows ? fake.rows : usual;
}

/** FALSE with IO while @broken. */
gboolean fake_works(GError **error);
/** Counts a change; FALSE as above. */
gboolean fake_changed(GError **error);
void fake_reset(void);
/** Sets one of the hold flags and wakes the waiting threads. */
void fake_hold(gboolean *flag, gboolean hold);
/** Whether a flag is set; until when it is. */
gboolean fake_is_held(const gboolean *flag);
void fake_wait_while(const gboolean *flag);
/** Returns a counter. */
guint fake_get(const guint *counter);
/** Adds @by to a counter and wakes the threads that wait for it. */
void fake_count(guint *counter, int by);
/** Waits until *@counter is @value; FALSE after 60 s. */
gboolean fake_wait(const guint *counter, guint value);
/** Waits until *@counter is at least @least; FALSE after 60 s. */
gboolean fake_wait_least(const guint *counter, guint least);
const CstUuid *fake_uuid(const char *pool);
void fake_emit(CstEventType type, const char *pool, int kind);
CstService *fake_service(void);
