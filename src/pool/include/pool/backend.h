/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/error.h>
#include <base/liveness.h>
#include <base/room.h>
#include <base/secret_bytes.h>
#include <base/task.h>
#include <blob/blob.h>
#include <model/flags.h>
#include <model/growth.h>
#include <model/pool_def.h>
#include <model/pool_health.h>
#include <model/thin_store.h>
#include <model/vol_def.h>
#include <pool/holders.h>
#include <pool/snapshots.h>
#include <pool/volume.h>

/**
 * A backend implements one pool type. Its callbacks are grouped by capability. A NULL callback
 * means that the technology lacks the operation; the dispatcher (pool.h) reports one clear error.
 *
 * The life of a pool's state:
 *
 *     open ── check ──┬─ start ─┬─ scan, usage, vol_… (many threads) ─┬─ stop ── close
 *                     │  build  │                                     │
 *                     └─────────┴───────────── delete ────────────────┘
 *
 * A backend acquires no locks for its callers and never calls up. The core runs at most one
 * lifecycle callback at a time and at most one changing callback per volume. It runs scan, scan_one
 * and usage in parallel with any other callback, from any thread.
 *
 * A callback that fails sets @error and leaves the storage unchanged. A callback that succeeds sets
 * no error. @error is never NULL. The volume or snapshot in a call may have been removed: NO_VOL,
 * NOT_FOUND. If a backend fails without an error, or violates the contract of a slot, the
 * dispatcher fails with an INTERNAL error that names the backend (dispatch.h).
 */

typedef struct CstBackend CstBackend;

/** Callbacks of the core, valid as long as the state. Any thread; they hold no lock for long. */
typedef struct {
    /**
     * Reads the value of the secret that @auth names. The caller clears the value as soon as
     * possible and keeps all derived data in CstSecretBytes. NO_SECRET without a secret of that
     * name or its value. INVALID_SECRET if it is sealed with a key that this host lacks.
     */
    gboolean (*secret)(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data,
                       GError **error);
    /**
     * Looks up the declarations of @count volumes. The records need the name, the file and the
     * place (CST_VOLUME_SHARED). Sets ret_declarations[i] to a new declaration, or NULL if the
     * volume has no declaration. Call it after the content has been read, because a declaration is
     * stored before untrusted bytes are written. NULL callback: no volume has a declaration.
     */
    void (*declared)(const CstPoolState *state, CstVolume *const *volumes, guint count,
                     CstDeclaration **ret_declarations, gpointer data);
    /**
     * Returns the drafts that have an intent (drafts_by_intent): the text of each token, with the
     * name of its volume, or "" if the name is unknown. The caller unrefs the table. NULL with
     * @error if the intents cannot be read. NULL callback: no draft has an intent.
     */
    GHashTable *(*drafts)(gpointer data, GError **error);
    gpointer data;
} CstPoolHost;

/** The account that may change the credentials of users of a storage server. */
typedef struct {
    const char *user;          /**< name on the server: "client.admin" */
    const CstSecretBytes *key; /**< borrowed for the call */
} CstLoginAdmin;

/**
 * Prefix of the name of a deleted volume in the trash; in a nested name, of its last component. At
 * most 53 bytes of UTF-8 follow. The last one is a digit or a letter, not a draft's suffix.
 */
#define CST_TRASH_PREFIX ".cistern-trash-"
/** Whether @name is the name of a volume in the trash. */
gboolean cst_name_is_trash(const char *name);

/** Head of every backend's own state struct. */
struct CstPoolState {
    gint refs;
    const CstBackend *backend;
    const CstPoolHost *host;
    CstPoolDef *def;       /**< copy, owned: the definition that the state was opened with */
    CstLiveness *liveness; /**< atomic; whether the storage answers; NULL: calls never hang */
};

/** Sizes and permissions of an active pool's storage. */
typedef struct {
    uint64_t capacity; /**< bytes */
    uint64_t allocation;
    uint64_t available;
    uint32_t mode; /**< of the target; CST_PERMS_UNSET if the pool has no target with a mode */
    uint32_t uid;
    uint32_t gid;
    /**
     * Not 0: the sizes are estimated from the last report and this process's own changes. Changes
     * by other programs are missing, so the core asks again at this (monotonic) time.
     */
    gint64 until;
    CstRoom room; /**< for new files; unknown if volumes are not files */
} CstPoolUsage;

#define CST_POOL_USAGE_UNKNOWN \
    ((CstPoolUsage){.mode = CST_PERMS_UNSET, .uid = CST_PERMS_UNSET, .gid = CST_PERMS_UNSET})

