/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/changed.h>
#include <base/error.h>
#include <base/liveness.h>
#include <base/room.h>
#include <base/secret_bytes.h>
#include <base/task.h>
#include <blob/blob.h>
#include <model/flags.h>
#include <model/pool_def.h>
#include <model/pool_health.h>
#include <model/snapshot.h>
#include <model/thin_store.h>
#include <model/vol_def.h>
#include <pool/volume.h>

/**
 * A backend makes one pool type work. Its callbacks are grouped by capability; a NULL callback
 * means that the technology can't, and the dispatcher (pool.h) turns that into one clear error.
 *
 * The life of a pool's state:
 *
 *     open ── check ──┬─ start ─┬─ scan, usage, vol_… (many threads) ─┬─ stop ── close
 *                     │  build  │                                     │
 *                     └─────────┴───────────── delete ────────────────┘
 *
 * A backend takes no locks for its callers and never calls up. The core runs at most one lifecycle
 * callback at a time, at most one changing callback per volume, and scan, scan_one and usage in
 * parallel with anything, from any thread. Every callback that fails sets @error and leaves things
 * as they were; one that succeeds sets none. @error is never NULL. Volumes and snapshots that a
 * callback is asked about may be gone: NO_VOL, NOT_FOUND. A backend that fails without an error, or
 * returns what its slot's contract forbids, makes an INTERNAL error that names it (dispatch.h).
 */

typedef struct CstBackend CstBackend;
typedef struct CstPoolState CstPoolState;

/** What the core lends to a state for as long as it lives. Any thread; takes no long locks. */
typedef struct {
    /**
     * Reads the value of the secret that @auth names; the caller clears it as soon as possible, and
     * what it makes of it is in CstSecretBytes as well. NO_SECRET when there is none of that name,
     * or it has no value; INVALID_SECRET when it is sealed with a key that is not here.
     */
    gboolean (*secret)(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data,
                       GError **error);
    /**
     * Looks up what is declared of the content of @count volumes, records that have name, file and
     * place (CST_VOLUME_SHARED): puts a new declaration for each into @ret_declarations; NULL:
     * nothing. Call it after the content has been read: whoever lets a stranger's bytes be written
     * declares that before them. NULL callback: nothing is ever declared.
     */
    void (*declared)(const CstPoolState *state, CstVolume *const *volumes, guint count,
                     CstDeclaration **ret_declarations, gpointer data);
    /**
     * Returns the drafts that have an intent (drafts_by_intent): the text of each token with the
     * name of its volume, "" where it is not known. The caller unrefs. NULL with @error when nobody
     * can tell. NULL callback: there are no intents.
     */
    GHashTable *(*drafts)(gpointer data, GError **error);
    gpointer data;
} CstPoolHost;

/** Who may change what a storage's server lets its users log in with. */
typedef struct {
    const char *user;          /**< as the server knows it: "client.admin" */
    const CstSecretBytes *key; /**< borrowed for the call */
} CstLoginAdmin;

/**
 * What a deleted volume is called for as long as it is kept, or the last part of a nested name;
 * what follows is at most 53 bytes of UTF-8, and ends with a digit or letter that is no suffix of a
 * draft's.
 */
#define CST_TRASH_PREFIX ".cistern-trash-"
/** Whether @name is that of a deleted volume that is kept. */
gboolean cst_name_is_trash(const char *name);

/** Head of every backend's own state struct. */
struct CstPoolState {
    gint refs;
    const CstBackend *backend;
    const CstPoolHost *host;
    CstPoolDef *def;       /**< copy, owned; what the state was opened with */
    CstLiveness *liveness; /**< atomic; whether it answers; NULL: calls end by themselves */
};

/** What an active pool's storage says of itself. */
typedef struct {
    uint64_t capacity; /**< bytes */
    uint64_t allocation;
    uint64_t available;
    uint32_t mode; /**< of the target; CST_PERMS_UNSET where there is no such thing */
    uint32_t uid;
    uint32_t gid;
    /**
     * Not 0: the sizes are estimated, from those that were read before and our own changes since.
     * What others have changed is not in them, so the core asks again at that (monotonic) time.
     */
    gint64 until;
    CstRoom room; /**< for new files; not known where volumes are no files */
} CstPoolUsage;

