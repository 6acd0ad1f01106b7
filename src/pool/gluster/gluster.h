/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/gluster.h>
#include <pool/backend.h>

/**
 * Pools of files in a directory of a Gluster volume, through libgfapi: nothing is mounted. Volumes
 * are the directory's entries, in any format of images, and are called by QEMU's URLs
 * (gluster://HOST/VOLUME/DIR/NAME), as libvirt has it.
 *
 * From below to above; a file calls files of the lines before its own, and to its left:
 *
 *     conf.c                    what the definition says
 *     conn.c                    connections, which pools share
 *     file.c                    opening files; paths
 *     recent.c                  what was listed a moment ago
 *     scan.c  draft.c  volume.c records; what is being made; volumes that are there
 *     rename.c                  other names for these
 *     discover.c                what volumes a server has
 *     gluster.c                 the table, and the life of a state
 *
 * Functions that are a callback of the table do what CstBackend says of it.
 */
extern const CstBackend cst_gluster_backend;

/**
 * The root of a volume as the library has to be asked for it: of "/" it tells success without an
 * answer, or ENOTDIR, when the servers are away (Gluster 10.3).
 */
#define GLUSTER_ROOT "/."

/* --- conf.c ----------------------------------------------------------------------------------- */

/** How the servers that know the volume are reached. Immutable once read. */
typedef struct {
    const CstPoolDef *def; /**< borrowed */
    const char *transport; /**< "tcp" or "unix"; static */
    char *directory;       /**< in the volume: "/" or "/a/b" */
    const char *self;      /**< the directory itself, for the library: that, or GLUSTER_ROOT */
    char *key;             /**< names volume and servers: what has the same shares a connection */
    guint timeout_ms;      /**< for an answer of the servers */
} GlusterConf;

/** Fills in *ret_conf. @def must outlive it. XML or CONFIG for what can't be. */
gboolean gluster_conf_read(const CstPoolDef *def, GlusterConf *ret_conf, GError **error);
/** Frees what *conf has. */
void gluster_conf_clear(GlusterConf *conf);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GlusterConf, gluster_conf_clear)
/** The path in the volume of entry @name of the directory; g_free() it. */
char *gluster_conf_path(const GlusterConf *conf, const char *name);
/** The URL of the volume, as libvirt has it in errors; g_free() it. */
char *gluster_conf_url(const GlusterConf *conf);

/* --- conn.c ----------------------------------------------------------------------------------- */

/** A connection to a volume. */
typedef struct {
    gint refs;
    const CstGluster *gluster;
    glfs_t *fs;
    char id[37]; /**< the volume's UUID as text; "": unknown */
    gint copies; /**< atomic: 1: its servers copy ranges between files; 0: not; -1: untried */
    guint timeout_ms;
    guint changes; /**< atomic: a number of its own after each change through us */
    gint writers;  /**< atomic: files that are open for writing */
} GlusterConn;

/** What connections of a volume and set of servers go by, for as long as somebody wants one. */
typedef struct GlusterPlace GlusterPlace;

/** Wants connections to the volume of @conf, which are made when they are asked for. */
GlusterPlace *gluster_place_get(const GlusterConf *conf);
/** Wants none any more; with the last one the connection goes, in its own time. NULL: nothing. */
void gluster_place_unref(GlusterPlace *place);

/**
 * Returns a new reference to the connection, made when there is none. Lasts no longer than the
 * conf's timeout. UNREACHABLE; NOT_FOUND: no such volume.
 */
GlusterConn *gluster_conn_get(GlusterPlace *place, const GlusterConf *conf, GError **error);
/** Returns @conn with one reference more. Any thread. */
GlusterConn *gluster_conn_ref(GlusterConn *conn);
/** Disconnects with the last reference, in a thread of its own: it takes seconds. NULL: nothing. */
void gluster_conn_unref(GlusterConn *conn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GlusterConn, gluster_conn_unref)
/** A connection that has had no answer for so long is given up; tests change it. */
extern gint64 gluster_give_up_us;
/** Call it after a change of files, or when what was listed before must not be used any more. */
void gluster_changed(GlusterConn *conn);
/** A number that no connection had before its last change; 0: something is being written. */
guint gluster_changes(GlusterConn *conn);
/**
 * Asks the servers for a sign of life; FALSE with UNREACHABLE. A connection that has had none for
 * long is given up, so that the next call makes a new one.
 */
