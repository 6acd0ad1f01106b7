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
 * ("embedded"), and libvirt's RPC to cisternd or a stock libvirtd. Callers need not know the
 * transport.
 *
 * Every function that fails sets @error. The code is that of the procedure that it calls, READ_ONLY
 * for a change over a read-only connection, or NO_SUPPORT for a procedure that the server does not
 * have. If the connection fails, it is UNREACHABLE, RPC or TIMEOUT.
 *
 * A connection belongs to one thread. Sizes are in bytes. Returned strings, references and arrays
 * are owned by the caller; arrays free their elements.
 */
typedef struct CstConn CstConn;

typedef struct {
    const char *root;        /**< --root; NULL: this user's default */
    gboolean read_only;      /**< -r */
    gboolean embedded;       /**< never connect to a daemon (storage:///embed) */
    gboolean must_exist;     /**< fail with NOT_FOUND instead of creating an embedded root */
    gboolean unattended;     /**< ssh does not prompt and does not write to the terminal */
    const char *default_uri; /**< used if no other source gives a URI; NULL: not set */
} CstConnOptions;

/**
 * Opens a connection. @uri: storage:///system, storage+unix://…?socket=, storage:///embed?root=DIR,
 * qemu:///system, …. If it is NULL, CISTERN_URI, LIBVIRT_DEFAULT_URI and the default URI are used,
 * but only if no root is given. Without any URI, connects to the daemon of this root if one
 * listens; otherwise the connection is embedded. @options may be NULL.
 */
CstConn *cst_conn_open(const char *uri, const CstConnOptions *options, GError **error);
/**
 * Opens another connection to the server of @conn, which must remain open during the call. Any
 * thread. ssh does not prompt. Fails with UNSUPPORTED if @conn is embedded.
 */
CstConn *cst_conn_open_again(const CstConn *conn, GError **error);
/** Closes the connection. NULL is accepted. */
void cst_conn_free(CstConn *conn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstConn, cst_conn_free)

/** Returns the URI that the user gave, otherwise the server's own. */
char *cst_conn_uri(CstConn *conn, GError **error);
/** Returns the host name of the server. */
char *cst_conn_hostname(CstConn *conn, GError **error);
/** Returns libvirt's driver type: "storage", "secret", "QEMU". */
char *cst_conn_type(CstConn *conn, GError **error);
/** Returns the server's protocol version in libvirt's encoding: major·10⁶ + minor·10³ + micro. */
gboolean cst_conn_lib_version(CstConn *conn, uint64_t *ret_version, GError **error);
/** Returns the server's own version in the same encoding. */
gboolean cst_conn_hv_version(CstConn *conn, uint64_t *ret_version, GError **error);
/** Returns the <capabilities> document of the host. */
char *cst_conn_capabilities(CstConn *conn, GError **error);
/** Whether the connection was opened read-only. */
gboolean cst_conn_is_read_only(const CstConn *conn);
/** Whether the service runs in this process. */
gboolean cst_conn_is_embedded(const CstConn *conn);
/**
 * Returns the path of the socket of a dead daemon, if the connection is embedded because no daemon
 * listens there any more. Otherwise NULL. Borrowed.
 */
const char *cst_conn_stale_socket(const CstConn *conn);

/**
 * Enables or disables dry runs for the calls that follow. A dry run performs every check and makes
 * no change. It fails with CST_ERROR_DRY_RUN where the real call would succeed, otherwise with the
 * real call's error. Calls that make no change are not affected.
 */
gboolean cst_conn_set_dry_run(CstConn *conn, gboolean dry_run, GError **error);

/* --- pools ----------------------------------------------------------------------------------- */

/** A reference to a pool. The server identifies the pool by its uuid. */
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
/** Looks up a pool by name. Fails with NO_POOL if it does not exist. */
CstPoolRef *cst_conn_pool_by_name(CstConn *conn, const char *name, GError **error);
/** Looks up a pool by UUID. Fails with NO_POOL if it does not exist. */
CstPoolRef *cst_conn_pool_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error);
/** Looks up a pool by the path of its target. Fails with NO_POOL if it does not exist. */
CstPoolRef *cst_conn_pool_by_target(CstConn *conn, const char *path, GError **error);

