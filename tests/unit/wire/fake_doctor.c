/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake service finds no problems and has no mutes. */
#include "fake_service.h"

#include <service/doctor.h>

GPtrArray *cst_service_doctor(CstService *self, const CstDoctorQuery *query, CstTask *task,
                              char **ret_next, GError **error)
{
    *ret_next = NULL;
    return cst_doctor_findings_new();
}

GPtrArray *cst_service_doctor_mutes(CstService *self, GError **error)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_doctor_mute_free);
}

gboolean cst_service_doctor_mute(CstService *self, const CstDoctorMute *mute, GError **error)
{
    fake.mutations++;
    return TRUE;
}
