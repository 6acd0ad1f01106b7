/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>
#include <blob/blob.h>
#include <model/flags.h>
#include <model/pool_def.h>
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
 * callback at a time, at most one changing callback per volume, and scan and usage beside anything.
 * Every callback that fails sets @error and leaves things as they were.
 */

typedef struct CstBackend CstBackend;
typedef struct CstPoolState CstPoolState;

/** What the core lends to a state for as long as it lives. Any thread; takes no long locks. */
typedef struct {
    /**
     * The value of the secret that @auth names; the caller wipes (explicit_bzero) and frees it.
     * NO_SECRET when there is none of that name, or it has no value.
     */
    gboolean (*secret)(const CstAuth *auth, uint8_t **ret_value, size_t *ret_len, gpointer data,
                       GError **error);
    /**
     * What is declared of the content of @count volumes, records that say name, file and place
     * (CST_VOLUME_SHARED): a new declaration for each in @ret_declarations; NULL: nothing. It is
     * asked after the content has been read, since who writes a stranger's bytes declares that
     * before them. NULL callback: nothing is ever declared.
     */
    void (*declared)(const CstPoolState *state, CstVolume *const *volumes, guint count,
                     CstDeclaration **ret_declarations, gpointer data);
    gpointer data;
} CstPoolHost;

/** Head of every backend's own state struct. */
struct CstPoolState {
    gint refs;
    const CstBackend *backend;
    const CstPoolHost *host;
    CstPoolDef *def; /**< copy, owned; what the state was opened with */
};

/** What an active pool's storage says of itself. */
typedef struct {
    uint64_t capacity; /**< bytes */
    uint64_t allocation;
    uint64_t available;
    uint32_t mode; /**< of the target; CST_PERMS_UNSET where there is no such thing */
    uint32_t uid;
    uint32_t gid;
} CstPoolUsage;

#define CST_POOL_USAGE_UNKNOWN \
    ((CstPoolUsage){.mode = CST_PERMS_UNSET, .uid = CST_PERMS_UNSET, .gid = CST_PERMS_UNSET})

/** Called by a scan for each volume found; takes the reference over. Any thread, one at a time. */
typedef void (*CstVolumeSink)(CstVolume *volume, gpointer data);
/** What is known of @name from before, a new reference, or NULL. Any thread. */
typedef CstVolume *(*CstVolumeKnown)(const char *name, gpointer data);

typedef struct {
    CstVolumeKnown known;
    CstVolumeSink sink;
    gpointer data;
} CstScan;

/**
 * A volume being made: it has its space and can be written, but under a name that no listing
 * shows, until commit gives it its real one. A process that dies leaves only the draft, which the
 * journal's replay (or the next start of the pool) drops by its token.
 */
typedef struct {
    char *token;     /**< a uuid's text, made by the core; names the draft in the journal */
    CstBlob *blob;   /**< open for reading and writing; NULL for a directory volume */
    CstFileId id;    /**< of the file; zero where a volume is none */
    gboolean shared; /**< others than root and our user can write where it lies */
    gboolean zeroed; /**< what nobody has written reads as zeroes */
} CstVolDraft;

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
} CstHolder;