/** Defines a persistent pool. @flags: CstPoolDefineFlags. */
CstPoolRef *cst_conn_pool_define(CstConn *conn, const char *xml, unsigned flags, GError **error);
/** Creates and starts a transient pool. @flags: CstPoolCreateFlags. */
CstPoolRef *cst_conn_pool_create(CstConn *conn, const char *xml, unsigned flags, GError **error);
/** Removes the definition of a pool that is not active. */
gboolean cst_conn_pool_undefine(CstConn *conn, const CstPoolRef *pool, GError **error);
/**
 * Builds the pool's storage: creates directories, file systems, volume groups. @flags:
 * CstPoolBuildFlags.
 */
gboolean cst_conn_pool_build(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error);
/** Starts a persistent pool. @flags: CstPoolCreateFlags. */
gboolean cst_conn_pool_start(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error);
/** Stops the pool. A transient pool ceases to exist. */
gboolean cst_conn_pool_stop(CstConn *conn, const CstPoolRef *pool, GError **error);
/** Deletes the pool's storage. @flags: CstPoolDeleteFlags. */
gboolean cst_conn_pool_delete(CstConn *conn, const CstPoolRef *pool, unsigned flags,
                              GError **error);
/** Scans the storage for its current volumes. @flags: no flag is defined. */
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
/** Returns state and usage. persistent, autostart and volumes are not filled in. */
gboolean cst_conn_pool_info(CstConn *conn, const CstPoolRef *pool, CstPoolInfo *ret,
                            GError **error);
/** Returns why the pool could not be started or is inaccessible; NULL: no problem, or unknown. */
char *cst_conn_pool_problem(CstConn *conn, const CstPoolRef *pool);
/**
 * Returns the health of the pool's storage, as its technology reports it. The caller clears
 * *ret_health. Fails with NO_SUPPORT if the server cannot report it.
 */
gboolean cst_conn_pool_health(CstConn *conn, const CstPoolRef *pool, CstPoolHealth *ret_health,
                              GError **error);
/** Returns the thin pools (or equivalents) of a pool: elements CstThinStore *; may be empty. */
GPtrArray *cst_conn_pool_thin(CstConn *conn, const CstPoolRef *pool, GError **error);
/**
 * Returns the bytes available for new volumes in files. A stock server and an older one do not
 * report them; known is then FALSE.
 */
gboolean cst_conn_pool_room(CstConn *conn, const CstPoolRef *pool, CstRoom *ret_room,
                            GError **error);
/** Returns the pool's XML document. @flags: CstStorageXmlFlags. */
char *cst_conn_pool_xml(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error);
/** Returns the number of volumes of an active pool. */
gboolean cst_conn_pool_count_volumes(CstConn *conn, const CstPoolRef *pool, guint *ret,
                                     GError **error);
/**
 * Returns the <sources> that pools of @type could use. @spec: a <source> document that restricts
 * the search; may be NULL.
 */
char *cst_conn_find_sources(CstConn *conn, const char *type, const char *spec, GError **error);
/** Returns the <storagepoolCapabilities> document. */
char *cst_conn_pool_capabilities(CstConn *conn, GError **error);

/* --- volumes --------------------------------------------------------------------------------- */

/** A reference to a volume. The server identifies it by pool and name. */
typedef struct {
    char *pool;
    char *name;
    char *key; /**< unique on the host; may be NULL */
} CstVolRef;

/** NULL is accepted. */
void cst_vol_ref_free(CstVolRef *ref);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolRef, cst_vol_ref_free)

/**
 * Lists volumes without a limit on their number: page by page from cisternd, with pipelined calls
 * from libvirtd. Elements CstVolRow *. @details: also fill in info and format.
 */
GPtrArray *cst_conn_vol_list(CstConn *conn, const CstPoolRef *pool, gboolean details,
                             GError **error);
