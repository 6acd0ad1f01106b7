/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Discovery of a portal's targets (SendTargets). */
#include "initiator.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Maximum number of targets accepted from a portal's list. */
#define TARGETS_MAX 4096

typedef struct {
    GPtrArray *names;
    gboolean done;
    gboolean good;
} Discovery;

static gboolean is_known(const GPtrArray *names, const char *name)
{
    for (guint i = 0; i < names->len; i++)
        if (strcmp(g_ptr_array_index(names, i), name) == 0)
            return TRUE;
    return FALSE;
}

/* libiscsi returns the list in reverse order. */
static void take_targets(struct iscsi_context *context, int status, void *command, void *data)
{
    const struct iscsi_discovery_address *at = command;
    Discovery *discovery = data;

    discovery->done = TRUE;
    discovery->good = status == SCSI_STATUS_GOOD;
    for (; discovery->good && at && discovery->names->len < TARGETS_MAX; at = at->next)
        if (g_utf8_validate(at->target_name, -1, NULL) &&
            strlen(at->target_name) <= CST_ISCSI_NAME_MAX &&
            !is_known(discovery->names, at->target_name))
            g_ptr_array_insert(discovery->names, 0, g_strdup(at->target_name));
}

gboolean cst_iscsi_discover(const CstIscsiTarget *target, GPtrArray *names, GError **error)
{
    const IscsiLib *lib = iscsi_lib(error);
    gint64 patience = target->timeout_ms * G_TIME_SPAN_MILLISECOND;
    Discovery discovery = {.names = names};
    gint never = 0;
    IscsiLogin how = {.target = target,
                      .type = ISCSI_SESSION_DISCOVERY,
                      .isid = g_random_int(),
                      .closing = &never};
    struct iscsi_context *context;
    guint portal = 0;

    context = lib ? iscsi_log_in_anywhere(&how, &portal, error) : NULL;
    if (!context)
        return FALSE;
    if (lib->iscsi_discovery_async(context, take_targets, &discovery) == 0)
        iscsi_serve(lib, context, &discovery.done, g_get_monotonic_time() + patience, &never);
    iscsi_log_out(lib, context, g_get_monotonic_time() + G_TIME_SPAN_SECOND);
    return discovery.good || cst_fail(error, CST_ERROR_UNREACHABLE,
                                      _("portal '%s' gives no list of targets that can be read"),
                                      target->portals[portal]);
}
