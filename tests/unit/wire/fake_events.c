/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake service has no events. */
#include <base/error.h>
#include <service/events.h>

GPtrArray *cst_service_events(CstService *self, const CstEventQuery *query, int64_t *ret_last,
                              GError **error)
{
    *ret_last = 0;
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_event_record_free);
}

GPtrArray *cst_service_notify_test(CstService *self, const char *name, CstTask *task,
                                   GError **error)
{
    return g_ptr_array_new();
}
