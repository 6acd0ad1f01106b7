/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/gluster.h>
#include <pool/backend.h>

/**
 * Pools of files in a directory of a Gluster volume, through libgfapi, without a mount. Each entry
 * of the directory is a volume, in any image format. As in libvirt, the path of a volume is QEMU's
 * URL (gluster://HOST/VOLUME/DIR/NAME).
 *
 * The files, lowest layer first. A file calls only files of earlier lines, and files to its left:
 *
 *     conf.c                    reads the definition
 *     conn.c                    connections, which pools share
 *     file.c                    opening files; paths
 *     recent.c                  short-lived cache of a listing
 *     scan.c  draft.c  volume.c records; new volumes; existing volumes
 *     rename.c                  other names for existing volumes
 *     discover.c                the volumes of a server
 *     gluster.c                 the backend's table, and the lifecycle of a state
 *
 * CstBackend documents the functions that are callbacks of the table.
 */
extern const CstBackend cst_gluster_backend;

/**
 * The path of a volume's root for the library. For "/" the library returns success without a reply
 * of the servers, or ENOTDIR, while the servers are down (Gluster 10.3).
 */
#define GLUSTER_ROOT "/."

/* --- conf.c ----------------------------------------------------------------------------------- */

/** Address of a volume: transport, servers and directory. Immutable once read. */
typedef struct {
    const CstPoolDef *def; /**< borrowed */
    const char *transport; /**< "tcp" or "unix"; static */
    char *directory;       /**< in the volume: "/" or "/a/b" */
    const char *self;      /**< path of the directory for the library: directory, or GLUSTER_ROOT */
    char *key;             /**< volume and servers; equal keys share a connection */
    guint timeout_ms;      /**< for a response of the servers */
} GlusterConf;

/** Fills in *ret_conf. @def must outlive it. Fails with XML or CONFIG for an invalid definition. */
gboolean gluster_conf_read(const CstPoolDef *def, GlusterConf *ret_conf, GError **error);
/** Frees the strings of *conf. */
void gluster_conf_clear(GlusterConf *conf);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GlusterConf, gluster_conf_clear)
/**
 * Returns the path in the volume of entry @name of the directory. The caller frees it with
 * g_free().
 */
char *gluster_conf_path(const GlusterConf *conf, const char *name);
/** Returns the URL of the volume, as in libvirt's errors. The caller frees it with g_free(). */
char *gluster_conf_url(const GlusterConf *conf);

/* --- conn.c ----------------------------------------------------------------------------------- */

/** A connection to a volume. */
typedef struct {
    gint refs;
    const CstGluster *gluster;
    glfs_t *fs;
    char id[37]; /**< the volume's UUID as text; "": unknown */
    gint copies; /**< atomic: servers copy ranges between files: 1 yes, 0 no, -1 untested */
    guint timeout_ms;
    guint changes; /**< atomic: a new unique number after each change by this process */
    gint writers;  /**< atomic: files that are open for writing */
} GlusterConn;

/** The shared connection of a volume and its servers, and its users. */
typedef struct GlusterPlace GlusterPlace;

/** Returns the place of the volume of @conf and adds a user. Does not connect. */
GlusterPlace *gluster_place_get(const GlusterConf *conf);
/** Removes a user. After the last one, the connection is closed in the background. Accepts NULL. */
void gluster_place_unref(GlusterPlace *place);

/**
 * Returns a new reference to the connection, and creates a missing one. Blocks for at most the
 * timeout of @conf. Fails with UNREACHABLE, or NOT_FOUND if the volume does not exist.
 */
GlusterConn *gluster_conn_get(GlusterPlace *place, const GlusterConf *conf, GError **error);
/** Adds a reference and returns @conn. Any thread. */
GlusterConn *gluster_conn_ref(GlusterConn *conn);
/**
 * Drops a reference. The last one disconnects on a separate thread, because it takes seconds.
 * Accepts NULL.
 */
void gluster_conn_unref(GlusterConn *conn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GlusterConn, gluster_conn_unref)
/**
 * Time without a response after which a connection is dropped, in microseconds. Tests change it.
 */
extern gint64 gluster_give_up_us;
/** Invalidates earlier listings. Call it after a change of files. */
void gluster_changed(GlusterConn *conn);
/**
 * Returns the number of the last change, unique among all connections. 0: a file is open for
 * writing.
 */
guint gluster_changes(GlusterConn *conn);
/**
 * Verifies that the servers respond; FALSE with UNREACHABLE. A connection without a response for
 * gluster_give_up_us is dropped, so that the next call creates a new one.
 */
gboolean gluster_touch(const CstPoolDef *def, GError **error);

