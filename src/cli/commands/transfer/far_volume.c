/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes of other daemons, as sources of imports. */
#include "far_volume.h"

#include <base/error.h>
#include <base/i18n.h>

struct CliFarVolume {
    CstConn *conn;
    CstVolRef *vol;
    CliVolContent *content;
};

static gboolean remote_volume_open(CliFarVolume *far, const CliCtl *ctl, const char *uri,
                                   const char *source, const CstImportHow *how, GError **error)
{
    const CstConnOptions options = {.must_exist = TRUE, .unattended = ctl->background >= 0};
    const char *name = cli_full_name(source);
    g_autofree char *pool_name = cli_full_name_pool(source);
    g_autoptr(CstPoolRef) pool = NULL;

    if (!name)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("'%s' is no volume of another daemon; write it as POOL/VOLUME"), source);
    far->conn = cst_conn_open(uri, &options, error);
    if (!far->conn)
        return FALSE;
    pool = cst_conn_pool_by_name(far->conn, pool_name, error);
    far->vol = pool ? cst_conn_vol_by_name(far->conn, pool, name, error) : NULL;
    if (!far->vol)
        return FALSE;
    far->content = cli_vol_content_open(far->conn, far->vol, source, how, error);
    return far->content != NULL;
}

CliFarVolume *cli_far_volume_open(const CliCtl *ctl, const char *uri, const char *source,
                                  const CstImportHow *how, GError **error)
{
    g_autoptr(CliFarVolume) far = g_new0(CliFarVolume, 1);

    return remote_volume_open(far, ctl, uri, source, how, error) ? g_steal_pointer(&far) : NULL;
}

void cli_far_volume_free(CliFarVolume *far)
{
    if (!far)
        return;
    cli_vol_content_free(far->content);
    g_clear_pointer(&far->vol, cst_vol_ref_free);
    g_clear_pointer(&far->conn, cst_conn_free);
    g_free(far);
}

CliVolContent *cli_far_volume_content(const CliFarVolume *far)
{
    return far->content;
}
