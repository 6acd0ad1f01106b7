/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pool/volume.h>

#include <string.h>

CstVolume *cst_volume_new(const char *name)
{
    size_t len = strlen(name) + 1;
    CstVolume *volume = g_malloc0(sizeof(*volume) + len);

    volume->refs = 1;
    memcpy(volume->name, name, len);
    return volume;
}

CstVolume *cst_volume_ref(CstVolume *volume)
{
    g_atomic_int_inc(&volume->refs);
    return volume;
}

static void extra_free(CstVolumeExtra *extra)
{
    if (!extra)
        return;
    g_free(extra->key);
    g_free(extra->backing_path);
    g_free(extra->backing_format);
    g_free(extra->encryption);
    g_free(extra->compat);
    g_free(extra->problem);
    g_clear_pointer(&extra->extents, g_ptr_array_unref);
    g_clear_pointer(&extra->options, g_ptr_array_unref);
    g_free(extra);
}

void cst_volume_unref(CstVolume *volume)
{
    if (!volume || !g_atomic_int_dec_and_test(&volume->refs))
        return;
    extra_free(volume->extra);
    g_free(volume);
}

CstVolumeExtra *cst_volume_extra(CstVolume *volume)
{
    if (!volume->extra)
        volume->extra = g_new0(CstVolumeExtra, 1);
    return volume->extra;
}

const char *cst_volume_problem(const CstVolume *volume)
{
    return volume->extra ? volume->extra->problem : NULL;
}

gboolean cst_volume_stamp_equal(const CstVolumeStamp *a, const CstVolumeStamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}