/** Additional properties that a list of volumes can show, as bits. */
typedef enum {
    CST_VOL_MORE_BACKING = 1 << 0,
    CST_VOL_MORE_SNAPSHOTS = 1 << 1,
    CST_VOL_MORE_HOLDERS = 1 << 2
} CstVolMoreWants;

typedef struct {
    char *backing;      /**< path of the base; NULL: no base, or unknown */
    int64_t snapshots;  /**< number of snapshots; -1: unknown or not supported */
    GPtrArray *holders; /**< of CstVolHolder *; NULL: unknown */
} CstVolMore;

/**
 * Queries the properties @wants (CstVolMoreWants) of each volume of @rows (CstVolRow *) in @pool,
 * with pipelined calls. Returns one CstVolMore * for each row. An unknown property of a volume is
 * not a failure. Fails with NO_SUPPORT if the server does not support the query.
 */
GPtrArray *cst_conn_vol_list_more(CstConn *conn, const CstPoolRef *pool, const GPtrArray *rows,
                                  unsigned wants, GError **error);

/** Looks up a volume of @pool by name. Fails with NO_VOL if it does not exist. */
CstVolRef *cst_conn_vol_by_name(CstConn *conn, const CstPoolRef *pool, const char *name,
                                GError **error);
/** Looks up a volume of any active pool by its key. Fails with NO_VOL if it does not exist. */
CstVolRef *cst_conn_vol_by_key(CstConn *conn, const char *key, GError **error);
/** Looks up a volume of any active pool by its path. Fails with NO_VOL if it does not exist. */
CstVolRef *cst_conn_vol_by_path(CstConn *conn, const char *path, GError **error);
/** Returns the pool that contains @vol. */
CstPoolRef *cst_conn_pool_of_vol(CstConn *conn, const CstVolRef *vol, GError **error);
/** Returns the path of the volume, or the identifier that the pool type uses instead. */
char *cst_conn_vol_path(CstConn *conn, const CstVolRef *vol, GError **error);
/** Returns the volume's XML document. @flags: no flag is defined. */
char *cst_conn_vol_xml(CstConn *conn, const CstVolRef *vol, unsigned flags, GError **error);
/**
 * Returns size and usage. @physical: the allocation is the physical size (libvirt's GET_PHYSICAL).
 */
gboolean cst_conn_vol_info(CstConn *conn, const CstVolRef *vol, gboolean physical, CstVolInfo *ret,
                           GError **error);

/*
 * Long calls. @task may be NULL. Otherwise its progress is updated if the server reports it.
 * Cancelling it cancels the call at the server if possible.
 */
/** Creates a volume from its XML. @flags: CstVolCreateFlags. */
CstVolRef *cst_conn_vol_create(CstConn *conn, const CstPoolRef *pool, const char *xml,
                               unsigned flags, CstTask *task, GError **error);
/** Creates a volume from its XML with the content of @source. @flags: CstVolCreateFlags. */
CstVolRef *cst_conn_vol_create_from(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                    const CstVolRef *source, unsigned flags, CstTask *task,
                                    GError **error);
/**
 * Deletes a volume and its content, or moves it to its pool's trash. @flags: CstVolDeleteFlags.
 * AT_ONCE has no effect on a server without a trash.
 */
gboolean cst_conn_vol_delete(CstConn *conn, const CstVolRef *vol, unsigned flags, CstTask *task,
                             GError **error);
/** Renames a volume and updates references to it. NO_SUPPORT by a stock server. */
gboolean cst_conn_vol_rename(CstConn *conn, const CstVolRef *vol, const char *new_name,
                             CstTask *task, GError **error);
/**
 * Moves a volume to @pool. It is deleted when its copy in @pool is complete. BUSY names the
 * properties that cannot be moved. NO_SUPPORT by a stock server.
 */
gboolean cst_conn_vol_move(CstConn *conn, const CstVolRef *vol, const CstPoolRef *pool,
                           const CstVolMove *how, CstTask *task, GError **error);
/** Sets or removes a volume's protection from deletion. */
gboolean cst_conn_vol_protect(CstConn *conn, const CstVolRef *vol, gboolean on, CstTask *task,
                              GError **error);