/** Receives a volume of a scan and consumes the reference. Any thread, one call at a time. */
typedef void (*CstVolumeSink)(CstVolume *volume, gpointer data);
/** Returns a new reference to the former record of @name, or NULL. Any thread. */
typedef CstVolume *(*CstVolumeKnown)(const char *name, gpointer data);

typedef struct {
    CstVolumeKnown known;
    CstVolumeSink sink;
    gpointer data;
} CstScan;

/**
 * A volume under construction. It has its space and can be written, under a name that no listing
 * shows. The commit gives it the volume's name (drafts_by_intent: the end of the intent does). A
 * process that dies leaves only the draft. The journal's replay, or the next start of the pool,
 * drops it by its token.
 */
typedef struct {
    char *token;     /**< text of a UUID, made by the core; names the draft in the journal */
    char *name;      /**< name of the draft in snapshots.create and vol_resize; NULL: not
                          possible */
    CstBlob *blob;   /**< open for reading and writing; NULL for a directory volume */
    CstFileId id;    /**< of the file; zero if volumes are not files */
    gboolean shared; /**< users other than root and our user can write to its directory */
    gboolean zeroed; /**< bytes that were never written read as zeroes */
} CstVolDraft;

/** A volume to remove, and the outcome. */
typedef struct {
    const char *name; /**< borrowed */
    unsigned flags;   /**< CstVolDeleteFlags */
    GError *error;    /**< NULL: removed. The caller frees it. */
} CstVolDeletion;

/** Frees the strings and drops the reference to the blob. The draft on the storage stays. */
void cst_vol_draft_clear(CstVolDraft *draft);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstVolDraft, cst_vol_draft_clear)

typedef enum {
    CST_SPACE_OTHER,
    CST_SPACE_DATA,    /**< the data of a thin pool */
    CST_SPACE_METADATA /**< the metadata of a thin pool */
} CstSpaceKind;

/**
 * Usage of a preallocated space that may run out while guests write: the data or the metadata of a
 * thin pool, the space of a classic snapshot.
 */
typedef struct {
    char *what;       /**< name for a log message: "the data of thin pool 'x'"; unique in a pool */
    guint hundredths; /**< used hundredths of a percent: 0 to 10000 */
    gboolean lost;    /**< the space ran out, and its content is lost */
    CstSpaceKind kind;
    uint64_t size; /**< bytes; 0: not reported */
} CstSpaceUsage;

/** Frees an entry and its text. */
void cst_space_usage_free(CstSpaceUsage *usage);
/**
 * Appends an entry to @usage, an array that frees its elements (cst_space_usage_free). Returns the
 * entry, borrowed, of the kind OTHER without a size.
 */
CstSpaceUsage *cst_space_usage_add(GPtrArray *usage, guint hundredths, gboolean lost,
                                   const char *format, ...) G_GNUC_PRINTF(4, 5);

struct CstBackend {
    CstPoolType type;
    /**
     * In a dry run build, start, destroy, vol_make, vol_reserve and vol_delete do their checks and
     * return right before their first change (cst_may_change). FALSE: the dispatcher does not call
     * them in a dry run, so their checks are not made.
     */
    gboolean ends_dry_runs;
    /**
     * The storage is accessed over a network and may not answer for long. check does not access it,
     * and the core does not access it while the program starts.
     */
    gboolean remote;
    /**
     * The storage is a file system mounted at a path. With each change of the host's mounts the
     * daemon calls check, which must be cheap. It scans the pool if the storage disappeared or came
     * back.
     */
    gboolean on_mounts;
    gboolean check_touches; /**< check, too, is refused while touch hangs */
    /**
     * vol_flatten replaces the volume's storage, so a process that has the volume open would keep
     * using the old storage. Before the call the core checks that the volume is not open. The
     * callback checks it again before the replacement, and fails with BUSY. FALSE: flattening is
     * safe under a running guest.
     */
    gboolean flattens_at_rest;
    /**
     * vol_delete itself refuses a volume that is not the reported one (STATE), or that has
     * snapshots or dependent volumes of the technology (BUSY). The check is part of the step that
     * removes the volume. The core makes these checks itself only in a dry run, if it is to delete
     * the snapshots too, and after a refusal, to report the reason.
     */
    gboolean delete_refuses;
    /**
     * If the host supplies drafts(), the drafts have the volume's name from the beginning, and a
     * mark with the token. An object with the mark is a draft as long as the token has an intent,
     * and the volume after the intent's end. So the core makes the intent durable before
     * vol_reserve and vol_reserve_clone. It makes the intent's end durable after vol_commit, which
     * only gives the draft its final properties.
     */
    gboolean drafts_by_intent;
    /**
     * vol_rename, scan_one, vol_holders, vol_children, vol_delete and the snapshot callbacks accept
     * names with CST_TRASH_PREFIX. scan and watch_read leave these names out; drop_drafts keeps
     * them. FALSE: its pools cannot keep deleted volumes.
     */
    gboolean keeps_trash;
    /** Reserved prefix; no volume or snapshot may have such a name. NULL: no prefix. */
    const char *reserved_prefix;
    /**
     * Options of a definition, besides its <auth>, that name a secret by UUID or usage. The
     * NULL-terminated list lets the core find the users of a secret. NULL: no such option.
     */
    const char *const *secret_options;

