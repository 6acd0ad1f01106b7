/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/room.h>
#include <base/task.h>
#include <base/uuid.h>
#include <model/declaration.h>
#include <model/flags.h>
#include <model/image_report.h>
#include <model/job.h>
#include <model/listing.h>
#include <model/pool_def.h>
#include <model/pool_health.h>
#include <model/snapshot.h>
#include <model/thin_store.h>
#include <model/vol_def.h>

/**
 * The client API of the command line, over two transports: the procedures in this process
 * ("embedded"), and libvirt's RPC to cisternd or a stock libvirtd. Callers need not know which.
 *
 * Every function that fails sets @error: the errors of the procedure it calls; READ_ONLY for a
 * change over a read-only connection; NO_SUPPORT for a procedure that the server does not have; and
 * UNREACHABLE, RPC or TIMEOUT when the connection fails.
 *
 * A connection belongs to one thread. Sizes are bytes. Returned strings, references and arrays are
 * owned by the caller; arrays free their elements.
 */
typedef struct CstConn CstConn;

typedef struct {
    const char *root;        /**< --root; NULL: this user's default */
    gboolean read_only;      /**< -r */
    gboolean embedded;       /**< never connect to a daemon (storage:///embed) */
    gboolean must_exist;     /**< fail with NOT_FOUND instead of creating an embedded root */
    gboolean unattended;     /**< ssh asks nothing, and writes nothing to the terminal */
    const char *default_uri; /**< when nothing else says what to connect to; NULL: none */
} CstConnOptions;

/**
 * Opens a connection. @uri: storage:///system, storage+unix://…?socket=, storage:///embed?root=DIR,
 * qemu:///system, …. NULL: CISTERN_URI, LIBVIRT_DEFAULT_URI, the default URI (only when no root is
 * given); else the daemon of this root if one listens, else embedded. @options may be NULL.
 */
CstConn *cst_conn_open(const char *uri, const CstConnOptions *options, GError **error);
/**
 * Opens another connection to the server that @conn, which outlives the call, is connected to. From
 * any thread; ssh asks nothing. UNSUPPORTED when that is embedded.
 */
CstConn *cst_conn_open_again(const CstConn *conn, GError **error);
/** Closes the connection. NULL is accepted. */
void cst_conn_free(CstConn *conn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstConn, cst_conn_free)

/** The URI as it was given, else the server's own. */
char *cst_conn_uri(CstConn *conn, GError **error);
/** The host name of the server. */
char *cst_conn_hostname(CstConn *conn, GError **error);
/** libvirt's driver type: "storage", "secret", "QEMU". */
char *cst_conn_type(CstConn *conn, GError **error);
/** The server's protocol version as libvirt counts it: major·10⁶ + minor·10³ + micro. */
gboolean cst_conn_lib_version(CstConn *conn, uint64_t *ret_version, GError **error);
/** The server's own version, encoded likewise. */
gboolean cst_conn_hv_version(CstConn *conn, uint64_t *ret_version, GError **error);
/** The <capabilities> document of the host. */
char *cst_conn_capabilities(CstConn *conn, GError **error);
/** Whether the connection was opened read-only. */
gboolean cst_conn_is_read_only(const CstConn *conn);
/** Whether the service runs in this process. */
gboolean cst_conn_is_embedded(const CstConn *conn);
/**
 * The path of the socket that a dead daemon has left, of an embedded connection that was opened
 * because no daemon listens there any more; NULL: there is none. Borrowed.
 */
const char *cst_conn_stale_socket(const CstConn *conn);

/**
 * Switches dry runs on or off for the calls that follow. A dry run performs every check and changes
 * nothing; it fails with CST_ERROR_DRY_RUN where the real call would succeed, else with the real
 * call's error. Calls that change nothing are not affected.
 */
gboolean cst_conn_set_dry_run(CstConn *conn, gboolean dry_run, GError **error);

/* --- pools ----------------------------------------------------------------------------------- */

/** Names a pool. The server identifies it by its uuid. */
typedef struct {
    char *name;
    CstUuid uuid;
} CstPoolRef;

