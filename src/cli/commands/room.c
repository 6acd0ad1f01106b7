/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The space check of commands that transfer content themselves. A copy that certainly does not fit
 * is refused before its first byte is written.
 */
#include "room.h"

#include <sys/stat.h>

#include <base/error.h>
#include <base/place.h>
#include <base/units.h>

static gboolean copy_fits(const CstRoom *room, const CliRoomCopy *copy, gboolean *ret_fits,
                          GError **error)
{
    const uint64_t most = room->bytes > UINT64_MAX / MAX(copy->shrink, 1)
                              ? UINT64_MAX
                              : room->bytes * MAX(copy->shrink, 1);
    CstRoomCount count = {.left = most, .task = copy->task};
    g_autoptr(GError) why = NULL;

    *ret_fits = !room->known || copy->data <= most;
    if (*ret_fits || !copy->give)
        return TRUE;
    *ret_fits = copy->give(cst_room_count_piece, &count, copy->user, &why);
    if (*ret_fits || count.exceeded)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean cli_room_check_pool(CstConn *conn, const CstPoolRef *pool, const CliRoomCopy *copy,
                             GError **error)
{
    gboolean fits;
    CstRoom room;

    return cst_conn_pool_room(conn, pool, &room, error) && copy_fits(&room, copy, &fits, error) &&
           (fits || cst_room_fail_pool(copy->name, pool->name, copy->data, room.bytes, error));
}

CstRoom cli_room_of_path(const char *path)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    struct stat st;

    /* The command itself reports an invalid path. */
    if (!cst_place_init(&place, path, NULL) ||
        (cst_place_stat(&place, &st) && !S_ISREG(st.st_mode)))
        return (CstRoom){0};
    return cst_room_of(place.dir);
}

gboolean cli_room_check_file(const CliRoomCopy *copy, GError **error)
{
    const CstRoom room = cli_room_of_path(copy->name);
    gboolean fits;

    return copy_fits(&room, copy, &fits, error) &&
           (fits || cst_room_fail_file(copy->name, cst_div_up(copy->data, MAX(copy->shrink, 1)),
                                       room.bytes, error));
}
