/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake service has no tags. */
#include "fake_service.h"

#include <base/error.h>
#include <service/tags.h>

gboolean cst_vol_tag(CstPool *pool, const char *volume, const char *snapshot,
                     const CstTagChange *change, CstTask *task, GError **error)
{
    return fake_changed(error);
}

GPtrArray *cst_pool_tagged(CstPool *pool, const char *volume, const char *after, GError **error)
{
    return fake_works(error) ? g_ptr_array_new_with_free_func((GDestroyNotify)cst_tagged_free)
                             : NULL;
}

void cst_tag_match_free(CstTagMatch *match)
{
}

GPtrArray *cst_service_tag_matches(CstService *self, const char *tag, int64_t *after, CstTask *task,
                                   GError **error)
{
    *after = 0;
    return g_ptr_array_new();
}