/** Makes a reference; copies @name. */
CstPoolRef *cst_pool_ref_new(const char *name, const CstUuid *uuid);
/** NULL is accepted. */
void cst_pool_ref_free(CstPoolRef *ref);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPoolRef, cst_pool_ref_free)

/** Lists pools. Elements CstPoolRef *, in the server's order. @filter: CstListPoolsFlags. */
GPtrArray *cst_conn_pool_list(CstConn *conn, unsigned filter, GError **error);
/** Looks up a pool by name; NO_POOL when there is none. */
CstPoolRef *cst_conn_pool_by_name(CstConn *conn, const char *name, GError **error);
/** Looks up a pool by UUID; NO_POOL when there is none. */
CstPoolRef *cst_conn_pool_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error);
/** Looks up a pool by the path of its target; NO_POOL when there is none. */
CstPoolRef *cst_conn_pool_by_target(CstConn *conn, const char *path, GError **error);

/** Defines a persistent pool. @flags: CstPoolDefineFlags. */
CstPoolRef *cst_conn_pool_define(CstConn *conn, const char *xml, unsigned flags, GError **error);
/** Creates and starts a transient pool. @flags: CstPoolCreateFlags. */
CstPoolRef *cst_conn_pool_create(CstConn *conn, const char *xml, unsigned flags, GError **error);
/** Removes the definition of a pool that is not active. */
gboolean cst_conn_pool_undefine(CstConn *conn, const CstPoolRef *pool, GError **error);
/**
 * Builds the pool's storage: makes directories, file systems, volume groups. @flags:
 * CstPoolBuildFlags.
 */
gboolean cst_conn_pool_build(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error);
/** @flags: CstPoolCreateFlags. */
gboolean cst_conn_pool_start(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error);
/** Deactivates the pool; a transient one ceases to exist. */
gboolean cst_conn_pool_stop(CstConn *conn, const CstPoolRef *pool, GError **error);
/** Deletes the pool's storage. @flags: CstPoolDeleteFlags. */
gboolean cst_conn_pool_delete(CstConn *conn, const CstPoolRef *pool, unsigned flags,
                              GError **error);
/** Looks for the volumes that the storage has now. @flags: none are defined. */
gboolean cst_conn_pool_refresh(CstConn *conn, const CstPoolRef *pool, unsigned flags,
                               GError **error);
/** Sets whether the pool starts with the daemon. */
gboolean cst_conn_pool_set_autostart(CstConn *conn, const CstPoolRef *pool, gboolean autostart,
                                     GError **error);

/** Whether the pool starts with the daemon. */
gboolean cst_conn_pool_get_autostart(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error);
/** Whether the pool is active. */
gboolean cst_conn_pool_is_active(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                 GError **error);
/** Whether the pool has a definition file. */
gboolean cst_conn_pool_is_persistent(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error);
/** Reads state and usage; persistent, autostart and volumes are not filled in. */
gboolean cst_conn_pool_info(CstConn *conn, const CstPoolRef *pool, CstPoolInfo *ret,
                            GError **error);
/** Why the pool could not be started or is inaccessible; NULL: it is fine, or that is unknown. */
char *cst_conn_pool_problem(CstConn *conn, const CstPoolRef *pool);
/**
 * Asks how the pool's storage is, by its own technology; the caller clears *ret_health. NO_SUPPORT
 * by a server that can't tell.
 */
gboolean cst_conn_pool_health(CstConn *conn, const CstPoolRef *pool, CstPoolHealth *ret_health,
                              GError **error);
/** The thin pools (or equivalents) of a pool. Elements CstThinStore *; empty: it has none. */
GPtrArray *cst_conn_pool_thin(CstConn *conn, const CstPoolRef *pool, GError **error);
/**
 * Asks how many bytes new volumes in files can have; not known by a stock server or an older one.
 */
gboolean cst_conn_pool_room(CstConn *conn, const CstPoolRef *pool, CstRoom *ret_room,
                            GError **error);