void cst_holder_free(CstHolder *holder);
/** Appends to @holders, an array that frees them; returns the new one, borrowed. */
CstHolder *cst_holders_add(GPtrArray *holders, int64_t pid, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/** Room that was set aside and may run out: a thin pool's data or metadata, a snapshot's room. */
typedef struct {
    char *what;       /**< in the words for a log: "the data of thin pool 'x'"; unique in a pool */
    guint hundredths; /**< of a percent that are used: 0 to 10000 */
    gboolean lost;    /**< it ran out, and what was in it is gone */
} CstRoom;

void cst_room_free(CstRoom *room);
/** Appends to @rooms, an array that frees them. */
void cst_rooms_add(GPtrArray *rooms, guint hundredths, gboolean lost, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

typedef struct {
    uint64_t limit; /**< bytes set aside for what will differ; 0: the technology's default */
} CstSnapshotCreate;

/**
 * Snapshots made by the pool's technology. The core has claimed the volume for writing in all that
 * change something, has made sure that nobody holds it open for revert and delete, and has checked
 * the names. NOT_FOUND names the snapshot, EXISTS likewise; BUSY names what depends on it.
 */
typedef struct {
    /** Appends CstSnapshot to @snapshots, oldest first; kept_by is the dispatcher's to set. */
    gboolean (*list)(CstPoolState *state, const char *volume, GPtrArray *snapshots, GError **error);
    /** All or nothing, and on the disk when it returns. */
    gboolean (*create)(CstPoolState *state, const char *volume, const char *name,
                       const CstSnapshotCreate *how, CstTask *task, GError **error);
    /**
     * The volume holds what the snapshot does; the snapshot stays. Killed midway: one or other
     * (a technology that consumes the snapshot and makes it anew may lose it there).
     */
    gboolean (*revert)(CstPoolState *state, const char *volume, const char *name, CstTask *task,
                       GError **error);
    gboolean (*remove)(CstPoolState *state, const char *volume, const char *name, CstTask *task,
                       GError **error);
    gboolean (*rename)(CstPoolState *state, const char *volume, const char *name,
                       const char *new_name, GError **error);
    /** What it holds, for reading. */
    CstBlob *(*open)(CstPoolState *state, const char *volume, const char *name, GError **error);
} CstSnapshotBackend;

struct CstBackend {
    CstPoolType type;
    /**
     * In a dry run build, start, destroy, vol_reserve and vol_delete end by themselves right before
     * their first change (cst_may_change), after their checks. FALSE: the dispatcher does not call
     * them then, and does not know what they would have refused.
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
    /** Names that begin like this are the backend's own, and no volume's or snapshot's; NULL: none.
     */
    const char *reserved_prefix;

    /* --- required ---------------------------------------------------------------------------- */

    /** Makes the state from a definition; the dispatcher fills its head. Touches no storage. */
    CstPoolState *(*open)(const CstPoolDef *def, GError **error);
    void (*close)(CstPoolState *state);
    /** Is the pool active on this host (mounted, logged in, …)? Not an error when it is not. */
    gboolean (*check)(CstPoolState *state, gboolean *ret_active, GError **error);
    /**
     * Finds all volumes. A record whose stamp still fits is handed on as it was; one that can't be
     * read is handed on with its problem. FALSE only when the pool itself can't be listed.
     */
    gboolean (*scan)(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
    /** Looks at one volume. *ret_volume NULL: there is none of that name. */
    gboolean (*scan_one)(CstPoolState *state, const char *name, CstVolume *known,
                         CstVolume **ret_volume, GError **error);
    gboolean (*usage)(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);
    /** Path of a volume as libvirt shows it. */
    char *(*vol_path)(CstPoolState *state, const char *name);
    /** Name of the volume that @path (clean, absolute) or key may mean; NULL: not in this pool. */
    char *(*vol_resolve)(CstPoolState *state, const char *path);

    /* --- lifecycle --------------------------------------------------------------------------- */

    gboolean (*build)(CstPoolState *state, unsigned flags, GError **error);
    gboolean (*start)(CstPoolState *state, GError **error);
    gboolean (*stop)(CstPoolState *state, GError **error);
    gboolean (*destroy)(CstPoolState *state, unsigned flags, GError **error);
    /**
     * Drops drafts of processes that are gone, and finishes what they left halfway; before the
     * first scan after a start (remote: and before the first one of this program).
     */
    gboolean (*drop_drafts)(CstPoolState *state, GError **error);

    /* --- identity: notice that the storage under the pool is not the one it was --------------- */

    /** One line that describes the storage now. */
    char *(*identity)(CstPoolState *state, GError **error);
    /**
     * From now on the storage must be @recorded's (NULL, or a line that says nothing: any), and
     * each callback makes sure of that before it touches anything: STATE, saying what is missing,
     * when it can't be the same. Called once, before the state is shared.
     *
     * @starting: compares at once, takes something of the same kind (restored, made anew) as well,
     * and expects from then on what is there now. Else it touches no storage: an active pool's may
     * be away for the moment.
     */
    gboolean (*expect)(CstPoolState *state, const char *recorded, gboolean starting,
                       GError **error);

    /* --- discover ---------------------------------------------------------------------------- */

    /** Fills @ret_sources (of CstPoolSource); @spec may be NULL. */
    gboolean (*discover)(const CstPoolSource *spec, GArray *ret_sources, GError **error);

    /* --- volumes ----------------------------------------------------------------------------- */

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
    gboolean (*vol_delete)(CstPoolState *state, const char *name, unsigned flags, GError **error);
    /**
     * Writes beside the content of @blob, a volume or a draft, what is declared of its format and
     * that its references are restricted; a copy of the file by other tools takes that along. FALSE
     * (no error) where the storage has no place for it. NULL: it never has.
     */
    gboolean (*vol_declare)(CstPoolState *state, CstBlob *blob, const CstDeclaration *declaration);
    /** FALSE with the reason where writing to all of a volume would break it. NULL: never. */
    gboolean (*vol_check_wipe)(CstPoolState *state, const char *name, GError **error);
    /** The volume's bytes as they are stored. */
    CstBlob *(*vol_open)(CstPoolState *state, const char *name, gboolean writable, GError **error);
    /** Volumes that are no files, with raw content: both ways; durable. NULL: can't. */
    gboolean (*vol_resize)(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                           GError **error);
    /**
     * As vol_reserve, but the draft holds what @source (or its snapshot @snapshot, NULL: none)
     * holds, at once, because the technology can share it; without a blob where it need not grow.
     * UNSUPPORTED: the core copies. NULL: never.
     */
    gboolean (*vol_reserve_clone)(CstPoolState *state, const CstVolDef *def, const char *source,
                                  const char *snapshot, CstVolDraft *draft, GError **error);

    /* --- who uses it, what hangs on it -------------------------------------------------------- */

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
    /** Makes a volume that shares content with another (extra->backing_path) hold all of it. */
    gboolean (*vol_flatten)(CstPoolState *state, const char *name, CstTask *task, GError **error);

    /* --- groups; NULL: the technology has none ------------------------------------------------ */

    /** Appends CstThinStore for each. */
    gboolean (*thin)(CstPoolState *state, GPtrArray *stores, GError **error);
    /** Appends CstRoom for whatever may run full while nobody looks. */
    gboolean (*rooms)(CstPoolState *state, GPtrArray *rooms, GError **error);
    const CstSnapshotBackend *snapshots;

    /* --- watch: changes behind our back ------------------------------------------------------ */

    /** A descriptor that becomes readable when something changed; owned by the caller. */
    int (*watch_open)(CstPoolState *state, GError **error);
    /** Reads what there is: calls @changed with each name, or with NULL for "anything". */
    void (*watch_read)(CstPoolState *state, int fd,
                       void (*changed)(const char *name, gpointer data), gpointer data);
};

/** The backend of @type; NULL with UNSUPPORTED when this build has none. */
const CstBackend *cst_backend_for(CstPoolType type, GError **error);
/** TRUE when there is one; for the capabilities document. */
gboolean cst_backend_exists(CstPoolType type);
