/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tags of volumes in operations that create, rename, move or delete them.
 *
 * A record is found by the UUID of the pool and the name. A record without a volume has no meaning.
 * It is removed before or after the next volume of its name is created. So a process that is killed
 * between a change of the storage and that of the record does no harm, if the operation has an
 * intent whose replay repeats the latter.
 */
#include "tags.h"

#include <base/log.h>

#include "core/service.h"

void volume_tags_forget(CstPool *pool, const char *name, const char *snapshot)
{
    const CstTagKey key = {pool->uuid, name, snapshot};
    g_autoptr(GError) error = NULL;

    if (!cst_tag_store_forget(pool->service->tags, &key, &error))
        cst_log(CST_LOG_WARNING, "the tags of former volume '%s' stay: %s", name, error->message);
}

gboolean volume_tags_forget_name(CstService *service, const CstUuid *pool, const char *name,
                                 GError **error)
{
    const CstTagKey key = {*pool, name, NULL};

    return cst_tag_store_forget(service->tags, &key, error);
}

gboolean volume_tags_copy(CstService *service, const CstUuid *from, const char *name,
                          const CstUuid *to, const char *new_name, GError **error)
{
    const CstTagKey key = {*from, name, NULL}, target = {*to, new_name, NULL};

    return cst_tag_store_copy(service->tags, &key, &target, error);
}

gboolean volume_tags_move(CstService *service, const CstUuid *from, const char *name,
                          const CstUuid *to, const char *new_name, GError **error)
{
    const CstTagKey key = {*from, name, NULL}, target = {*to, new_name, NULL};

    return cst_tag_store_move(service->tags, &key, &target, error);
}