/** The pool's XML document. @flags: CstStorageXmlFlags. */
char *cst_conn_pool_xml(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error);
/** The number of volumes of an active pool. */
gboolean cst_conn_pool_count_volumes(CstConn *conn, const CstPoolRef *pool, guint *ret,
                                     GError **error);
/**
 * The <sources> that pools of @type could use. @spec: a <source> document that restricts the
 * search; may be NULL.
 */
char *cst_conn_find_sources(CstConn *conn, const char *type, const char *spec, GError **error);
/** The <storagepoolCapabilities> document. */
char *cst_conn_pool_capabilities(CstConn *conn, GError **error);

/* --- volumes --------------------------------------------------------------------------------- */

/** Names a volume. The server identifies it by pool and name. */
typedef struct {
    char *pool;
    char *name;
    char *key; /**< unique on the host; may be NULL */
} CstVolRef;

/** NULL is accepted. */
void cst_vol_ref_free(CstVolRef *ref);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolRef, cst_vol_ref_free)

/**
 * Lists volumes, without a limit on their number: page by page from cisternd, with pipelined calls
 * from libvirtd. Elements CstVolRow *. @details: fill in info and format too.
 */
GPtrArray *cst_conn_vol_list(CstConn *conn, const CstPoolRef *pool, gboolean details,
                             GError **error);
/** What a list of volumes may show besides, as bits. */
typedef enum {
    CST_VOL_MORE_BACKING = 1 << 0,
    CST_VOL_MORE_SNAPSHOTS = 1 << 1,
    CST_VOL_MORE_HOLDERS = 1 << 2
} CstVolMoreWants;

typedef struct {
    char *backing;      /**< path of what the volume is based on; NULL: nothing, or not known */
    int64_t snapshots;  /**< how many there are; -1: not known, or the volume can have none */
    GPtrArray *holders; /**< of CstVolHolder *; NULL: not known */
} CstVolMore;

/**
 * Asks @wants (CstVolMoreWants) of each volume of @rows (CstVolRow *) in @pool, with calls that are
 * pipelined. Returns as many CstVolMore * as there are rows. What is not known of one volume is no
 * failure; NO_SUPPORT where the server knows it of none.
 */
GPtrArray *cst_conn_vol_list_more(CstConn *conn, const CstPoolRef *pool, const GPtrArray *rows,
                                  unsigned wants, GError **error);

/** Looks up a volume of @pool by name; NO_VOL when there is none. */
CstVolRef *cst_conn_vol_by_name(CstConn *conn, const CstPoolRef *pool, const char *name,
                                GError **error);
/** Looks up a volume of any active pool by its key; NO_VOL when there is none. */
CstVolRef *cst_conn_vol_by_key(CstConn *conn, const char *key, GError **error);
/** Looks up a volume of any active pool by its path; NO_VOL when there is none. */
CstVolRef *cst_conn_vol_by_path(CstConn *conn, const char *path, GError **error);
/** The pool that contains @vol. */
CstPoolRef *cst_conn_pool_of_vol(CstConn *conn, const CstVolRef *vol, GError **error);
/** The path of the volume, or what the pool type has in its place. */
char *cst_conn_vol_path(CstConn *conn, const CstVolRef *vol, GError **error);
/** The volume's XML document. @flags: none are defined. */
char *cst_conn_vol_xml(CstConn *conn, const CstVolRef *vol, unsigned flags, GError **error);
/**
 * Reads size and usage. @physical: the allocation is the physical size (libvirt's GET_PHYSICAL).
 */
gboolean cst_conn_vol_info(CstConn *conn, const CstVolRef *vol, gboolean physical, CstVolInfo *ret,
                           GError **error);

/*
 * Long calls. @task may be NULL. Otherwise its progress is updated if the server reports it, and
 * cancelling it cancels the call at the server if that is possible.
 */
/** Creates a volume from its XML. @flags: CstVolCreateFlags. */
CstVolRef *cst_conn_vol_create(CstConn *conn, const CstPoolRef *pool, const char *xml,
                               unsigned flags, CstTask *task, GError **error);