/** Returns a set of the pool's protected volumes. NO_SUPPORT by a stock server. */
GHashTable *cst_conn_pool_protected(CstConn *conn, const CstPoolRef *pool, GError **error);
/** Overwrites a volume's content. @algorithm: CstWipeAlgorithm. */
gboolean cst_conn_vol_wipe(CstConn *conn, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                           GError **error);
/** Changes the size that a volume's guest sees. @flags: CstVolResizeFlags. */
gboolean cst_conn_vol_resize(CstConn *conn, const CstVolRef *vol, uint64_t capacity, unsigned flags,
                             CstTask *task, GError **error);
/**
 * Grows a volume, and the disk of the QEMU whose QMP monitor is at @socket, an absolute path.
 * DENIED unless the caller is the user of the server. NO_SUPPORT by a stock server.
 */
gboolean cst_conn_vol_resize_qmp(CstConn *conn, const CstVolRef *vol, uint64_t capacity,
                                 unsigned flags, const char *socket, CstTask *task, GError **error);
/**
 * Writes the content of @fd, a pipe or a file from its start on, into the volume at @offset.
 * @length is the most that the server accepts; 0: no limit. @flags: CstVolStreamFlags; with SPARSE,
 * holes of a file are sent as holes. @fd remains open.
 */
gboolean cst_conn_vol_upload(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                             uint64_t length, unsigned flags, CstTask *task, GError **error);
/**
 * Writes @length bytes of the volume from @offset on (0: to the end) into @fd, a pipe or a file at
 * its current position. @flags: CstVolStreamFlags. With SPARSE, holes become holes if the file ends
 * at the position, otherwise zeroes. @fd remains open.
 */
gboolean cst_conn_vol_download(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                               uint64_t length, unsigned flags, CstTask *task, GError **error);

/** Consumes a piece of content: @len bytes, or (@len 0) a hole of @hole bytes. */
typedef gboolean (*CstPieceFunc)(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                 GError **error);

/**
 * As cst_conn_vol_download(), but passes each piece to @piece, in order. @piece must not use @conn.
 * @task counts the bytes.
 */
gboolean cst_conn_vol_download_pieces(CstConn *conn, const CstVolRef *vol, uint64_t offset,
                                      uint64_t length, unsigned flags, CstPieceFunc piece,
                                      gpointer data, CstTask *task, GError **error);

/**
 * Operations on content that a server has in addition to libvirt's protocol. A stock server has no
 * such operation, and an older cisternd only some. A server that has one of these members also has
 * the members before it.
 */
typedef struct {
    gboolean dry_runs; /**< cst_conn_set_dry_run() */
    gboolean sends;    /**< cst_conn_vol_send() */
    gboolean receives; /**< cst_conn_vol_receive() */
    gboolean digests;  /**< cst_conn_vol_digests(), cst_conn_vol_rename() */
    gboolean patches;  /**< cst_conn_vol_patch() */
} CstConnAbilities;
/** Returns the abilities of the server. Fails only if the connection fails. */
gboolean cst_conn_abilities(CstConn *conn, CstConnAbilities *ret, GError **error);

/** The consumer of a volume's content. */
typedef struct {
    /**
     * Called first, with the size of the whole content in bytes, regardless of the requested part.
     * NULL: not called.
     */
    gboolean (*begin)(uint64_t capacity, gpointer data, GError **error);
    CstPieceFunc piece; /**< called for each piece, in order and without gaps */
    gpointer data;
} CstConnSink;

/**
 * Sends the current or an earlier guest-visible content of the volume, including the content of its
 * backing chain, to @sink. Runs that read as zeroes are passed as holes if this is known. The sink
 * must not use @conn. @task counts the bytes. Errors: BUSY; UNSUPPORTED for a snapshot outside of
 * an image that is based on another one; NO_SUPPORT by a stock server.
 */
gboolean cst_conn_vol_send(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                           const CstConnSink *sink, CstTask *task, GError **error);

/** As cst_conn_vol_send(), to @fd from its current position on. */
gboolean cst_conn_vol_send_to(CstConn *conn, const CstVolRef *vol, const CstVolSend *what, int fd,
                              CstTask *task, GError **error);

