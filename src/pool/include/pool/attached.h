/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <pool/backend.h>

/**
 * Pools whose volumes are whole block devices that this host has attached: LUNs of a SCSI host or
 * of an iSCSI session, multipath maps. Nothing is made or deleted there, so all that such a backend
 * has to say is which devices there are; the callbacks below do the rest.
 */

/** A device that was found. Its finder fills it in; strings are owned. */
typedef struct {
    char *name;         /**< the volume's */
    char *node;         /**< what is opened: "/dev/sdb" */
    dev_t device;       /**< number of the node */
    char *path;         /**< as clients see it, after a restart of the host too where that can be */
    char *key;          /**< the same for each path to the device; NULL: @path */
    char *problem;      /**< why it can't be used; NULL: it can */
    GPtrArray *options; /**< of CstPoolOption, in the type's namespace for volumes; NULL: none */
    uint64_t size;      /**< bytes */
} CstAttached;

/** Appends an empty one to @found; borrowed. */
CstAttached *cst_attached_add(GPtrArray *found);
/** Frees it. */
void cst_attached_free(CstAttached *attached);

typedef struct {
    CstPoolState head;
    /**
     * Appends what is attached now to @found, an array that frees its elements, each under a name
     * of its own. Reads what the kernel knows, and no device. Any thread.
     */
    gboolean (*find)(CstPoolState *state, GPtrArray *found, GError **error);
    GMutex lock;       /**< private, as is what follows */
    GPtrArray *last;   /**< what was found last */
    GHashTable *names; /**< the same by name */
} CstAttachedState;

/**
 * Fills in the head of a backend's own state, with a copy of @def. INVALID when the target is no
 * directory below /dev, where stable names are.
 */
gboolean cst_attached_init(CstAttachedState *state, const CstPoolDef *def,
                           gboolean (*find)(CstPoolState *state, GPtrArray *found, GError **error),
                           GError **error);
/** Frees what the head owns, also after a cst_attached_init() that failed. */
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

/* --- LUNs of a SCSI host (lun.c) -------------------------------------------------------------- */

/**
 * Appends each disk and optical drive of SCSI host @host, in the order of their addresses, under
 * libvirt's names, "unit:CHANNEL:TARGET:LUN". Paths are those that udev has made below @target.
 */
void cst_luns_find(unsigned host, const char *target, GPtrArray *found);

/**
 * Has the host look for LUNs that came, went or changed their size, and waits, some seconds at
 * most, until what came has its names. IO when the kernel refuses.
 */
gboolean cst_luns_rescan(unsigned host, CstTask *task, GError **error);