/** Creates a volume from its XML with the content of @source. @flags: CstVolCreateFlags. */
CstVolRef *cst_conn_vol_create_from(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                    const CstVolRef *source, unsigned flags, CstTask *task,
                                    GError **error);
/**
 * Deletes a volume and its content, or puts it into its pool's trash. @flags: CstVolDeleteFlags;
 * AT_ONCE means nothing to a server without trashes.
 */
gboolean cst_conn_vol_delete(CstConn *conn, const CstVolRef *vol, unsigned flags, CstTask *task,
                             GError **error);
/** Gives a volume another name; what is based on it follows. NO_SUPPORT by a stock server. */
gboolean cst_conn_vol_rename(CstConn *conn, const CstVolRef *vol, const char *new_name,
                             CstTask *task, GError **error);
/**
 * Moves a volume to @pool: it is deleted when its copy there is complete. BUSY names what can't be
 * taken along; NO_SUPPORT by a stock server.
 */
gboolean cst_conn_vol_move(CstConn *conn, const CstVolRef *vol, const CstPoolRef *pool,
                           const CstVolMove *how, CstTask *task, GError **error);
/** Protects a volume from being deleted, or ceases to. */
gboolean cst_conn_vol_protect(CstConn *conn, const CstVolRef *vol, gboolean on, CstTask *task,
                              GError **error);
/** Names of the pool's protected volumes, as keys of a set; NO_SUPPORT by a stock server. */
GHashTable *cst_conn_pool_protected(CstConn *conn, const CstPoolRef *pool, GError **error);
/** The deleted volumes that the pool keeps, CstTrashRow *, the oldest first. */
GPtrArray *cst_conn_trash_list(CstConn *conn, const CstPoolRef *pool, GError **error);
/**
 * Makes one of them a volume again: @which is its id, or a name that only one of them had;
 * @new_name NULL: its own name.
 */
CstVolRef *cst_conn_trash_restore(CstConn *conn, const CstPoolRef *pool, const char *which,
                                  const char *new_name, CstTask *task, GError **error);
/**
 * Removes them for good, or @which of them, if they were deleted @older_than seconds ago or more.
 * *ret_bytes: what was allocated to those that it removed.
 */
gboolean cst_conn_trash_empty(CstConn *conn, const CstPoolRef *pool, const char *which,
                              uint64_t older_than, CstTask *task, guint *ret_count,
                              uint64_t *ret_bytes, GError **error);
/** Overwrites a volume's content. @algorithm: CstWipeAlgorithm. */
gboolean cst_conn_vol_wipe(CstConn *conn, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                           GError **error);
/** Changes the size that a volume's guest sees. @flags: CstVolResizeFlags. */
gboolean cst_conn_vol_resize(CstConn *conn, const CstVolRef *vol, uint64_t capacity, unsigned flags,
                             CstTask *task, GError **error);
/**
 * Writes the content of @fd, a pipe or a file from its start on, into the volume at @offset.
 * @length is the most that the server accepts; 0: no limit. @flags: CstVolStreamFlags; with SPARSE,
 * holes of a file are sent as holes. @fd stays open.
 */
gboolean cst_conn_vol_upload(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                             uint64_t length, unsigned flags, CstTask *task, GError **error);
/**
 * Writes @length bytes of the volume from @offset on (0: all the rest) into @fd, a pipe or a file
 * at its current position. @flags: CstVolStreamFlags; with SPARSE, holes become holes where the
 * file ends at the position, else zeroes. @fd stays open.
 */
gboolean cst_conn_vol_download(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                               uint64_t length, unsigned flags, CstTask *task, GError **error);

/** Takes a piece of content: @len bytes, or (@len 0) a hole of @hole bytes. */
typedef gboolean (*CstPieceFunc)(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                 GError **error);

/**
 * As cst_conn_vol_download(), to @piece, one piece after the other. It must not use @conn. @task
 * counts the bytes.
 */
