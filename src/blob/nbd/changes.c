/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dirty bitmap of an export: which parts a guest has changed since a point in time. */
#include <blob/nbd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <libnbd_library.h>

#include "session.h"

/* Adds the changes in one answer. *at: the end of the answer. Returns FALSE if there is no room. */
static gboolean changes_add(CstChanged *changed, const GArray *extents, uint64_t *at)
{
    for (guint i = 0; i < extents->len; i++) {
        const CstExtent *extent = &g_array_index(extents, CstExtent, i);

        if ((extent->flags & NBD_EXTENT_DIRTY) &&
            !cst_changed_add(changed, extent->offset, extent->length))
            return FALSE;
        *at = extent->offset + extent->length;
    }
    return TRUE;
}

/* Reads the bitmap until its end, or until @changed has no more room. */
static gboolean changes_read(NbdSession *session, const char *socket, CstChanged *changed,
                             GError **error)
{
    const NbdExportInfo *info = nbd_session_info(session);
    uint64_t at = MIN(changed->offset, info->size);

    at -= at % info->minimum;
    while (at < info->size) {
        g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(CstExtent));
        uint64_t begin = at;

        if (!nbd_session_block_status(session, begin, extents, error))
            return FALSE;
        if (!changes_add(changed, extents, &at))
            return TRUE;
        at -= at < info->size ? at % info->minimum : 0;
        if (at <= begin)
            return cst_fail(error, CST_ERROR_CORRUPT,
                            _("the NBD server at '%s' reports an extent of less than a block"),
                            socket);
    }
    cst_changed_end(changed, info->size);
    return TRUE;
}

gboolean cst_blob_nbd_changes(const char *socket, const char *export_name, uid_t owner,
                              const char *context, const char *identity, unsigned timeout_s,
                              CstChanged *changed, GError **error)
{
    const NbdAddress address = {socket, export_name, timeout_s, owner, context};
    NbdSession *session;
    gboolean done;

    if (!cst_library_load(&cst_libnbd_library, error))
        return FALSE;
    session = nbd_session_open(&address, timeout_s, error);
    if (!session)
        return FALSE;
    cst_changed_begin(changed, nbd_session_info(session)->size, g_strdup(identity));
    done = nbd_session_info(session)->block_status
               ? changes_read(session, socket, changed, error)
               : cst_fail(error, CST_ERROR_NOT_FOUND,
                          _("export '%s' of the NBD server at '%s' has no bitmap '%s'"),
                          export_name, socket, context);
    nbd_session_close(session);
    return done;
}