#define CST_POOL_USAGE_UNKNOWN \
    ((CstPoolUsage){.mode = CST_PERMS_UNSET, .uid = CST_PERMS_UNSET, .gid = CST_PERMS_UNSET})

/**
 * Receives each volume that a scan finds; takes the reference over. Any thread, one call at a time.
 */
typedef void (*CstVolumeSink)(CstVolume *volume, gpointer data);
/** Returns what is known of @name from before as a new reference, or NULL. Any thread. */
typedef CstVolume *(*CstVolumeKnown)(const char *name, gpointer data);

typedef struct {
    CstVolumeKnown known;
    CstVolumeSink sink;
    gpointer data;
} CstScan;

/**
 * A volume being made: it has its space and can be written, but under a name that no listing
 * shows, until commit gives it its real one (drafts_by_intent: or the intent's end does). A process
 * that dies leaves only the draft, which the journal's replay (or the next start of the pool) drops
 * by its token.
 */
typedef struct {
    char *token;     /**< a uuid's text, made by the core; names the draft in the journal */
    char *name;      /**< what snapshots.create and vol_resize know it by; NULL: they don't */
    CstBlob *blob;   /**< open for reading and writing; NULL for a directory volume */
    CstFileId id;    /**< of the file; zero where a volume is none */
    gboolean shared; /**< others than root and our user can write where it lies */
    gboolean zeroed; /**< what nobody has written reads as zeroes */
} CstVolDraft;

/** Frees the texts, drops the reference to the blob; the draft on the storage stays. */
void cst_vol_draft_clear(CstVolDraft *draft);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstVolDraft, cst_vol_draft_clear)

/**
 * Who has a volume open, in words for a message: "mounted on '/srv'", "process 812 (qemu-nbd)" (as
 * cst_process_describe() has it), …
 */
typedef struct {
    char *what;
    int64_t pid;         /**< 0: not a process of this host, or unknown */
    gboolean reads_only; /**< known not to write */
    gboolean passing;    /**< has it for a moment only: udev, tools that look at all devices */
} CstHolder;

