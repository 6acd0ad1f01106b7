/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "local_private.h"

#include <service/jobs.h>

GPtrArray *cst_local_job_list(gpointer self, gboolean ended, GError **error)
{
    return cst_service_jobs(((CstLocal *)self)->service, ended);
}

CstJobInfo *cst_local_job_info(gpointer self, uint64_t id, GError **error)
{
    return cst_service_job(((CstLocal *)self)->service, id, error);
}

gboolean cst_local_job_cancel(gpointer self, uint64_t id, GError **error)
{
    return cst_service_job_cancel(((CstLocal *)self)->service, id, error);
}

gboolean cst_local_job_set_limit(gpointer self, uint64_t id, uint64_t limit, GError **error)
{
    return cst_service_job_set_limit(((CstLocal *)self)->service, id, limit, error);
}
