/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake service has no schedules. */
#include "fake_service.h"

#include <base/error.h>
#include <service/schedules.h>

GPtrArray *cst_service_schedules(CstService *self, const char *name, GError **error)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_free);
}

gboolean cst_service_schedule_set(CstService *self, CstSchedule *schedule, GError **error)
{
    fake.mutations++;
    return TRUE;
}

gboolean cst_service_schedule_delete(CstService *self, const char *name, GError **error)
{
    fake.mutations++;
    return TRUE;
}

GPtrArray *cst_service_schedule_history(CstService *self, const char *name, int64_t before,
                                        guint max, GError **error)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_run_free);
}

gboolean cst_service_schedule_begin(CstService *self, CstScheduleRun *run, int64_t handled,
                                    GError **error)
{
    fake.mutations++;
    return TRUE;
}

gboolean cst_service_schedule_end(CstService *self, const CstScheduleRun *run, GError **error)
{
    fake.mutations++;
    return TRUE;
}

GPtrArray *cst_service_schedule_copies(CstService *self, const char *name, int64_t after, guint max,
                                       GError **error)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_copy_free);
}

gboolean cst_service_schedule_set_copies(CstService *self, const char *name,
                                         const GPtrArray *copies, GError **error)
{
    fake.mutations++;
    return TRUE;
}

gboolean cst_service_schedule_forget_copies(CstService *self, const int64_t *ids, guint count,
                                            GError **error)
{
    fake.mutations++;
    return TRUE;
}