#define CST_VOL_DIGEST_SIZE      32 /* SHA-256 */
#define CST_VOL_DIGEST_CHUNK_MIN (UINT64_C(64) << 10)

/** Digests of the current or an earlier guest-visible content of a volume. */
typedef struct {
    uint64_t capacity;   /**< of the volume */
    uint64_t chunk;      /**< bytes of content for each digest */
    uint64_t offset;     /**< position of the first digest, in bytes of content */
    uint64_t length;     /**< bytes of content that the digests cover */
    GByteArray *digests; /**< in order; the digest of a chunk of zeroes is zeroes */
} CstVolDigests;
/** Frees the memory that @digests owns, not the struct itself. */
void cst_vol_digests_clear(CstVolDigests *digests);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstVolDigests, cst_vol_digests_clear)

/**
 * Computes on the server the digests of each @chunk bytes (a power of two, 64 KiB to 64 MiB) of the
 * content that cst_conn_vol_send() would send. The offset in @what is a multiple of @chunk. The
 * caller clears *ret. @task counts bytes of digests. Errors as for cst_conn_vol_send(), and
 * INVALID.
 */
gboolean cst_conn_vol_digests(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                              uint64_t chunk, CstTask *task, CstVolDigests *ret, GError **error);

/** A new volume that is being filled. @conn must not be used for other calls until its end. */
typedef struct CstConnReceive CstConnReceive;

/**
 * Begins a new volume, with the format and capacity in its document @xml. The caller sends the
 * content piece by piece. The volume appears only with cst_conn_receive_finish(). @flags:
 * CstVolCreateFlags. Errors: VOL_EXISTS; CONFIG; NO_SUPPORT by a stock server. Free the result
 * before @conn.
 */
CstConnReceive *cst_conn_vol_receive(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                     unsigned flags, CstTask *task, GError **error);
/**
 * Begins to overwrite the guest-visible content of a volume from @offset on, in the same way. End
 * it with cst_conn_patch_finish(). Pieces that were sent remain written without it. Errors: BUSY.
 */
CstConnReceive *cst_conn_vol_patch(CstConn *conn, const CstVolRef *vol, uint64_t offset,
                                   CstTask *task, GError **error);
/**
 * Sends the next piece to @receive, a CstConnReceive; a CstPieceFunc. Fails with NO_SPACE beyond
 * the capacity.
 */
gboolean cst_conn_receive_piece(const void *bytes, size_t len, uint64_t hole, gpointer receive,
                                GError **error);
/** Completes the volume, which is durable then. Parts that were not sent are zeroes. */
CstVolRef *cst_conn_receive_finish(CstConnReceive *receive, GError **error);
/**
 * Begins to write a volume's stored bytes piece by piece, from the first byte on, as
 * cst_conn_vol_upload() does. Every server supports this. End it with cst_conn_patch_finish().
 * Holes require CST_VOL_STREAM_SPARSE in @flags. Pieces that were sent remain written without the
 * end.
 */
CstConnReceive *cst_conn_vol_upload_pieces(CstConn *conn, const CstVolRef *vol, unsigned flags,
                                           CstTask *task, GError **error);
/** Completes a patch, which is durable then, or an upload, which is accepted then. */
gboolean cst_conn_patch_finish(CstConnReceive *receive, GError **error);
/** Removes a volume that was not finished, and frees @receive. NULL is accepted. */
void cst_conn_receive_free(CstConnReceive *receive);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstConnReceive, cst_conn_receive_free)

/* --- volumes as images ----------------------------------------------------------------------- */

/**
 * Returns the volume's backing chain and all volumes based on its members. Elements CstChainRow *,
 * each before the volumes that are based on it.
 */
GPtrArray *cst_conn_vol_chain(CstConn *conn, const CstVolRef *vol, GError **error);

/** Returns the processes and mounts that have the volume open. Elements CstVolHolder *. */
GPtrArray *cst_conn_vol_holders(CstConn *conn, const CstVolRef *vol, GError **error);

