/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queries of the log of events. Each call opens the database, because calls are rare. */
#include <service/events.h>

#include <store/events.h>

#include "core/service.h"

GPtrArray *cst_service_events(CstService *service, const CstEventQuery *query, int64_t *ret_last,
                              GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstEvents) events = cst_events_open_existing(service->paths, &why);

    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    *ret_last = 0;
    if (!events)
        return g_ptr_array_new_with_free_func((GDestroyNotify)cst_event_record_free);
    return cst_events_last(events, ret_last, error) ? cst_events_list(events, query, error) : NULL;
}
