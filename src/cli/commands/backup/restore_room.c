/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The space check of several restored volumes. cli_restore() checks each volume alone, and a later
 * volume finds less space than the check of the first one. Pools on one file system share its
 * space, so the volumes are counted for each file system.
 */
#include "backup.h"

#include <base/error.h>
#include <base/units.h>
#include <blob/room.h>

#include "output/progress.h"

/* The volumes for one file system. */
typedef struct {
    const CstPoolRef *pool; /* the first of its pools, borrowed */
    CstRoom room;
    guint count;   /* of the volumes */
    uint64_t data; /* bytes that are not known to be zero */
} RestoreSpace;

typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    const CliRestorePlace *places;
    guint n_places;
    GArray *spaces;  /* of RestoreSpace */
    guint *space_of; /* index of the space of each place */
} RestoreRoom;

static gboolean restore_space_add(RestoreRoom *restore, guint index, GError **error)
{
    RestoreSpace space = {.pool = restore->places[index].pool};
    guint i = 0;

    if (!cst_conn_pool_room(restore->ctl->conn, space.pool, &space.room, error))
        return FALSE;
    while (i < restore->spaces->len) {
        const RestoreSpace *known = &g_array_index(restore->spaces, RestoreSpace, i);

        if (space.room.known && known->room.known && known->room.device == space.room.device)
            break;
        i++;
    }
    if (i == restore->spaces->len)
        g_array_append_val(restore->spaces, space);
    restore->space_of[index] = i;
    return TRUE;
}

/* Adds the size of a volume's data to its space, or counts the bytes that are not zero. */
static gboolean restore_room_add(RestoreRoom *restore, guint index, CstRoomCount *count,
                                 CstTask *task, GError **error)
{
    const CstBackupVolume *volume = restore->places[index].volume;
    RestoreSpace *space = &g_array_index(restore->spaces, RestoreSpace, restore->space_of[index]);
    g_autoptr(CstBlob) blob = cst_backup_open(restore->repo, volume, error);
    uint64_t data;

    if (!blob)
        return FALSE;
    if (count)
        return cli_backup_give(blob, volume->size, cst_room_count_piece, count, error);
    if (!cst_blob_data_size(blob, task, &data, error))
        return FALSE;
    space->data += data;
    space->count++;
    return TRUE;
}

/* Counts the bytes of all volumes of a space that are not zero. Fails if they exceed the space. */
static gboolean restore_space_count(RestoreRoom *restore, guint number, CstTask *task,
                                    gboolean *ret_exceeded, GError **error)
{
    const RestoreSpace *space = &g_array_index(restore->spaces, RestoreSpace, number);
    CstRoomCount count = {.left = space->room.bytes, .task = task};
    gboolean ok = TRUE;

    for (guint i = 0; ok && i < restore->n_places; i++)
        if (restore->space_of[i] == number)
            ok = restore_room_add(restore, i, &count, task, error);
    *ret_exceeded = count.exceeded;
    return ok;
}

static gboolean restore_space_check(RestoreRoom *restore, guint number, CstTask *task,
                                    GError **error)
{
    const RestoreSpace *space = &g_array_index(restore->spaces, RestoreSpace, number);
    g_autoptr(GError) why = NULL;
    gboolean exceeded = FALSE;
    const char *data_unit, *free_unit;
    double data, free;

    if (space->count < 2 || !space->room.known || space->data <= space->room.bytes ||
        restore_space_count(restore, number, task, &exceeded, &why))
        return TRUE;
    if (!exceeded) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    data = cst_units_pretty(space->data, &data_unit);
    free = cst_units_pretty(space->room.bytes, &free_unit);
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("cannot restore %u volumes to the file system of pool '%s': they need up to "
                      "%.2f %s and it has %.2f %s available; free space there, or restore them "
                      "to another pool"),
                    space->count, space->pool->name, data, data_unit, free, free_unit);
}

static gboolean restore_room_run(CstTask *task, gpointer data, GError **error)
{
    RestoreRoom *restore = data;
    gboolean ok = TRUE;

    for (guint i = 0; ok && i < restore->n_places; i++)
        ok = restore_room_add(restore, i, NULL, task, error);
    for (guint i = 0; ok && i < restore->spaces->len; i++)
        ok = restore_space_check(restore, i, task, error);
    return ok;
}

gboolean cli_restore_check_room(CliCtl *ctl, CstRepo *repo, const CliRestorePlace *places,
                                guint n_places, GError **error)
{
    g_autoptr(GArray) spaces = g_array_new(FALSE, FALSE, sizeof(RestoreSpace));
    g_autofree guint *space_of = g_new0(guint, n_places + 1);
    RestoreRoom restore = {ctl, repo, places, n_places, spaces, space_of};

    if (n_places < 2)
        return TRUE;
    for (guint i = 0; i < n_places; i++)
        if (!restore_space_add(&restore, i, error))
            return FALSE;
    return cli_run_task(ctl, _("Checking"), restore_room_run, &restore, error);
}
