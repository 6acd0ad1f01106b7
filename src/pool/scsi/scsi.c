/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The callbacks of scsi pools, in the layer above the files that do the work, and their table.
 *
 * From its start on, a pool is identified by the location of its host's hardware. After a reload of
 * the driver, "host3" may be another adapter, and its disks are not shown.
 */
#include "scsi.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <pool/device.h>

typedef struct {
    CstAttachedState head;
    char *place;         /* required location of the host; NULL: any */
    gboolean made_vport; /* the start of this pool made it */
} ScsiState;

#define SCSI(state) ((ScsiState *)(state))

static const CstAdapter *adapter_of(const CstPoolState *state)
{
    return &state->def->source.adapter;
}

/*
 * Returns the current number of the host. STATE if it is not the host that the pool was started
 * with.
 */
static gboolean find_host(CstPoolState *state, unsigned *ret_host, GError **error)
{
    g_autofree char *place = NULL;

    if (!scsi_host_find(adapter_of(state), state->def->name, ret_host, error))
        return FALSE;
    if (!SCSI(state)->place)
        return TRUE;
    place = scsi_host_place(*ret_host);
    return g_strcmp0(place, SCSI(state)->place) == 0 ||
           cst_fail(error, CST_ERROR_STATE,
                    _("SCSI host %u is now the adapter at '%s'; pool '%s' was started with the one "
                      "at '%s'"),
                    *ret_host, place ? place : "?", state->def->name, SCSI(state)->place);
}

static gboolean scsi_find(CstPoolState *state, GPtrArray *found, GError **error)
{
    unsigned host;

    if (!find_host(state, &host, error))
        return FALSE;
    cst_luns_find(host, state->def->target_path, found);
    return TRUE;
}

/* --- the life of a pool ----------------------------------------------------------------------- */

static void scsi_state_free(CstPoolState *state)
{
    cst_attached_clear(&SCSI(state)->head);
    g_free(SCSI(state)->place);
    g_free(state);
}

static CstPoolState *scsi_open(const CstPoolDef *def, GError **error)
{
    ScsiState *scsi = g_new0(ScsiState, 1);

    if (cst_attached_init(&scsi->head, def, scsi_find, error))
        return &scsi->head.head;
    scsi_state_free(&scsi->head.head);
    return NULL;
}

static gboolean scsi_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    g_autoptr(GError) why = NULL;
    unsigned host;

    *ret_active = find_host(state, &host, &why);
    if (why)
        cst_log(CST_LOG_INFO, "pool '%s': %s", state->def->name, why->message);
    return TRUE;
}

static gboolean scsi_rescan_bus(CstPoolState *state, CstTask *task, GError **error)
{
    unsigned host;

    return find_host(state, &host, error) && cst_luns_rescan(host, task, error);
}

static gboolean scsi_start(CstPoolState *state, GError **error)
{
    const CstAdapter *adapter = adapter_of(state);

    if (adapter->type == CST_ADAPTER_FC_HOST &&
        !scsi_vport_ensure(adapter, state->def->name, &SCSI(state)->made_vport, error))
        return FALSE;
    if (scsi_rescan_bus(state, NULL, error))
        return TRUE;
    /* A failed start is not followed by a stop, so remove the port that it made. */
    if (SCSI(state)->made_vport)
        scsi_vport_remove(adapter, state->def->name, NULL);
    SCSI(state)->made_vport = FALSE;
    return FALSE;
}

/*
 * Whether to remove the virtual port with the pool: if the definition requests it. If the
 * definition does not set it, then if the pool's start made the port.
 */
static gboolean is_vport_ours(const CstPoolState *state)
{
    const CstAdapter *adapter = adapter_of(state);

    if (adapter->type != CST_ADAPTER_FC_HOST)
        return FALSE;
    return adapter->managed < 0 ? SCSI((CstPoolState *)state)->made_vport : adapter->managed;
}

/*
 * The LUNs of a physical host stay, even if they are in use; the LUNs of a virtual port are removed
 * with it.
 */
static gboolean scsi_stop(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) found = NULL;

    if (!is_vport_ours(state))
        return TRUE;
    found = g_ptr_array_new_with_free_func((GDestroyNotify)cst_attached_free);
    if (!scsi_find(state, found, NULL))
        return TRUE; /* already removed */
    for (guint i = 0; i < found->len; i++) {
        const CstAttached *lun = g_ptr_array_index(found, i);

        if (!cst_device_refuse_held(lun->node, lun->name, error))
            return FALSE;
    }
    return scsi_vport_remove(adapter_of(state), state->def->name, error);
}

/* --- identity --------------------------------------------------------------------------------- */

#define PLACE "scsi="
#define MADE  " vport=made"

static char *scsi_identity(CstPoolState *state, GError **error)
{
    g_autofree char *place = NULL;
    unsigned host;

    if (!find_host(state, &host, error))
        return NULL;
    place = scsi_host_place(host);
    if (place)
        return g_strdup_printf(PLACE "%s%s\n", place, SCSI(state)->made_vport ? MADE : "");
    cst_fail(error, CST_ERROR_NOT_FOUND, _("SCSI host %u has just gone"), host);
    return NULL;
}

/* A start adopts the current host of the definition. */
static gboolean scsi_expect(CstPoolState *state, const char *recorded, gboolean starting,
                            GError **error)
{
    ScsiState *scsi = SCSI(state);
    unsigned host;

    g_clear_pointer(&scsi->place, g_free);
    if (starting) {
        if (!find_host(state, &host, error))
            return FALSE;
        scsi->place = scsi_host_place(host);
        return TRUE;
    }
    if (!recorded || !g_str_has_prefix(recorded, PLACE))
        return TRUE;
    scsi->place = g_strchomp(g_strdup(recorded + strlen(PLACE)));
    scsi->made_vport = g_str_has_suffix(scsi->place, MADE);
    if (scsi->made_vport)
        scsi->place[strlen(scsi->place) - strlen(MADE)] = '\0';
    return TRUE;
}

/* --- probe ------------------------------------------------------------------------------------ */

/* A host that is missing is reported by the scan. */
static gboolean scsi_touch(const CstPoolDef *def, GError **error)
{
    g_autoptr(GPtrArray) luns = g_ptr_array_new_with_free_func((GDestroyNotify)cst_attached_free);
    unsigned host;

    if (scsi_host_find(&def->source.adapter, def->name, &host, NULL))
        cst_luns_find(host, "/dev", luns);
    cst_attached_touch(luns);
    return TRUE;
}

const CstBackend cst_scsi_backend = {
    .type = CST_POOL_SCSI,
    .open = scsi_open,
    .close = scsi_state_free,
    .check = scsi_check,
    .scan = cst_attached_scan,
    .scan_one = cst_attached_scan_one,
    .usage = cst_attached_usage,
    .vol_path = cst_attached_vol_path,
    .vol_resolve = cst_attached_vol_resolve,
    .start = scsi_start,
    .stop = scsi_stop,
    .rescan_bus = scsi_rescan_bus,
    .identity = scsi_identity,
    .expect = scsi_expect,
    .vol_open = cst_attached_vol_open,
    .vol_holders = cst_attached_vol_holders,
    .watch_open = cst_attached_watch_open,
    .watch_read = cst_attached_watch_read,
    .touch = scsi_touch,
};
