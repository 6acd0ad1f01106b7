/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes since a snapshot, as reported by a pool's technology. The technology may create a
 * temporary object for the query, such as a snapshot of the current content. The intent ensures its
 * removal after a crash.
 */
#include "changed.h"

#include <base/error.h>
#include <base/i18n.h>
#include <image/image.h>

#include "core/intent.h"

gboolean volume_changed_outside(const VolumeClaim *claim, const CstVolume *volume,
                                const char *since, const char *until, CstTask *task,
                                CstChanged *changed, GError **error)
{
    CstIntent *intent;
    gboolean told;

    if (volume->format && !cst_image_name_is_plain(volume->format))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("the changes in a %s image since an external snapshot are unknown"),
                        volume->format);
    intent = volume_intent(claim, "changed", error);
    told = intent && cst_pool_state_snapshot_changed(claim->state, volume->name, since, until, task,
                                                     changed, error);
    cst_intent_end(intent);
    return told;
}