/*
 * Long calls, as above. The server opens files that an image names only if they are volumes of
 * active pools.
 */

/**
 * Checks the volume's image, and with @repair (CstRepairFlags) repairs it. Damage is not a failure.
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
/** Releases clusters and blocks that contain only zeroes. *ret_given_back: bytes released. */
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
/** Returns descriptions of the volume's problems. Elements char *, translated sentences. */
GPtrArray *cst_conn_vol_problems(CstConn *conn, const CstVolRef *vol, GError **error);
/** Returns a pool's follow policy. Sets it first if @follow is not NULL. */
gboolean cst_conn_pool_follow(CstConn *conn, const CstPoolRef *pool, const CstFollow *follow,
                              CstFollow *ret_follow, GError **error);
/** Compares the guest-visible content of two volumes. A difference is not a failure. */
gboolean cst_conn_vol_compare(CstConn *conn, const CstVolRef *vol, const CstVolRef *other,
                              CstTask *task, CstCompareReport *ret_report, GError **error);
/** Computes the size of a copy in @format. @options: as in CstVolConvert; may be NULL. */
gboolean cst_conn_vol_measure(CstConn *conn, const CstVolRef *vol, const char *format,
                              const char *options, CstTask *task, CstMeasureReport *ret_report,
                              GError **error);
/** Returns the volume's map from @start on, at most @limit runs (0: CST_VOL_MAP_PAGE). */
CstVolMap *cst_conn_vol_map(CstConn *conn, const CstVolRef *vol, uint64_t start, guint limit,
                            CstTask *task, GError **error);
/** Changes a dirty bitmap. @source: the volume with the bitmaps to merge; NULL: @vol. */
gboolean cst_conn_vol_bitmap(CstConn *conn, const CstVolRef *vol, const CstBitmapChange *change,
                             const CstVolRef *source, CstTask *task, GError **error);

/* --- jobs ------------------------------------------------------------------------------------ */

/** Lists jobs by number: running jobs, with @ended also ended ones. Elements CstJobInfo *. */
GPtrArray *cst_conn_job_list(CstConn *conn, gboolean ended, GError **error);
/** Looks up a job. Fails with NOT_FOUND if it does not exist or has expired. */
CstJobInfo *cst_conn_job_info(CstConn *conn, uint64_t id, GError **error);
/** Requests that a job stop. Does not wait for its end. */
gboolean cst_conn_job_cancel(CstConn *conn, uint64_t id, GError **error);
/** Sets the rate limit of a job, in bytes per second; 0: no limit. */
gboolean cst_conn_job_set_limit(CstConn *conn, uint64_t id, uint64_t limit, GError **error);
/**
 * Waits for the end of a job and returns its final state. Updates the progress of @task (may be
 * NULL). Cancelling @task ends the wait, not the job (CANCELLED). Fails with TIMEOUT at @until
 * (monotonic time, µs; 0: never).
 */
CstJobInfo *cst_conn_job_wait(CstConn *conn, uint64_t id, gint64 until, CstTask *task,
                              GError **error);

/**
 * Enables or disables detaching. If it is enabled, a long call with a task, except an upload or
 * download, returns CANCELLED as soon as the server lists it as a job. The job continues, and
 * cst_task_job() of the task is its number, otherwise 0. A call that ends before that returns as
 * usual. Fails with UNSUPPORTED if the connection is embedded.
 */
gboolean cst_conn_set_detach(CstConn *conn, gboolean detach, GError **error);

/* --- snapshots ------------------------------------------------------------------------------- */

/* Snapshots of volumes, in any technology. @task as for the long calls above. */

/** Lists a volume's snapshots. Elements CstSnapshot *, oldest first. */
GPtrArray *cst_conn_snapshot_list(CstConn *conn, const CstVolRef *vol, GError **error);
/**
 * Creates a snapshot of the volume's content. Fails with EXISTS if @name exists. @limit: bytes
 * reserved for changes, if the technology needs it; 0: its default.
 */
gboolean cst_conn_snapshot_create(CstConn *conn, const CstVolRef *vol, const char *name,
                                  uint64_t limit, CstTask *task, GError **error);