    /* --- required ---------------------------------------------------------------------------- */

    /**
     * Creates the state from a definition and stores a copy of @def. The dispatcher fills in the
     * rest of the head. Does not access the storage. INVALID or CONFIG if the definition is not
     * valid.
     */
    CstPoolState *(*open)(const CstPoolDef *def, GError **error);
    /** Frees the state and its copy of the definition. Does not change the storage. */
    void (*close)(CstPoolState *state);
    /** Sets *ret_active: whether the pool is active (mounted, …). Inactive is not an error. */
    gboolean (*check)(CstPoolState *state, gboolean *ret_active, GError **error);
    /**
     * Finds all volumes. If the stamp of the known record still matches, it passes on that record.
     * An unreadable volume gets a record with its problem. FALSE only if the pool cannot be listed.
     */
    gboolean (*scan)(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
    /**
     * Makes the record of volume @name, or returns a new reference to @known (may be NULL) if that
     * still matches. *ret_volume is NULL at first, and stays NULL if the volume does not exist.
     */
    gboolean (*scan_one)(CstPoolState *state, const char *name, CstVolume *known,
                         CstVolume **ret_volume, GError **error);
    /** Fills in *ret_usage, in bytes; initially CST_POOL_USAGE_UNKNOWN. */
    gboolean (*usage)(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);
    /**
     * Adds properties of the storage (such as free extents of a disk) to @def, a copy for display.
     * They were read by the last usage(). Does not access the storage. NULL: no such properties.
     */
    void (*describe)(CstPoolState *state, CstPoolDef *def);
    /** Returns a volume's path in libvirt's form, by the definition alone; never NULL. Free it. */
    char *(*vol_path)(CstPoolState *state, const char *name);
    /**
     * Returns the name of the volume that @path (clean, absolute) or a key may mean, from the
     * definition alone. NULL if it cannot belong to this pool. The caller frees it.
     */
    char *(*vol_resolve)(CstPoolState *state, const char *path);

    /* --- storage that hangs or fails ---------------------------------------------------------- */

    /**
     * Accesses the storage of @def briefly, in a separate thread that may hang for long. While it
     * hangs, the dispatcher calls only the callbacks that do not wait for the storage: check (see
     * check_touches), stop, watch_read, watch_close, the login callbacks, and the callbacks that
     * use the definition alone. FALSE: all accesses fail; the error is the pool's problem until the
     * next touch succeeds. NULL: calls to this storage never hang.
     */
    gboolean (*touch)(const CstPoolDef *def, GError **error);
    gboolean (*may_hang)(const CstPoolDef *def); /**< FALSE: do not touch it now; NULL: TRUE */
    gint64 (*patience)(const CstPoolDef *def);   /**< of touch, in us; 0 or NULL: five seconds */

    /* --- lifecycle --------------------------------------------------------------------------- */

    /**
     * Creates the storage (pool-build). @flags: CstPoolBuildFlags; FLAGS for a flag that does not
     * apply. POOL_BUILT if formatting would destroy content without CST_POOL_BUILD_OVERWRITE. A
     * repeated call changes no more. NULL: success without a change.
     */
    gboolean (*build)(CstPoolState *state, unsigned flags, GError **error);
    /** Makes the storage usable on this host; also called if it already is. NULL: always usable. */
    gboolean (*start)(CstPoolState *state, GError **error);
    /** Undoes start. BUSY, naming the volume, while a volume is in use. NULL: no action. */
    gboolean (*stop)(CstPoolState *state, GError **error);
    /** Removes the storage (pool-delete) of a pool without volumes. NULL: not supported. */
    gboolean (*destroy)(CstPoolState *state, unsigned flags, GError **error);
    /**
     * Drops the drafts of dead processes and finishes their incomplete changes. Called before the
     * first scan after a start (remote: also before the first scan of this program).
     */
    gboolean (*drop_drafts)(CstPoolState *state, GError **error);

    /**
     * Rescans the bus for devices that were added, removed or changed without a notification.
     * Called before a scan that a client requested; may take long. NULL: a scan needs no rescan.
     */
    gboolean (*rescan_bus)(CstPoolState *state, CstTask *task, GError **error);

    /* --- login: storage that authenticates its users by a secret ------------------------------ */

    /**
     * Opens a new login with the current value of host->secret(), and closes it. Existing logins
     * are kept. DENIED or AUTH if the storage refuses the login; other errors do not depend on the
     * value. Called on a separate state; does not call the host after its return. NULL: no login.
     */
    gboolean (*prove)(CstPoolState *state, GError **error);
    /**
     * Reports that the value of a secret of the pool has changed. New logins use the new value, and
     * work in progress keeps its login. NULL: each login reads the value anew.
     */
    gboolean (*renew)(CstPoolState *state, GError **error);
    /**
     * Logs in to the storage's server as @admin and makes @value the only credential of the pool's
     * user. The user's permissions are kept. @value NULL: changes no credential. *ret_account names
     * the user and the server, and is equal for all pools with that user; the caller frees it.
     * DENIED if @admin lacks the permission; NOT_FOUND if the user does not exist. NULL: not
     * supported.
     */
    gboolean (*set_credential)(CstPoolState *state, const CstLoginAdmin *admin,
                               const CstSecretBytes *value, char **ret_account, GError **error);

    /* --- identity: detect that the storage of the pool was replaced --------------------------- */

    /** Returns one line, ended by "\n", that describes the current storage. NULL with @error. */
    char *(*identity)(CstPoolState *state, GError **error);
    /**
     * Expects the storage of @recorded from now on (NULL, or an empty description: any). Each
     * callback verifies it before any access. A callback fails with STATE, naming the missing
     * storage, if it is another one. Called once, before the state is shared.
     *
     * @starting: compares at once, and also accepts storage of the same kind (restored, created
     * anew), which is expected from then on. Otherwise does not access the storage, because the
     * storage of an active pool may be unavailable for a while.
     */
    gboolean (*expect)(CstPoolState *state, const char *recorded, gboolean starting,
                       GError **error);

    /* --- discover ---------------------------------------------------------------------------- */

    /** Appends a CstPoolSource to @ret_sources for each possible pool. @spec may be NULL. */
    gboolean (*discover)(const CstPoolSource *spec, GArray *ret_sources, GError **error);

    /* --- volumes ----------------------------------------------------------------------------- */

    /**
     * Returns a text that distinguishes the storage of @volume, just scanned, from all other
     * volumes that ever have its name: a UUID, a number that is never reused. Renames and reboots
     * keep it. "" if there is no such text. The caller frees it. NULL: the file's inode and birth
     * time.
     */
    char *(*vol_identity)(CstPoolState *state, const CstVolume *volume, GError **error);
    /**
     * Creates volume def->name atomically, without a draft or an intent: after a crash the volume
     * is complete or missing. It has the size, space, owner and mode of @def and is durable on
     * return. No content is written; it reads as zeroes if the type's documents name formats.
     * VOL_EXISTS if the name is in use; other failures leave no volume. UNSUPPORTED, before any
     * change: the core uses vol_reserve. NULL: the core always uses vol_reserve. Types with files
     * must leave it NULL, because their content must be declared.
     */
    gboolean (*vol_make)(CstPoolState *state, const CstVolDef *def, GError **error);
    /**
     * Creates the draft with the token of @draft, for @def, and sets its blob. The owner is the
     * final one; other users cannot read the draft before the commit. VOL_EXISTS if the name is in
     * use. The blob of a file-like draft is empty; a block-like draft has the requested capacity.
     */
    gboolean (*vol_reserve)(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                            GError **error);
    /** Gives the draft its name atomically. VOL_EXISTS if a volume has the name by now. */
    gboolean (*vol_commit)(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                           GError **error);
    /** Drops a draft by its token, even of a dead process. Succeeds if it does not exist. */
    gboolean (*vol_abandon)(CstPoolState *state, const char *token, GError **error);
    /**
     * Removes a volume without holders or dependents. The removal is durable on return. May succeed
     * if the volume does not exist. @flags: CstVolDeleteFlags; FLAGS for unknown flags.
     */
    gboolean (*vol_delete)(CstPoolState *state, const char *name, unsigned flags, GError **error);
    /**
     * Like vol_delete for @count (0 and more) volumes, with one sync, which is made for 0, too.
     * Sets the error of a volume that it cannot remove, and goes on. FALSE: any removal may be
     * undone by a power loss. Not called in a dry run. NULL: a removal costs no sync of a
     * directory; the dispatcher calls vol_delete for each volume.
     */
    gboolean (*vols_delete)(CstPoolState *state, CstVolDeletion *deletions, guint count,
                            GError **error);
    /**
     * Renames volume @name, which is not open, to @new_name, with its snapshots. Its dependents in
     * the technology are kept. The step itself fails with VOL_EXISTS if another volume has the
     * name, and does not change that volume. Durable on return. If both are names of the volume
     * (vol_link), removes @name. A repeated call after a crash at any point completes the rename:
     * if volume @name is missing, @new_name is assumed to be the volume. NULL: the name is the
     * location of the volume, and cannot change.
     */
    gboolean (*vol_rename)(CstPoolState *state, const char *name, const char *new_name,
                           GError **error);
    /**
     * Adds @new_name as a second name of volume @name, so that references by either name find it.
     * VOL_EXISTS if the name is in use; UNSUPPORTED if the storage has no second names. Durable on
     * return. vol_rename() later removes one of the names. NULL: not supported.
     */
    gboolean (*vol_link)(CstPoolState *state, const char *name, const char *new_name,
                         GError **error);
    /**
     * Makes volume @name of @from, a pool of the same backend, also available as volume @new_name
     * of this pool, without a copy. @blob is the open volume; the callback must not accept another
     * file. VOL_EXISTS if the name is in use; UNSUPPORTED if the pools are on different storage.
     * Durable on return. NULL: not supported.
     */
    gboolean (*vol_take)(CstPoolState *state, CstPoolState *from, const char *name, CstBlob *blob,
                         const char *new_name, GError **error);
    /**
     * Moves volume @name of @from, a pool of the same backend, to this pool as @new_name,
     * atomically and with its snapshots. The volume is not open. Its dependents in the technology
     * are kept. The step itself fails with VOL_EXISTS if the name is in use. UNSUPPORTED, before
     * any change, if the volume must be copied. Durable on return. NULL: not supported.
     */
    gboolean (*vol_rename_from)(CstPoolState *state, CstPoolState *from, const char *name,
                                const char *new_name, GError **error);
    /**
     * Stores the declared format, and whether the references are restricted, with the content of
     * @blob, a volume or a draft. A copy of the file by another tool includes the declaration.
     * FALSE (no error) if the storage cannot store it. NULL: it never can.
     */
    gboolean (*vol_declare)(CstPoolState *state, CstBlob *blob, const CstDeclaration *declaration);
    /** Fails with the reason if a wipe would damage the volume. NULL: it never does. */
    gboolean (*vol_check_wipe)(CstPoolState *state, const char *name, GError **error);
    /** Opens the stored bytes of the volume. Returns a new reference. NULL: not supported. */
    CstBlob *(*vol_open)(CstPoolState *state, const char *name, gboolean writable, GError **error);
    /**
     * Changes the capacity, in both directions and durably, of a volume that is not a file and has
     * raw content. NULL: not supported.
     */
    gboolean (*vol_resize)(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                           GError **error);
    /**
     * Like vol_reserve, but the draft has the content of @source (or of its snapshot @snapshot; may
     * be NULL) at once, because the technology shares it. The blob may be NULL if the draft need
     * not grow. UNSUPPORTED: the core copies. NULL: the core always copies.
     */
    gboolean (*vol_reserve_clone)(CstPoolState *state, const CstVolDef *def, const char *source,
                                  const char *snapshot, CstVolDraft *draft, GError **error);

    /* --- holders and dependents --------------------------------------------------------------- */

    /** Appends a CstHolder for each user that has the volume open, without this process. */
    gboolean (*vol_holders)(CstPoolState *state, const char *name, GPtrArray *holders,
                            GError **error);
    /**
     * Like vol_holders for @count volumes: appends the holders of @names[i] to @holders[i]. Frees
     * the array and sets the element to NULL if the holders of a volume cannot be found. May do so
     * for the remaining volumes when it has appended more than CST_HOLDERS_MAX. NULL: the
     * dispatcher calls vol_holders for each volume.
     */
    gboolean (*vols_holders)(CstPoolState *state, const char *const *names, guint count,
                             CstTask *task, GPtrArray **holders, GError **error);
    /**
     * Appends the path, in the form of vol_path, of each volume that shares content with this
     * volume and would be lost with it, also in other places of the technology (another Ceph pool).
     * The core shows the volume as "pool/volume" if a pool lists it, else by that path.
     */
    gboolean (*vol_children)(CstPoolState *state, const char *name, GPtrArray *children,
                             GError **error);
    /**
     * Copies all shared content (extra->backing_path) into the volume. The volume is consistent
     * after each step. Guests may have it open, unless flattens_at_rest.
     */
    gboolean (*vol_flatten)(CstPoolState *state, const char *name, CstTask *task, GError **error);

    /* --- groups; NULL: not supported by the technology ---------------------------------------- */

    /**
     * Reports the health of the storage. *ret_health is empty at first. @details: with the notes.
     * Without @details it must be cheap, because the daemon calls it every few seconds.
     */
    gboolean (*health)(CstPoolState *state, gboolean details, CstPoolHealth *ret_health,
                       GError **error);
    /** Appends a CstThinStore for each store that volumes are allocated from. */
    gboolean (*thin)(CstPoolState *state, GPtrArray *stores, GError **error);
    /** Appends a CstSpaceUsage for each space that may run full without a running command. */
    gboolean (*space_usage)(CstPoolState *state, GPtrArray *usage, GError **error);
    /**
     * Appends a CstGrowth for each space that can be extended while guests fill it, after one of
     * the kind GROUP. @now: with data of this moment, and with by_system; otherwise from memory if
     * possible, and by_system is FALSE. All three callbacks or no callback of growths, growth_use
     * and grow.
     */
    gboolean (*growths)(CstPoolState *state, gboolean now, GPtrArray *growths, GError **error);
    /** Updates the use of @growth. Cheap: reads it from the kernel. Changes no storage. */
    gboolean (*growth_use)(CstPoolState *state, CstGrowth *growth, GError **error);
    /**
     * Extends @growth to @size bytes, a multiple of its unit. Guests use it meanwhile. NO_SPACE if
     * the group has no space. Succeeds if it is that large already. A killed call has extended it,
     * or has left it unchanged.
     */
    gboolean (*grow)(CstPoolState *state, const CstGrowth *growth, uint64_t size, GError **error);
    const CstSnapshotBackend *snapshots;

    /* --- watch: changes by other programs; open and read, or neither -------------------------- */

    /** Opens a descriptor that becomes readable after a change; closed by watch_close. */
    int (*watch_open)(CstPoolState *state, GError **error);
    /** Closes @fd. Must not wait for the storage. NULL: close() is enough. */
    void (*watch_close)(CstPoolState *state, int fd);
    /** Reads all pending events. Calls @changed with each name, or NULL for an unknown change. */
    void (*watch_read)(CstPoolState *state, int fd,
                       void (*changed)(const char *name, gpointer data), gpointer data);
};

/* --- functions of the core for backends (backend.c) ------------------------------------------- */

/* Failures with the same message in all pool types. Always return FALSE. */
gboolean cst_fail_no_volume(const char *name, GError **error);
gboolean cst_fail_no_snapshot(const char *volume, const char *name, GError **error);
gboolean cst_fail_snapshot_exists(const char *volume, const char *name, GError **error);
#define cst_fail_no_volume(...)       CST_GIVES_FALSE(cst_fail_no_volume(__VA_ARGS__))
#define cst_fail_no_snapshot(...)     CST_GIVES_FALSE(cst_fail_no_snapshot(__VA_ARGS__))
#define cst_fail_snapshot_exists(...) CST_GIVES_FALSE(cst_fail_snapshot_exists(__VA_ARGS__))

/** CstPoolHost.drafts; an empty table if the host has no such callback. */
GHashTable *cst_pool_state_drafts(const CstPoolState *state, GError **error);

/** Returns @state with a new reference, for objects that outlive the call. Any thread. */
CstPoolState *cst_pool_state_ref(CstPoolState *state);
/** Drops a reference; the last one closes the state. Accepts NULL. */
void cst_pool_state_unref(CstPoolState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPoolState, cst_pool_state_unref)

/** CstPoolHost.declared. Fills @declarations, @count NULLs, which the caller frees. */
void cst_pool_state_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                             CstDeclaration **declarations);
