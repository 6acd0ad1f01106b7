/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/iscsi.h>
#include <pool/backend.h>

/**
 * Pools that are the LUNs of an iSCSI target that this process itself speaks to (blob/iscsi.h). The
 * host's kernel knows nothing of them, and nothing has to be set up on it.
 *
 * From below to above; a file calls files of the lines before its own:
 *
 *     names.c                   libvirt's names and paths; what a definition means
 *     units.c                   what is behind the LUNs, and whether it is what it was
 *     scan.c  volume.c          records; bytes
 *     iscsi_direct.c            sessions, discovery, and the table
 *
 * Functions that are a callback of the table do what CstBackend says of it.
 */
extern const CstBackend cst_iscsi_direct_backend;

typedef struct {
    CstPoolState head;
    CstIscsi *session;
    char *prefix; /**< of all paths: "ip-10.0.0.1:3260-iscsi-iqn…-lun-" */

    GMutex lock;       /**< guards what follows */
    GHashTable *known; /**< number of a LUN to the text of its unit's designators */
    GHashTable *sizes; /**< number of a LUN to what it counts for in the pool's usage */
    gboolean scanned;  /**< all LUNs are in there, as they are now */
    guint looks;       /**< counts what was seen of LUNs, to tell a list from before that */
} DirectState;

/* --- names.c ---------------------------------------------------------------------------------- */

#define DIRECT_TIMEOUT_S     5
#define DIRECT_TIMEOUT_MAX_S 600

/** What the definition says of the target, its portals and the time-out; refusals as libvirt's. */
gboolean direct_check_source(const CstPoolDef *def, GError **error);
/** Returns the portals ("10.0.0.1:3260"), NULL-terminated; g_strfreev() it. */
char **direct_portals(const CstPoolSource *source);
/** The time-out of the option "timeout", in ms; FALSE with CONFIG for one that can't be. */
gboolean direct_timeout(const CstPoolDef *def, guint *ret_ms, GError **error);
/** See DirectState.prefix; free it. */
char *direct_prefix(const CstPoolDef *def);
/** "unit:0:0:3" for 3; free it. */
char *direct_name(uint16_t lun);
/** FALSE: @name is no such name. */
gboolean direct_lun_of(const char *name, uint16_t *ret_lun);
/** The same for what follows the prefix in a path. */
gboolean direct_lun_in_path(const char *number, uint16_t *ret_lun);
char *direct_vol_path(CstPoolState *state, const char *name);
char *direct_vol_resolve(CstPoolState *state, const char *path);

/* --- units.c ---------------------------------------------------------------------------------- */

/**
 * Looks at all LUNs. Returns an array of CstIscsiLun, which clears them. *ret_begun:
 * DirectState.looks when the list was begun.
 */
GArray *direct_units(DirectState *state, guint *ret_begun, GError **error);
/** Whether it is something that a volume can be: a disk, an optical drive, or what hides itself. */
gboolean direct_is_volume(const CstIscsiLun *lun);
/**
 * Whether the LUN is the unit that it was when it was seen first; STATE if not. One that is new is
 * that from now on.
 */
gboolean direct_is_known(DirectState *state, const CstIscsiLun *lun, GError **error);
/**
 * Forgets units whose LUNs are not among @luns, so that another unit may have their numbers. Does
 * nothing when a LUN was seen since the list was @begun, because that LUN may be missing in it.
 */
void direct_forget_gone(DirectState *state, const GArray *luns, guint begun);

char *direct_identity(CstPoolState *state, GError **error);
gboolean direct_expect(CstPoolState *state, const char *recorded, gboolean starting,
                       GError **error);

/* --- scan.c ----------------------------------------------------------------------------------- */

gboolean direct_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean direct_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                         CstVolume **ret_volume, GError **error);
gboolean direct_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);

/* --- volume.c --------------------------------------------------------------------------------- */

CstBlob *direct_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);
