/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/iscsi.h>
#include <pool/backend.h>

/**
 * Pools of the LUNs of an iSCSI target that this process accesses directly (blob/iscsi.h). The
 * host's kernel is not involved, and the host needs no setup.
 *
 * The files, lowest layer first. A file calls only files of earlier lines:
 *
 *     names.c                   libvirt's names and paths; parsing of a definition
 *     units.c                   the units of the LUNs, and verification of their identity
 *     scan.c  volume.c          records; content
 *     iscsi_direct.c            sessions, discovery, and the backend's table
 *
 * CstBackend documents the functions that are callbacks of the table.
 */
extern const CstBackend cst_iscsi_direct_backend;

typedef struct {
    CstPoolState head;
    CstIscsi *session;
    char *prefix; /**< of all paths: "ip-10.0.0.1:3260-iscsi-iqn…-lun-" */

    GMutex lock;       /**< guards the fields below */
    GHashTable *known; /**< number of a LUN to the text of its unit's designators */
    GHashTable *sizes; /**< number of a LUN to its part of the pool's usage */
    gboolean scanned;  /**< known and sizes are complete and current */
    guint looks;       /**< count of observations of LUNs; detects an outdated list */
} DirectState;

/* --- names.c ---------------------------------------------------------------------------------- */

#define DIRECT_TIMEOUT_S     5
#define DIRECT_TIMEOUT_MAX_S 600

/** Checks the definition's target, portals and timeout, with libvirt's error messages. */
gboolean direct_check_source(const CstPoolDef *def, GError **error);
/**
 * Returns the portals ("10.0.0.1:3260"), NULL-terminated. The caller frees them with g_strfreev().
 */
char **direct_portals(const CstPoolSource *source);
/** Reads the option "timeout", in milliseconds. Fails with CONFIG for an invalid value. */
gboolean direct_timeout(const CstPoolDef *def, guint *ret_ms, GError **error);
/** Returns the value of DirectState.prefix. The caller frees it. */
char *direct_prefix(const CstPoolDef *def);
/** Returns "unit:0:0:3" for 3. The caller frees it. */
char *direct_name(uint16_t lun);
/** Parses such a name. Returns FALSE if @name has another form. */
gboolean direct_lun_of(const char *name, uint16_t *ret_lun);
/** Parses the part of a path after the prefix. Returns FALSE if it is no number of a LUN. */
gboolean direct_lun_in_path(const char *number, uint16_t *ret_lun);
char *direct_vol_path(CstPoolState *state, const char *name);
char *direct_vol_resolve(CstPoolState *state, const char *path);

/* --- units.c ---------------------------------------------------------------------------------- */

/**
 * Queries all LUNs. Returns an array of CstIscsiLun, which clears its elements, or NULL with
 * @error. Sets *ret_begun to the value of DirectState.looks at the start of the list.
 */
GArray *direct_units(DirectState *state, guint *ret_begun, GError **error);
/**
 * Returns whether the LUN can be a volume: a disk, an optical drive, or a unit with a failed query.
 */
gboolean direct_is_volume(const CstIscsiLun *lun);
/**
 * Verifies that the LUN is the same unit as at first sight; fails with STATE if not. Records the
 * unit of a new LUN.
 */
gboolean direct_is_known(DirectState *state, const CstIscsiLun *lun, GError **error);
/**
 * Forgets the units of LUNs that are missing in @luns, so that their numbers can be reused. Keeps
 * all units if a LUN was observed since @begun, the start of the list, because the list may lack
 * that LUN.
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
