/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes of other daemons: their content comes as a stream, whatever their format is there. */
#include "far_volume.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "commands/changed.h"

struct CliFarVolume {
    CstConn *conn;
    CstVolRef *vol;
    const char *source; /* borrowed */
    uint64_t capacity;
};

const char *cli_far_volume_name(const char *source)
{
    const char *slash = strchr(source, '/');

    return slash && slash > source && slash[1] ? slash + 1 : NULL;
}

/* A stock server says so only when the content is asked for. */
static gboolean check_server(CstConn *conn, const char *uri, GError **error)
{
    gboolean able;

    if (!cst_conn_can_patch(conn, &able, error))
        return FALSE;
    return able || cst_fail(error, CST_ERROR_NO_SUPPORT,
                            _("what serves '%s' gives no content: it is libvirt's, or an older "
                              "cisternd; download the volume there, and import the file"),
                            uri);
}

static gboolean look_at(CliFarVolume *far, const char *uri, GError **error)
{
    const CstConnOptions options = {.must_exist = TRUE};
    const char *name = cli_far_volume_name(far->source);
    g_autofree char *pool_name =
        name ? g_strndup(far->source, (size_t)(name - 1 - far->source)) : NULL;
    g_autoptr(CstPoolRef) pool = NULL;
    CstVolInfo info;

    if (!name)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("'%s' is no volume of another daemon; write it as POOL/VOLUME"),
                        far->source);
    far->conn = cst_conn_open(uri, &options, error);
    if (!far->conn || !check_server(far->conn, uri, error))
        return FALSE;
    pool = cst_conn_pool_by_name(far->conn, pool_name, error);
    far->vol = pool ? cst_conn_vol_by_name(far->conn, pool, name, error) : NULL;
    if (!far->vol || !cst_conn_vol_info(far->conn, far->vol, FALSE, &info, error))
        return FALSE;
    far->capacity = info.capacity;
    return TRUE;
}

CliFarVolume *cli_far_volume_open(const char *uri, const char *source, GError **error)
{
    g_autoptr(CliFarVolume) far = g_new0(CliFarVolume, 1);

    far->source = source;
    return look_at(far, uri, error) ? g_steal_pointer(&far) : NULL;
}

void cli_far_volume_free(CliFarVolume *far)
{
    if (!far)
        return;
    g_clear_pointer(&far->vol, cst_vol_ref_free);
    g_clear_pointer(&far->conn, cst_conn_free);
    g_free(far);
}

uint64_t cli_far_volume_capacity(const CliFarVolume *far)
{
    return far->capacity;
}

typedef struct {
    const CliFarVolume *far;
    CstConnReceive *receive;
} Passing;

static gboolean begin(uint64_t capacity, gpointer data, GError **error)
{
    const CliFarVolume *far = ((const Passing *)data)->far;

    return cli_check_size(far->source, far->capacity, capacity, error);
}

static gboolean pass(const void *bytes, size_t len, uint64_t hole, gpointer data, GError **error)
{
    return cst_conn_receive_piece(bytes, len, hole, ((const Passing *)data)->receive, error);
}

gboolean cli_far_volume_send(const CliFarVolume *far, CstConnReceive *receive, CstTask *task,
                             GError **error)
{
    Passing passing = {far, receive};
    const CstConnSink sink = {begin, pass, &passing};

    return cst_conn_vol_send(far->conn, far->vol, &(CstVolSend){0}, &sink, task, error);
}