gboolean cst_conn_vol_download_pieces(CstConn *conn, const CstVolRef *vol, uint64_t offset,
                                      uint64_t length, unsigned flags, CstPieceFunc piece,
                                      gpointer data, CstTask *task, GError **error);

/**
 * What a server does beyond libvirt's protocol, where content is concerned. libvirt's own does none
 * of it, an older cisternd some: a later one of these is never there without those before it.
 */
typedef struct {
    gboolean dry_runs; /**< cst_conn_set_dry_run() */
    gboolean sends;    /**< cst_conn_vol_send() */
    gboolean receives; /**< cst_conn_vol_receive() */
    gboolean digests;  /**< cst_conn_vol_digests(), cst_conn_vol_rename() */
    gboolean patches;  /**< cst_conn_vol_patch() */
} CstConnAbilities;
/** Asks what the server can do, which is asked once. Fails only when the connection does. */
gboolean cst_conn_abilities(CstConn *conn, CstConnAbilities *ret, GError **error);

/** Who takes it. */
typedef struct {
    /**
     * Comes first, with the bytes of all content, whatever part was asked for; NULL: not at all.
     */
    gboolean (*begin)(uint64_t capacity, gpointer data, GError **error);
    CstPieceFunc piece; /**< one after the other, without gaps */
    gpointer data;
} CstConnSink;

/**
 * Gives what a guest sees of the volume, or saw, through everything that it is based on, to @sink.
 * Runs that read as zeroes are holes where that is known. The sink must not use @conn. @task counts
 * the bytes. BUSY; UNSUPPORTED for a snapshot outside of an image that is based on another one;
 * NO_SUPPORT by a stock server.
 */
gboolean cst_conn_vol_send(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                           const CstConnSink *sink, CstTask *task, GError **error);

/** As cst_conn_vol_send(), to @fd from its current position on. */
gboolean cst_conn_vol_send_to(CstConn *conn, const CstVolRef *vol, const CstVolSend *what, int fd,
                              CstTask *task, GError **error);

#define CST_VOL_DIGEST_SIZE      32 /* SHA-256 */
#define CST_VOL_DIGEST_CHUNK_MIN (UINT64_C(64) << 10)

/** Digests of what the guest of a volume sees, or saw. */
typedef struct {
    uint64_t capacity;   /**< of the volume */
    uint64_t chunk;      /**< bytes that one digest is of */
    uint64_t offset;     /**< bytes of content before that of the first digest */
    uint64_t length;     /**< bytes of content that the digests are of */
    GByteArray *digests; /**< one after the other; that of a chunk of zeroes is zeroes */
} CstVolDigests;
/** Frees what is in it, not the struct itself. */
void cst_vol_digests_clear(CstVolDigests *digests);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstVolDigests, cst_vol_digests_clear)

/**
 * Computes, where the volume is, the digests of each @chunk bytes (a power of two, 64 KiB to 64
 * MiB) of what cst_conn_vol_send() would give; the offset in @what is a multiple of @chunk. The
 * caller clears *ret. @task counts bytes of digests. Errors as there, and INVALID.
 */
gboolean cst_conn_vol_digests(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                              uint64_t chunk, CstTask *task, CstVolDigests *ret, GError **error);

/** A new volume that is being filled. @conn can't be used otherwise until its end. */
typedef struct CstConnReceive CstConnReceive;

/**
 * Begins a volume, of the format and capacity in its document @xml, whose content is given piece by
 * piece. It appears with cst_conn_receive_finish(), or not at all. @flags: CstVolCreateFlags.
 * VOL_EXISTS; CONFIG; NO_SUPPORT by a stock server. Free it before @conn.
 */
CstConnReceive *cst_conn_vol_receive(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                     unsigned flags, CstTask *task, GError **error);
/**
 * Begins to overwrite what the guest of a volume sees from @offset on, likewise; end it with
 * cst_conn_patch_finish(). What was given stays also without that. BUSY.
 */
CstConnReceive *cst_conn_vol_patch(CstConn *conn, const CstVolRef *vol, uint64_t offset,
                                   CstTask *task, GError **error);
