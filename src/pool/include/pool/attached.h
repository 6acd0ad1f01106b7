/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <pool/backend.h>

/**
 * Pools whose volumes are whole block devices attached to this host: LUNs of a SCSI host or of an
 * iSCSI session, multipath maps. Volumes are never created or deleted in such a pool. The backend
 * only supplies find(), which lists the devices; the callbacks below use its list.
 */

/** A device found by CstAttachedState.find(), which fills it in. The strings are owned. */
typedef struct {
    char *name;         /**< name of the volume */
    char *node;         /**< device node to open: "/dev/sdb" */
    dev_t device;       /**< number of the node */
    char *path;         /**< path for clients; stable over a restart of the host if such a path
                             exists */
    char *key;          /**< the same for each path to the device; NULL: @path is the key */
    char *problem;      /**< why the device cannot be used; NULL: it can */
    GPtrArray *options; /**< of CstPoolOption, in the type's namespace for volumes; NULL: no
                             options */
    uint64_t size;      /**< bytes */
} CstAttached;

/** Appends an empty element to @found. Returns a borrowed pointer to it. */
CstAttached *cst_attached_add(GPtrArray *found);
/** Frees @attached and its strings. */
void cst_attached_free(CstAttached *attached);

typedef struct {
    CstPoolState head;
    /**
     * Appends the devices that are attached now to @found, an array that frees its elements. Each
     * device gets a unique name. Reads only the kernel's information and no device. Any thread.
     */
    gboolean (*find)(CstPoolState *state, GPtrArray *found, GError **error);
    GMutex lock;       /**< private, like the members below */
    GPtrArray *last;   /**< result of the last find() */
    GHashTable *names; /**< the same devices by name */
} CstAttachedState;

/**
 * Initialises the head of a backend's own state and copies @def. INVALID if the target is not a
 * directory below /dev, because only /dev has stable names.
 */
gboolean cst_attached_init(CstAttachedState *state, const CstPoolDef *def,
                           gboolean (*find)(CstPoolState *state, GPtrArray *found, GError **error),
                           GError **error);
/** Frees the members of the head, also after a failed cst_attached_init(). */
void cst_attached_clear(CstAttachedState *state);

/* Callbacks of a CstBackend whose state begins with a CstAttachedState. */
gboolean cst_attached_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean cst_attached_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                               CstVolume **ret_volume, GError **error);
gboolean cst_attached_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);
char *cst_attached_vol_path(CstPoolState *state, const char *name);
char *cst_attached_vol_resolve(CstPoolState *state, const char *path);
CstBlob *cst_attached_vol_open(CstPoolState *state, const char *name, gboolean writable,
                               GError **error);
gboolean cst_attached_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                                  GError **error);
int cst_attached_watch_open(CstPoolState *state, GError **error);
void cst_attached_watch_read(CstPoolState *state, int fd,
                             void (*changed)(const char *name, gpointer data), gpointer data);

/**
 * Reads from each of @devices (of CstAttached *) that has no problem, and returns when the first
 * read has ended, also with an error. Returns at once if all have problems. Otherwise hangs until
 * the kernel ends a read (CstBackend.touch).
 */
void cst_attached_touch(const GPtrArray *devices);

/* --- LUNs of a SCSI host (lun.c) -------------------------------------------------------------- */

/**
 * Appends each disk and optical drive of SCSI host @host, in the order of their addresses. The
 * names are libvirt's: "unit:CHANNEL:TARGET:LUN". The paths are the links that udev made below
 * @target.
 */
void cst_luns_find(unsigned host, const char *target, GPtrArray *found);

/**
 * Rescans the host for LUNs that were added, removed or resized. Waits a few seconds at most until
 * new LUNs have their links. IO if the kernel refuses the scan.
 */
gboolean cst_luns_rescan(unsigned host, CstTask *task, GError **error);