/** Frees a holder with its text. */
void cst_holder_free(CstHolder *holder);
/** Appends to @holders, an array that frees them; returns the new one, borrowed. */
CstHolder *cst_holders_add(GPtrArray *holders, int64_t pid, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/** All of @holders in one line; empty when there are none. g_free() it. */
char *cst_holders_describe(const GPtrArray *holders);
/** Whether there are some, all of which have it for a moment only. */
gboolean cst_holders_pass(const GPtrArray *holders);
/** How long they are waited for before work on a volume is refused because of them, in µs. */
#define CST_HOLDERS_PASS_US (20 * G_TIME_SPAN_SECOND)
/** Returns TRUE when @holders is empty; else fails with BUSY, naming @volume and all of them. */
gboolean cst_holders_refuse(const GPtrArray *holders, const char *volume, GError **error);

/**
 * How full a space is that was set aside and may run out while guests write: a thin pool's data or
 * its metadata, what a classic snapshot may take.
 */
typedef struct {
    char *what;       /**< in the words for a log: "the data of thin pool 'x'"; unique in a pool */
    guint hundredths; /**< of a percent that are used: 0 to 10000 */
    gboolean lost;    /**< it ran out, and what was in it is gone */
} CstSpaceUsage;

/** Frees an entry with its text. */
void cst_space_usage_free(CstSpaceUsage *usage);
/** Appends an entry to @usage, an array that frees its elements (cst_space_usage_free). */
void cst_space_usage_add(GPtrArray *usage, guint hundredths, gboolean lost, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/** How a snapshot is to be made. */
typedef struct {
    uint64_t limit; /**< bytes set aside for what will differ; 0: the technology's default */
    uint64_t room;  /**< that default, where something has to be set aside; 0: its own */
    /**
     * When its content was taken, in microseconds since the epoch, where the technology can note
     * another time than that of its making; 0: now.
     */
    int64_t taken_us;
} CstSnapshotCreate;

/**
 * Snapshots made by the pool's technology. The core has claimed the volume for writing in all that
 * change something, has made sure that nobody holds it open for revert and delete, and has checked
 * the names. NOT_FOUND names the snapshot, EXISTS likewise; BUSY names what depends on it.
 */
typedef struct {
    /**
     * A draft can have snapshots, which become the volume's with the commit, and go with the draft
     * when that is dropped: vol_reserve gives it the name by which create and vol_resize find it.
     */
    gboolean of_drafts;
    /** With of_drafts: whether this pool's storage can make any. NULL: it can. */
    gboolean (*can_make)(CstPoolState *state, gboolean *ret_can, GError **error);
    /** Appends CstSnapshot to @snapshots, oldest first; kept_by is the dispatcher's to set. */
    gboolean (*list)(CstPoolState *state, const char *volume, GPtrArray *snapshots, GError **error);
    /** All or nothing, and on the disk when it returns. */
    gboolean (*create)(CstPoolState *state, const char *volume, const char *name,
                       const CstSnapshotCreate *how, CstTask *task, GError **error);
    /**
     * Takes snapshots @name of all of @volumes (NULL-terminated, two at least) at one moment, in
     * one step: what was written to one of them before something was written to another is in the
     * snapshot of the one if that is in the other's. All or none, and on the disk when it returns;
     * killed midway as well. EXISTS when one of them has a snapshot of that name, and NO_VOL where
     * one is not there, before anything was made. NULL: the technology can't.
     */
    gboolean (*create_many)(CstPoolState *state, const char *const *volumes, const char *name,
                            CstTask *task, GError **error);
    /**
     * Appends the names, oldest first, of the snapshots that a revert to @name would remove. NULL:
     * it never removes any.
     */
    gboolean (*revert_loses)(CstPoolState *state, const char *volume, const char *name,
                             GPtrArray *names, GError **error);
    /**
     * Makes the volume hold what the snapshot does; the snapshot stays, and those that revert_loses
     * names go. The user has agreed to lose @agreed (names; NULL: none) and no others: one that
     * somebody has taken since is BUSY, with nothing changed. Killed midway: one content or the
     * other (a technology that consumes the snapshot and makes it anew may lose it there). BUSY
     * when somebody has opened the volume since the core looked.
     */
    gboolean (*revert)(CstPoolState *state, const char *volume, const char *name,
                       const GPtrArray *agreed, CstTask *task, GError **error);
    /** Removes the snapshot, or fails with it whole; BUSY, naming them, while clones need it. */
    gboolean (*remove)(CstPoolState *state, const char *volume, const char *name, CstTask *task,
                       GError **error);
    /** Renames in one step; EXISTS rather than replace another. Clones stay what they are. */
    gboolean (*rename)(CstPoolState *state, const char *volume, const char *name,
                       const char *new_name, GError **error);
    /** Opens what the snapshot holds, for reading; a new reference. */
    CstBlob *(*open)(CstPoolState *state, const char *volume, const char *name, GError **error);
    /**
     * Tells which of the bytes as they are stored may differ between the snapshot @since and the
     * snapshot @until (NULL: the volume now), without reading all of them: see base/changed.h. What
     * it makes for that is gone when it returns, or, when it was killed, once drop_drafts has run.
     * UNSUPPORTED where this can't be told of this volume, or of an @until that is older. NULL: of
     * none.
     */
    gboolean (*changed)(CstPoolState *state, const char *volume, const char *since,
                        const char *until, CstTask *task, CstChanged *changed, GError **error);
} CstSnapshotBackend;

struct CstBackend {
    CstPoolType type;
    /**
     * In a dry run build, start, destroy, vol_make, vol_reserve and vol_delete end by themselves
     * right before their first change (cst_may_change), after their checks. FALSE: the dispatcher
     * does not call them then, and does not know what they would have refused.
     */
    gboolean ends_dry_runs;
    /**
     * Its storage is reached over a network and may not answer for long: check touches nothing
     * then, and the core does nothing with the storage while the program starts.
     */
    gboolean remote;
    /**
     * Its storage is what is mounted at a path: with each change of the host's mounts the daemon
     * calls check, which must be cheap, and scans the pool when it went away or came back.
     */
    gboolean on_mounts;
    gboolean check_touches; /**< check, too, is refused while touch hangs */
    /**
     * vol_flatten puts other storage in the volume's place, so whoever has the volume open would
     * go on with the old one. The core makes sure that nobody has before it calls; the callback
     * does so again before the replacement, and fails with BUSY. FALSE: it is safe under a guest.
     */
    gboolean flattens_at_rest;
    /**
     * vol_delete refuses by itself, in the step that removes it, a volume that is another one than
     * it was reported to be (STATE), or that snapshots or other volumes of the technology hang on
     * (BUSY). The core looks for these before it calls only where it is not to remove anything yet,
     * and after a refusal, to say what is in the way.
     */
    gboolean delete_refuses;
    /**
     * Where the host lends drafts(), its drafts have the volume's name from the beginning, and a
     * mark with the token: what has the mark is a draft for as long as the token has an intent, and
     * the volume from the intent's end on. So the core makes the intent durable before vol_reserve
     * and vol_reserve_clone, and its end durable after vol_commit, which only has to make the draft
     * what the volume is to be.
     */
    gboolean drafts_by_intent;
    /**
     * Takes names of CST_TRASH_PREFIX for vol_rename, scan_one, vol_holders, vol_children,
     * vol_delete and the snapshots' callbacks, while scan and watch_read leave them out;
     * drop_drafts spares them. FALSE: its pools can't keep deleted volumes.
     */
    gboolean keeps_trash;
    /** Names that begin like this are the backend's own, no volume's or snapshot's; NULL: none. */
    const char *reserved_prefix;
    /**
     * The options of a definition that name a secret besides its <auth>, by UUID or usage, ended by
     * NULL, so that users of a secret are found; NULL: none.
     */
    const char *const *secret_options;

    /* --- required ---------------------------------------------------------------------------- */

    /**
     * Makes the state from a definition and keeps a copy of @def in it; the dispatcher fills the
     * rest of its head. Touches no storage. INVALID or CONFIG for a definition that can't be one.
     */
    CstPoolState *(*open)(const CstPoolDef *def, GError **error);
    /** Frees the state, its copy of the definition included; the storage stays as it is. */
    void (*close)(CstPoolState *state);
    /**
     * Says whether the pool is active on this host (mounted, logged in, …). That it is not is an
     * answer and no error.
     */
    gboolean (*check)(CstPoolState *state, gboolean *ret_active, GError **error);
    /**
     * Finds all volumes. A record whose stamp still fits is handed on as it was; one that can't be
     * read is handed on with its problem. FALSE only when the pool itself can't be listed.
     */
    gboolean (*scan)(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
    /**
     * Makes the record of volume @name, or returns a reference to @known (NULL: none) when that
     * still fits. *ret_volume is NULL at first, and stays so when there is none of that name.
     */
    gboolean (*scan_one)(CstPoolState *state, const char *name, CstVolume *known,
                         CstVolume **ret_volume, GError **error);
    /** Fills *ret_usage, which begins as CST_POOL_USAGE_UNKNOWN, in bytes. */
    gboolean (*usage)(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);
    /**
     * Adds to @def, a copy of the definition that is about to be shown, what the storage says of
     * itself besides its usage (free extents of a disk), as the last usage() saw it. Touches no
     * storage. NULL: nothing.
     */
    void (*describe)(CstPoolState *state, CstPoolDef *def);
    /**
     * Returns the path of a volume as libvirt shows it, from the definition alone; never NULL.
     * Caller frees.
     */
    char *(*vol_path)(CstPoolState *state, const char *name);
    /**
     * Returns the name of the volume that @path (clean, absolute) or key may mean, from the
     * definition alone; NULL: it can't be in this pool. Caller frees.
     */
    char *(*vol_resolve)(CstPoolState *state, const char *path);

    /* --- storage that hangs or fails ---------------------------------------------------------- */

    /**
     * Touches the storage of @def for a moment, in a thread of its own that may hang for long.
     * Meanwhile no other callback is called but check (see check_touches), stop and watch_read,
     * which must not wait for the storage. FALSE: all of it fails; the error is the pool's problem
     * until the next touch succeeds. NULL: calls into this storage end by themselves.
     */
    gboolean (*touch)(const CstPoolDef *def, GError **error);
    gboolean (*may_hang)(const CstPoolDef *def); /**< FALSE: do not touch it now; NULL: TRUE */
    gint64 (*patience)(const CstPoolDef *def);   /**< of touch, in us; 0 or NULL: five seconds */

    /* --- lifecycle --------------------------------------------------------------------------- */

    /**
     * Makes the storage (pool-build). @flags: CstPoolBuildFlags; those that mean nothing here are
     * FLAGS. What carries something is never formatted without CST_POOL_BUILD_OVERWRITE:
     * POOL_BUILT. A repetition changes nothing more. NULL: nothing has to be made.
     */
    gboolean (*build)(CstPoolState *state, unsigned flags, GError **error);
    /**
     * Makes the storage usable on this host; also called when it is already. NULL: it always is.
     */
    gboolean (*start)(CstPoolState *state, GError **error);
    /** Undoes start; BUSY, naming it, while a volume is in use. NULL: nothing to undo. */
    gboolean (*stop)(CstPoolState *state, GError **error);
    /** Removes the storage (pool-delete) of a pool without volumes. NULL: can't. */
    gboolean (*destroy)(CstPoolState *state, unsigned flags, GError **error);
    /**
     * Drops drafts of processes that are gone, and finishes what they left halfway; before the
     * first scan after a start (remote: and before the first one of this program).
     */
    gboolean (*drop_drafts)(CstPoolState *state, GError **error);

    /**
     * Has the host look for devices that came, went or changed, which nobody tells it of, before a
     * scan that a client has asked for; may last. NULL: a scan sees what there is.
     */
    gboolean (*rescan_bus)(CstPoolState *state, CstTask *task, GError **error);

    /* --- login: storage that lets in who knows a secret --------------------------------------- */

    /**
     * Logs in to the storage anew, with what host->secret() lends now, and out again; what is in
     * use keeps the login that it has. DENIED or AUTH when the storage refuses the login; other
     * errors say nothing of the value. On a state of its own, which does nothing else; asks the
     * host for nothing after it has returned. NULL: there is no login.
     */
    gboolean (*prove)(CstPoolState *state, GError **error);
    /**
     * The value of a secret of the pool has changed: logins from now on use the new one, and what
     * is under way goes on with the login that it has. NULL: each login asks for the value.
     */
    gboolean (*renew)(CstPoolState *state, GError **error);
    /**
     * Has the storage's server, as @admin, let in the pool's user with @value and nothing else;
     * what the user may do stays as it is. @value NULL: changes nothing. *ret_account names the
     * user and the server, and is the same for all pools that log in as that user; the caller frees
     * it. DENIED: @admin may not; NOT_FOUND: there is no such user. NULL: can't be done from here.
     */
    gboolean (*set_credential)(CstPoolState *state, const CstLoginAdmin *admin,
                               const CstSecretBytes *value, char **ret_account, GError **error);

    /* --- identity: notice that the storage under the pool is not the one it was --------------- */

    /** Returns one line, ended by "\n", that describes the storage now; NULL with @error. */
    char *(*identity)(CstPoolState *state, GError **error);
    /**
     * Expects the storage of @recorded from now on (NULL, or a line that says nothing: any): each
     * callback verifies it before it touches anything, and fails with STATE, saying what is
     * missing, when it can't be the same. Called once, before the state is shared.
     *
     * @starting: compares at once, also accepts something of the same kind (restored, made anew),
     * and expects from then on what is there now. Otherwise it touches no storage: that of an
     * active pool may be away for the moment.
     */
    gboolean (*expect)(CstPoolState *state, const char *recorded, gboolean starting,
                       GError **error);

    /* --- discover ---------------------------------------------------------------------------- */

    /** Appends a CstPoolSource to @ret_sources for each pool there could be; @spec may be NULL. */
    gboolean (*discover)(const CstPoolSource *spec, GArray *ret_sources, GError **error);

    /* --- volumes ----------------------------------------------------------------------------- */

    /**
     * Returns what tells the storage of @volume, just scanned, from any other that ever has its
     * name, and stays over renames and reboots: a UUID, a number that is given once. "": nothing
     * tells. Caller frees. NULL: the inode and birth of a file.
     */
    char *(*vol_identity)(CstPoolState *state, const CstVolume *volume, GError **error);
    /**
     * Makes volume def->name in one step, for which the core needs neither a draft nor an intent:
     * at every moment there is no such volume, or the whole of it, whoever dies meanwhile. It has
     * the size, space, owner and mode that @def asks for and is on the disk on return. Nothing is
     * written to it, so it reads as zeroes if the type's documents name formats. VOL_EXISTS when
     * the name is taken; other failures leave no volume. UNSUPPORTED, before anything has changed:
     * the core goes by vol_reserve. NULL: never; so for volumes that are files, whose content has
     * to be declared.
     */
    gboolean (*vol_make)(CstPoolState *state, const CstVolDef *def, GError **error);
    /**
     * Makes the draft that @draft's token names, for @def, and sets its blob: owner as it will be,
     * readable by nobody else before the commit. VOL_EXISTS when the name is taken. The blob of a
     * file-like draft is empty; a block-like one has the capacity asked for.
     */
    gboolean (*vol_reserve)(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                            GError **error);
    /** Gives the draft its name, atomically; VOL_EXISTS when somebody took it meanwhile. */
    gboolean (*vol_commit)(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                           GError **error);
    /** Drops a draft, by token: also one of a dead process. A missing one is success. */
    gboolean (*vol_abandon)(CstPoolState *state, const char *token, GError **error);
    /**
     * Removes a volume that nobody holds and nothing depends on; on the disk when it returns. One
     * that is gone already may be success. @flags: CstVolDeleteFlags; FLAGS for unknown ones.
     */
    gboolean (*vol_delete)(CstPoolState *state, const char *name, unsigned flags, GError **error);
    /**
     * Gives volume @name, which nobody has open, the name @new_name, with its snapshots; what
     * depends on it by the technology goes on to. VOL_EXISTS when another volume has the name, by
     * the step itself, and the other one untouched. On the disk when it returns. Where both are
     * names of the volume (vol_link), @name ceases to be one. Called again after a crash at any
     * point it completes what is left: without a volume @name, @new_name is taken for it. NULL: the
     * name is the volume's place.
     */
    gboolean (*vol_rename)(CstPoolState *state, const char *name, const char *new_name,
                           GError **error);
    /**
     * Makes @new_name a second name of volume @name, so that what refers to it by either finds it.
     * VOL_EXISTS when the name is taken; UNSUPPORTED where the storage can't. On the disk when it
     * returns. vol_rename() drops one of the two again. NULL: the technology can't.
     */
    gboolean (*vol_link)(CstPoolState *state, const char *name, const char *new_name,
                         GError **error);
    /**
     * Makes volume @name of @from, a pool of the same backend, a volume @new_name of this one as
     * well, without copying it; @blob is what is open of it, and no other file is taken for it.
     * VOL_EXISTS when the name is taken; UNSUPPORTED where the two are not on the same storage. On
     * the disk when it returns. NULL: the technology can't.
     */
    gboolean (*vol_take)(CstPoolState *state, CstPoolState *from, const char *name, CstBlob *blob,
                         const char *new_name, GError **error);
    /**
     * Gives volume @name of @from, a pool of the same backend, which nobody has open, the name
     * @new_name in this one, in one step, with its snapshots; what depends on it by the technology
     * goes on to. VOL_EXISTS when the name is taken, by the step itself; UNSUPPORTED, before
     * anything has changed, where it has to be copied. On the disk when it returns. NULL: the
     * technology can't.
     */
    gboolean (*vol_rename_from)(CstPoolState *state, CstPoolState *from, const char *name,
                                const char *new_name, GError **error);
    /**
     * Keeps with the content of @blob, a volume or a draft, what is declared of its format and
     * that its references are restricted; a copy of the file by other tools takes that along. FALSE
     * (no error) where the storage has no place for it. NULL: it never has.
     */
    gboolean (*vol_declare)(CstPoolState *state, CstBlob *blob, const CstDeclaration *declaration);
    /**
     * Fails with the reason where writing to all of a volume would break it. NULL: it never does.
     */
    gboolean (*vol_check_wipe)(CstPoolState *state, const char *name, GError **error);
    /** Opens the volume's bytes as they are stored; a new reference. NULL: can't. */
    CstBlob *(*vol_open)(CstPoolState *state, const char *name, gboolean writable, GError **error);
    /**
     * Changes the capacity, in both directions and durably, of volumes that are no files and have
     * raw content. NULL: can't.
     */
    gboolean (*vol_resize)(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                           GError **error);
    /**
     * As vol_reserve, but the draft holds what @source (or its snapshot @snapshot, NULL: none)
     * holds, at once, because the technology can share it; without a blob where it need not grow.
     * UNSUPPORTED: the core copies. NULL: never.
     */
    gboolean (*vol_reserve_clone)(CstPoolState *state, const CstVolDef *def, const char *source,
                                  const char *snapshot, CstVolDraft *draft, GError **error);

    /* --- who uses it, what depends on it ------------------------------------------------------ */

    /** Appends CstHolder for everybody who has the volume open, this process not counted. */
    gboolean (*vol_holders)(CstPoolState *state, const char *name, GPtrArray *holders,
                            GError **error);
    /**
     * Appends the path of each volume that shares content with it and would be lost with it: as
     * vol_path has it, also for those in other places of the technology (another Ceph pool). The
     * core shows them by the name of the pool that lists them, where there is one, as
     * "pool/volume", and else by that path.
     */
    gboolean (*vol_children)(CstPoolState *state, const char *name, GPtrArray *children,
                             GError **error);
    /**
     * Makes a volume that shares content with another (extra->backing_path) hold all of it, in
     * steps after each of which it is whole. Guests may have it open, unless flattens_at_rest.
     */
    gboolean (*vol_flatten)(CstPoolState *state, const char *name, CstTask *task, GError **error);

    /* --- groups; NULL: the technology has none ------------------------------------------------ */

    /**
     * Says how the storage is, by its technology; *ret_health begins empty. @details: with the
     * notes; without them the daemon asks every few seconds, so that it must cost nothing.
     */
    gboolean (*health)(CstPoolState *state, gboolean details, CstPoolHealth *ret_health,
                       GError **error);
    /** Appends a CstThinStore for each store that volumes draw their space from. */
    gboolean (*thin)(CstPoolState *state, GPtrArray *stores, GError **error);
    /** Appends a CstSpaceUsage for each space that may run full while no command is running. */
    gboolean (*space_usage)(CstPoolState *state, GPtrArray *usage, GError **error);
    const CstSnapshotBackend *snapshots;

    /* --- watch: changes behind our back; open and read, or none ------------------------------- */

    /** Opens a descriptor that becomes readable when something changed. */
    int (*watch_open)(CstPoolState *state, GError **error);
    /** Closes it. Must not wait for the storage. NULL: by close(). */
    void (*watch_close)(CstPoolState *state, int fd);
    /** Reads what there is: calls @changed with each name, or with NULL for "anything". */
    void (*watch_read)(CstPoolState *state, int fd,
                       void (*changed)(const char *name, gpointer data), gpointer data);
};

/* --- what the core gives to backends (backend.c) ---------------------------------------------- */

/* Failures that every pool type words alike; always FALSE. */
gboolean cst_fail_no_volume(const char *name, GError **error);
gboolean cst_fail_no_snapshot(const char *volume, const char *name, GError **error);
gboolean cst_fail_snapshot_exists(const char *volume, const char *name, GError **error);
#define cst_fail_no_volume(...)       CST_GIVES_FALSE(cst_fail_no_volume(__VA_ARGS__))
#define cst_fail_no_snapshot(...)     CST_GIVES_FALSE(cst_fail_no_snapshot(__VA_ARGS__))
#define cst_fail_snapshot_exists(...) CST_GIVES_FALSE(cst_fail_snapshot_exists(__VA_ARGS__))

/** CstPoolHost.drafts; an empty table if the host has no such callback. */
GHashTable *cst_pool_state_drafts(const CstPoolState *state, GError **error);

/** Returns @state, with a reference more: for what outlives the call. Any thread. */
CstPoolState *cst_pool_state_ref(CstPoolState *state);
/** Closes with the last reference. NULL: nothing. */
void cst_pool_state_unref(CstPoolState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPoolState, cst_pool_state_unref)

/** CstPoolHost.declared. Fills @declarations, @count NULLs, which the caller frees. */
void cst_pool_state_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                             CstDeclaration **declarations);