/**
 * Gives the next piece to @receive, a CstConnReceive; a CstPieceFunc. NO_SPACE past the capacity.
 */
gboolean cst_conn_receive_piece(const void *bytes, size_t len, uint64_t hole, gpointer receive,
                                GError **error);
/** The volume is there and safe on disk; what was not given of it is zeroes. */
CstVolRef *cst_conn_receive_finish(CstConnReceive *receive, GError **error);
/**
 * Begins to write a volume's bytes as they are stored, from the first one on, as
 * cst_conn_vol_upload() does, piece by piece; any server has this. End it with
 * cst_conn_patch_finish(). Holes want CST_VOL_STREAM_SPARSE in @flags. What was given stays also
 * without the end.
 */
CstConnReceive *cst_conn_vol_upload_pieces(CstConn *conn, const CstVolRef *vol, unsigned flags,
                                           CstTask *task, GError **error);
/** What was given to a patch is safe on disk; of an upload, the server has taken all of it. */
gboolean cst_conn_patch_finish(CstConnReceive *receive, GError **error);
/** Drops a volume that was not finished. NULL is accepted. */
void cst_conn_receive_free(CstConnReceive *receive);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstConnReceive, cst_conn_receive_free)

/* --- volumes as images ----------------------------------------------------------------------- */

/**
 * The volume's backing chain and everything based on its volumes. Elements CstChainRow *, each
 * before those that are based on it.
 */
GPtrArray *cst_conn_vol_chain(CstConn *conn, const CstVolRef *vol, GError **error);

/** The processes and mounts that have the volume open. Elements CstVolHolder *. */
GPtrArray *cst_conn_vol_holders(CstConn *conn, const CstVolRef *vol, GError **error);

/*
 * Long calls, as above. The server opens files that an image names only if they are volumes of
 * active pools.
 */

/**
 * Checks, and with @repair (CstRepairFlags) repairs, the volume's image. Damage is not a failure.
 */
gboolean cst_conn_vol_check(CstConn *conn, const CstVolRef *vol, unsigned repair, CstTask *task,
                            CstCheckReport *ret_report, GError **error);
/** Copies the content of the backing chain into the volume and removes its backing file. */
gboolean cst_conn_vol_flatten(CstConn *conn, const CstVolRef *vol, CstTask *task, GError **error);
/**
 * Writes the volume's content into @base, the name or path of a volume in its backing chain; NULL:
 * its backing file. @flags: CstVolCommitFlags.
 */
gboolean cst_conn_vol_commit(CstConn *conn, const CstVolRef *vol, const char *base, unsigned flags,
                             CstTask *task, GError **error);
/** Releases clusters and blocks that hold only zeroes. *ret_given_back: bytes released. */
gboolean cst_conn_vol_sparsify(CstConn *conn, const CstVolRef *vol, CstTask *task,
                               uint64_t *ret_given_back, GError **error);
/** Serves the volume by NBD until @task is cancelled. */
gboolean cst_conn_vol_serve(CstConn *conn, const CstVolRef *vol, const CstVolServe *how,
                            CstTask *task, GError **error);
/** Creates a volume in @pool with the guest-visible content of @source, in another format. */
CstVolRef *cst_conn_vol_convert(CstConn *conn, const CstPoolRef *pool, const CstVolRef *source,
                                const CstVolConvert *how, CstTask *task, GError **error);
/** Changes the volume's backing file. */
gboolean cst_conn_vol_rebase(CstConn *conn, const CstVolRef *vol, const CstVolRebase *how,
                             CstTask *task, GError **error);
/** Declares the volume's format and backing file (model/declaration.h). */
gboolean cst_conn_vol_declare(CstConn *conn, const CstVolRef *vol, const CstVolDeclare *how,
                              CstTask *task, GError **error);
/** Describes what is wrong with the volume. Elements char *, translated sentences. */
GPtrArray *cst_conn_vol_problems(CstConn *conn, const CstVolRef *vol, GError **error);
/** Reads a pool's follow policy; sets it first when @follow is not NULL. */
gboolean cst_conn_pool_follow(CstConn *conn, const CstPoolRef *pool, const CstFollow *follow,
                              CstFollow *ret_follow, GError **error);