/** Cache of a recent listing, for many queries of single entries (recent.c). */
typedef struct {
    GMutex lock; /* guards the fields below */
    gint64 since;
    guint asked;         /* queries since then */
    gboolean listing;    /* a thread makes a listing */
    GHashTable *entries; /* name to struct stat of lstat; NULL: no listing */
    gboolean is_private; /* gluster_is_private() */
    gint64 until;        /* monotonic */
    guint changes;       /* gluster_changes() before the listing */
} GlusterRecent;

/* --- the state -------------------------------------------------------------------------------- */

typedef struct {
    CstPoolState head;
    GlusterConf conf;
    GlusterPlace *place;
    GStrv prefixes; /**< valid prefixes of URLs of files here; the first is ours */
    char *suffix;   /**< suffix of our URLs: "?socket=…" or "" */
    GMutex lock;
    char *expected; /**< UUID that the volume must have; NULL: any; guarded by the lock */
    GlusterRecent recent;
} GlusterState;

/**
 * Like gluster_conn_get(). Fails with STATE if the volume is not the one that the pool was started
 * with.
 */
GlusterConn *gluster_connect(CstPoolState *state, GError **error);
/** Expects the current volume from now on. */
void gluster_expect_now(GlusterState *state, const GlusterConn *conn);

/* --- file.c ----------------------------------------------------------------------------------- */

char *gluster_vol_path(CstPoolState *state, const char *name);
char *gluster_vol_resolve(CstPoolState *state, const char *path);

/** Opens the file at @path in the volume as a blob named @name. @flags as for open(2). */
CstBlob *gluster_file_open(GlusterConn *conn, const char *path, const char *name, int flags,
                           GError **error);
/**
 * Creates the file at @path with mode 0600, and locks it. The lock shows other processes that the
 * creator is alive.
 */
CstBlob *gluster_file_create(GlusterConn *conn, const char *path, const char *name, GError **error);
/** Locks a draft, like its creator. Returns FALSE if its creator is alive. */
gboolean gluster_file_lock(CstBlob *blob);
/** Returns whether only root and this user may write to the directory and all its parents. */
gboolean gluster_is_private(GlusterConn *conn, const GlusterConf *conf);

/**
 * Iterator over the entries of the directory. An entry is valid until the next call.
 * gluster_listing_next() returns FALSE at the end or on failure.
 */
typedef struct {
    GlusterConn *conn; /**< borrowed */
    glfs_fd_t *dir;
    struct dirent entry;
    struct stat st;   /**< of the entry; zero if the servers did not send it */
    const char *name; /**< of the entry */
    int err;          /**< errno of a failure; 0: no failure */
} GlusterListing;

/** Opens the directory. */
gboolean gluster_listing_open(GlusterConn *conn, const GlusterConf *conf,
                              GlusterListing *ret_listing, GError **error);
gboolean gluster_listing_next(GlusterListing *listing);
void gluster_listing_close(GlusterListing *listing);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GlusterListing, gluster_listing_close)

/* --- recent.c --------------------------------------------------------------------------------- */

/** The duration of a burst of queries, and the validity of a listing. Tests change them. */
typedef struct {
    gint64 burst_us;
    gint64 fresh_us;
} GlusterRecentTimes;
extern GlusterRecentTimes gluster_recent_times;

void gluster_recent_init(GlusterRecent *recent);
void gluster_recent_clear(GlusterRecent *recent);
/**
 * Searches for entry @name in the cached listing. Makes a new listing if many names are queried.
 * FALSE: the name is not in the cache, but the entry may exist.
 */
gboolean gluster_recent_find(GlusterRecent *recent, GlusterConn *conn, const GlusterConf *conf,
                             const char *name, struct stat *ret_st, gboolean *ret_private);

/* --- scan.c ----------------------------------------------------------------------------------- */

gboolean gluster_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean gluster_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error);

/* --- draft.c ---------------------------------------------------------------------------------- */

gboolean gluster_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error);
gboolean gluster_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error);
gboolean gluster_vol_abandon(CstPoolState *state, const char *token, GError **error);
gboolean gluster_drop_drafts(CstPoolState *state, GError **error);

/* --- volume.c --------------------------------------------------------------------------------- */

gboolean gluster_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error);

/* --- rename.c --------------------------------------------------------------------------------- */

gboolean gluster_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                            GError **error);
gboolean gluster_vol_link(CstPoolState *state, const char *name, const char *new_name,
                          GError **error);
gboolean gluster_vol_take(CstPoolState *state, CstPoolState *from, const char *name, CstBlob *blob,
                          const char *new_name, GError **error);
CstBlob *gluster_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);
gboolean gluster_vol_declare(CstPoolState *state, CstBlob *blob, const CstDeclaration *declaration);
/** CstFiles.declared */
CstDeclaration *gluster_declared(CstBlob *blob);
gboolean gluster_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error);

/* --- discover.c ------------------------------------------------------------------------------- */

gboolean gluster_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error);