/** Maximum number of snapshots in a set. */
#define CST_CONN_SNAPSHOT_SET_MAX 1024
/**
 * Creates snapshots request->name of @vols (of CstVolRef *): all or no snapshots. @ret_set is set
 * on success; the caller clears it. Fails with STATE if the consistency would be worse than
 * request->minimum, and with BUSY if a running domain cannot be suspended. NO_SUPPORT by a stock
 * server.
 */
gboolean cst_conn_snapshot_create_set(CstConn *conn, const GPtrArray *vols,
                                      const CstSnapshotRequest *request, CstTask *task,
                                      CstSnapshotSet *ret_set, GError **error);
/**
 * Returns the names of the snapshots that reverting to @name would remove; the caller frees them.
 * NO_SUPPORT by a server without the procedure; such a server removes no snapshots.
 */
GStrv cst_conn_snapshot_revert_loses(CstConn *conn, const CstVolRef *vol, const char *name,
                                     GError **error);
/**
 * Restores the volume's content to that of the snapshot. @agreed: snapshots that may be removed for
 * that, as returned by cst_conn_snapshot_revert_loses(); NULL: no snapshots.
 */
gboolean cst_conn_snapshot_revert(CstConn *conn, const CstVolRef *vol, const char *name,
                                  char *const *agreed, CstTask *task, GError **error);
/** Deletes a snapshot. The volume does not change. */
gboolean cst_conn_snapshot_delete(CstConn *conn, const CstVolRef *vol, const char *name,
                                  CstTask *task, GError **error);
/** Renames a snapshot. Fails with EXISTS if @new_name exists. */
gboolean cst_conn_snapshot_rename(CstConn *conn, const CstVolRef *vol, const char *name,
                                  const char *new_name, GError **error);
/** Receives a range that may have changed. FALSE with an error ends the call. */
typedef gboolean (*CstChangedFunc)(uint64_t offset, uint64_t length, gpointer data, GError **error);
/** The result of cst_conn_vol_changed(), in addition to the ranges. */
typedef struct {
    uint64_t capacity; /**< of the later content, bytes */
    char *identity;    /**< differs for another snapshot; "": unknown. Owned by the caller */
} CstVolChanged;
/**
 * Reports the parts of a volume's guest-visible content that may differ between the snapshot @since
 * and the snapshot @until (NULL: the current content), in order. The source is the technology that
 * keeps the snapshots. Fails with UNSUPPORTED or NO_SUPPORT if it cannot report this; the caller
 * then reads and compares both contents. Fails with BUSY if the current content is requested and
 * the image is being written to, or if the snapshot is replaced during the call. Also fails with
 * NOT_FOUND.
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
    CST_CONN_EVENT_CLOSED, /**< the connection failed; delivered once */
    CST_CONN_EVENT_LAST
} CstConnEventType;

typedef struct {
    CstConnEventType type;
    int kind;
    CstUuid uuid;
    const char *pool; /**< name of the pool, in pool events; borrowed */
} CstConnEvent;

/** Receives an event, inside cst_conn_wait_events(). May subscribe and unsubscribe. */
typedef void (*CstConnEventFunc)(const CstConnEvent *event, gpointer data);

/**
 * Subscribes to events of @type of the object @uuid; NULL: of all objects. *ret_id is the number of
 * the subscription. Embedded connections receive only events of this process.
 */
gboolean cst_conn_subscribe(CstConn *conn, CstConnEventType type, const CstUuid *uuid,
                            CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
/** Ends a subscription. Fails with NOT_FOUND if @id does not exist. */
gboolean cst_conn_unsubscribe(CstConn *conn, guint id, GError **error);
/**
 * Waits for events and delivers them. Returns after at least one was delivered, after @timeout_ms
 * (-1: no limit), or when @wake_fd (-1: unused) is readable. *ret_delivered: the number delivered.
 */
gboolean cst_conn_wait_events(CstConn *conn, int timeout_ms, int wake_fd, guint *ret_delivered,
                              GError **error);