gboolean gluster_touch(const CstPoolDef *def, GError **error);

/** What was listed lately, for many looks at single entries (recent.c). */
typedef struct {
    GMutex lock; /* guards what follows */
    gint64 since;
    guint asked;         /* names since then */
    gboolean listing;    /* somebody makes a listing */
    GHashTable *entries; /* name to struct stat, as lstat says; NULL: none */
    gboolean is_private; /* gluster_is_private() */
    gint64 until;        /* monotonic */
    guint changes;       /* gluster_changes() before the listing */
} GlusterRecent;

/* --- the state -------------------------------------------------------------------------------- */

typedef struct {
    CstPoolState head;
    GlusterConf conf;
    GlusterPlace *place;
    GStrv prefixes; /**< the ways in which a URL of a file here may begin; the first is ours */
    char *suffix;   /**< and how ours end: "?socket=…" or "" */
    GMutex lock;
    char *expected; /**< UUID that the volume must have; NULL: any; guarded by the lock */
    GlusterRecent recent;
} GlusterState;

/** As gluster_conn_get(); STATE when the volume is not the one that the pool was started with. */
GlusterConn *gluster_connect(CstPoolState *state, GError **error);
/** Expects the volume that is there now. */
void gluster_expect_now(GlusterState *state, const GlusterConn *conn);

/* --- file.c ----------------------------------------------------------------------------------- */

char *gluster_vol_path(CstPoolState *state, const char *name);
char *gluster_vol_resolve(CstPoolState *state, const char *path);

/** Opens the file at @path in the volume, with the flags of open(2), as a blob called @name. */
CstBlob *gluster_file_open(GlusterConn *conn, const char *path, const char *name, int flags,
                           GError **error);
/**
 * Creates the file at @path, for nobody else to read, and locks it for its maker: who finds a draft
 * that is not locked has found a dead one's.
 */
CstBlob *gluster_file_create(GlusterConn *conn, const char *path, const char *name, GError **error);
/** Locks a draft, as its maker does; FALSE: its maker lives. */
gboolean gluster_file_lock(CstBlob *blob);
/** Whether only root and we may write to the directory, and to what leads there. */
gboolean gluster_is_private(GlusterConn *conn, const GlusterConf *conf);

/** One entry after another; what is read lives until the next call. FALSE: none left, or failed. */
typedef struct {
    GlusterConn *conn; /**< borrowed */
    glfs_fd_t *dir;
    struct dirent entry;
    struct stat st;   /**< of the entry; zero where the servers did not tell */
    const char *name; /**< of the entry */
    int err;          /**< errno of a failure; 0: none */
} GlusterListing;

/** Opens the directory. */
gboolean gluster_listing_open(GlusterConn *conn, const GlusterConf *conf,
                              GlusterListing *ret_listing, GError **error);
gboolean gluster_listing_next(GlusterListing *listing);
void gluster_listing_close(GlusterListing *listing);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GlusterListing, gluster_listing_close)

/* --- recent.c --------------------------------------------------------------------------------- */

/** Names in how short a time are a burst, and how long a listing answers; tests change them. */
typedef struct {
    gint64 burst_us;
    gint64 fresh_us;
} GlusterRecentTimes;
extern GlusterRecentTimes gluster_recent_times;

void gluster_recent_init(GlusterRecent *recent);
void gluster_recent_clear(GlusterRecent *recent);
/**
 * Looks for entry @name in what was listed a moment ago, which this call does by itself when many
 * names are asked for. FALSE: not there, which says nothing of whether there is one.
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