/** Compares the guest-visible content of two volumes. A difference is not a failure. */
gboolean cst_conn_vol_compare(CstConn *conn, const CstVolRef *vol, const CstVolRef *other,
                              CstTask *task, CstCompareReport *ret_report, GError **error);
/** Computes the size of a copy in @format. @options: as in CstVolConvert; may be NULL. */
gboolean cst_conn_vol_measure(CstConn *conn, const CstVolRef *vol, const char *format,
                              const char *options, CstTask *task, CstMeasureReport *ret_report,
                              GError **error);
/** Reads the volume's map from @start on, at most @limit runs (0: CST_VOL_MAP_PAGE). */
CstVolMap *cst_conn_vol_map(CstConn *conn, const CstVolRef *vol, uint64_t start, guint limit,
                            CstTask *task, GError **error);
/** Changes a dirty bitmap. @source: the volume whose bitmaps are merged; NULL: @vol. */
gboolean cst_conn_vol_bitmap(CstConn *conn, const CstVolRef *vol, const CstBitmapChange *change,
                             const CstVolRef *source, CstTask *task, GError **error);

/* --- jobs ------------------------------------------------------------------------------------ */

/** Lists jobs by number: running ones, with @ended ended ones as well. Elements CstJobInfo *. */
GPtrArray *cst_conn_job_list(CstConn *conn, gboolean ended, GError **error);
/** Looks up a job; NOT_FOUND when there is none, or no longer. */
CstJobInfo *cst_conn_job_info(CstConn *conn, uint64_t id, GError **error);
/** Requests that a job stops; does not wait for its end. */
gboolean cst_conn_job_cancel(CstConn *conn, uint64_t id, GError **error);
/** Sets the rate limit of a job, bytes per second; 0: no limit. */
gboolean cst_conn_job_set_limit(CstConn *conn, uint64_t id, uint64_t limit, GError **error);
/**
 * Waits for the end of a job and returns its final state. Updates the progress of @task (may be
 * NULL). Cancelling @task ends the wait, not the job (CANCELLED). TIMEOUT at @until (monotonic
 * time, µs; 0: never).
 */
CstJobInfo *cst_conn_job_wait(CstConn *conn, uint64_t id, gint64 until, CstTask *task,
                              GError **error);

/**
 * Switches detaching on or off. While it is on, a long call with a task, except an upload or
 * download, returns CANCELLED as soon as the server lists it as a job; the job continues, and
 * cst_task_job() of the task is its number, otherwise 0. A call that ends before that returns as
 * usual. UNSUPPORTED when embedded.
 */
gboolean cst_conn_set_detach(CstConn *conn, gboolean detach, GError **error);

/* --- snapshots ------------------------------------------------------------------------------- */

/* Snapshots of volumes, whatever technology keeps them. @task as in the long calls above. */

/** Lists a volume's snapshots. Elements CstSnapshot *, oldest first. */
GPtrArray *cst_conn_snapshot_list(CstConn *conn, const CstVolRef *vol, GError **error);
/**
 * Creates a snapshot of the volume's content. EXISTS when @name is taken. @limit: bytes reserved
 * for changes, where the technology needs it; 0: its default.
 */
gboolean cst_conn_snapshot_create(CstConn *conn, const CstVolRef *vol, const char *name,
                                  uint64_t limit, CstTask *task, GError **error);
/** As many as one set may have. */
#define CST_CONN_SNAPSHOT_SET_MAX 1024
/**
 * Takes snapshots @name of @volumes (of const char *), names of the pool's: all or none. @ret_set
 * says whether they are of one moment. NO_SUPPORT by a server that is older, or stock.
 */
gboolean cst_conn_snapshot_create_set(CstConn *conn, const CstPoolRef *pool, GPtrArray *volumes,
                                      const char *name, CstTask *task, CstSnapshotSet *ret_set,
                                      GError **error);
/**
 * Returns the names of the snapshots that reverting to @name would remove; the caller frees them.
 * NO_SUPPORT by a server that can't tell, as none of its technologies removes any.
 */
GStrv cst_conn_snapshot_revert_loses(CstConn *conn, const CstVolRef *vol, const char *name,
                                     GError **error);
/**
 * Restores the volume's content to that of the snapshot. @agreed: snapshots that may be removed for
 * that, as cst_conn_snapshot_revert_loses() has them; NULL: none.
 */
gboolean cst_conn_snapshot_revert(CstConn *conn, const CstVolRef *vol, const char *name,
                                  char *const *agreed, CstTask *task, GError **error);
/** Deletes a snapshot; the volume stays as it is. */
gboolean cst_conn_snapshot_delete(CstConn *conn, const CstVolRef *vol, const char *name,
                                  CstTask *task, GError **error);
/** Renames a snapshot. EXISTS when @new_name is taken. */
gboolean cst_conn_snapshot_rename(CstConn *conn, const CstVolRef *vol, const char *name,
                                  const char *new_name, GError **error);
/** Is given a range that may have changed. FALSE with an error: give no more. */
typedef gboolean (*CstChangedFunc)(uint64_t offset, uint64_t length, gpointer data, GError **error);
/** What has changed, apart from where. */
typedef struct {
    uint64_t capacity; /**< of the later content, bytes */
    char *identity;    /**< another snapshot has another one; "": not known. The caller's. */
} CstVolChanged;
/**
 * Tells which parts of what the guest of a volume sees may differ between the snapshot @since and
 * the snapshot @until (NULL: now), in order, as whoever keeps the
 * snapshots can tell it. UNSUPPORTED and NO_SUPPORT where this can't be told: then both are to be
 * read and compared. BUSY when it is about now and the image is written to, and when the snapshot
 * is not the same one from beginning to end; NOT_FOUND.
 */
gboolean cst_conn_vol_changed(CstConn *conn, const CstVolRef *vol, const char *since,
                              const char *until, CstChangedFunc range, gpointer data, CstTask *task,
                              CstVolChanged *ret, GError **error);
/** Creates a volume in the same pool and format with the content of the snapshot. */
gboolean cst_conn_snapshot_clone(CstConn *conn, const CstVolRef *vol, const char *name,
                                 const char *new_volume, CstTask *task, GError **error);

/* --- events ---------------------------------------------------------------------------------- */

typedef enum {
    CST_CONN_EVENT_POOL_LIFECYCLE, /**< kind: CstPoolEventKind */
    CST_CONN_EVENT_POOL_REFRESH,
    CST_CONN_EVENT_SECRET_LIFECYCLE, /**< kind: CstSecretEventKind */
    CST_CONN_EVENT_SECRET_VALUE,
    CST_CONN_EVENT_CLOSED, /**< the connection failed; reported once */
    CST_CONN_EVENT_LAST
} CstConnEventType;

typedef struct {
    CstConnEventType type;
    int kind;
    CstUuid uuid;
    const char *pool; /**< pool events: its name; borrowed */
} CstConnEvent;

/** Receives an event, inside cst_conn_wait_events(). May subscribe and unsubscribe. */
typedef void (*CstConnEventFunc)(const CstConnEvent *event, gpointer data);

/**
 * Subscribes to events of @type of the object @uuid; NULL: of all objects. *ret_id is the number of
 * the subscription. Embedded connections see only what this process does.
 */
gboolean cst_conn_subscribe(CstConn *conn, CstConnEventType type, const CstUuid *uuid,
                            CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
/** Ends a subscription; NOT_FOUND when there is none with number @id. */
gboolean cst_conn_unsubscribe(CstConn *conn, guint id, GError **error);
/**
 * Waits for events and delivers them. Returns when at least one was delivered, @timeout_ms has
 * passed (-1: no limit), or @wake_fd (-1: none) is readable. *ret_delivered: the number delivered.
 */
gboolean cst_conn_wait_events(CstConn *conn, int timeout_ms, int wake_fd, guint *ret_delivered,
                              GError **error);
