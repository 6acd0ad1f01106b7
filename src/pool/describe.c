/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Converts a record to the content of <volume>, without access to the storage. Undeclared
 * references are shown as options of our namespace, and not in the elements that clients act on. A
 * client that follows <backingStore> must not follow a reference that an attacker wrote into an
 * image.
 */
#include <pool/pool.h>

#include <base/url.h>
#include <image/image.h>

static struct timespec from_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* NULL: the technology has no times. */
static CstTimes *describe_times(const CstPoolState *state, const CstVolume *volume)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(state->def->type);
    CstTimes *times;

    if (volume->stamp.mtime_ns == 0 && volume->stamp.ctime_ns == 0 && volume->btime_ns == 0)
        return NULL;
    times = g_new0(CstTimes, 1);

    times->atime = from_ns(volume->atime_ns);
    times->mtime = from_ns(volume->stamp.mtime_ns);
    times->ctime = from_ns(volume->stamp.ctime_ns);
    times->btime = from_ns(volume->btime_ns);
    /* Devices and remote files have no birth time either; libvirt shows it as 0 for them. */
    if (volume->btime_ns == 0 && volume->type != CST_VOL_BLOCK && !info->url_scheme)
        times->btime.tv_nsec = CST_TIME_ABSENT;
    return times;
}

/* Maps the engine's name of an encryption to libvirt's; "default" for unknown names. */
static CstEncryptionFormat encryption_format(const char *name)
{
    static const struct {
        const char *name;
        CstEncryptionFormat format;
    } rows[] = {
        {"luks", CST_ENCRYPTION_LUKS},
        {"luks2", CST_ENCRYPTION_LUKS2},
        {"aes", CST_ENCRYPTION_QCOW},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (g_str_equal(rows[i].name, name))
            return rows[i].format;
    return CST_ENCRYPTION_DEFAULT;
}

/* Adds undeclared properties of the content as options of our namespace. */
static void describe_claims(CstVolDef *def, const CstVolumeExtra *extra)
{
    if (extra->content)
        cst_options_add(&def->options, "content", extra->content);
    if (extra->backing_path && extra->backing_trust == CST_TRUST_NONE) {
        g_autofree char *shown = cst_reference_shown(extra->backing_path);

        cst_options_add(&def->options, "undeclared-backing", shown);
    }
    if (extra->data_file && extra->data_trust == CST_TRUST_NONE) {
        g_autofree char *shown = cst_reference_shown(extra->data_file);

        cst_options_add(&def->options, "undeclared-data-file", shown);
    }
}

/* Copies all members except extents, which are immutable and shared. */
static void describe_extra(CstVolDef *def, const CstVolumeExtra *extra)
{
    def->mark = g_strdup(extra->mark);
    def->compat = g_strdup(extra->compat);
    /* <features> exists since version 1.1 of qcow2. */
    def->has_features = g_strcmp0(extra->compat, "1.1") == 0;
    def->cluster_size = extra->cluster_size;
    def->lazy_refcounts = extra->lazy_refcounts;
    def->extended_l2 = extra->extended_l2;
    if (extra->backing_path && extra->backing_trust != CST_TRUST_NONE)
        def->backing = cst_backing_def_new(extra->backing_path, extra->backing_format);
    def->extents = extra->extents ? g_ptr_array_ref(extra->extents) : NULL;
    def->options = cst_options_copy(extra->options);
    describe_claims(def, extra);
    if (extra->encryption)
        def->encryption = cst_encryption_new(encryption_format(extra->encryption));
}

/* Maps the engine's name of a format to libvirt's. The engine has no format "dir". */
static const char *xml_format(const char *name)
{
    const CstImageFormat *format = name ? cst_image_format_find(name, NULL) : NULL;

    return format ? cst_image_format_xml_name(format) : name;
}

CstVolDef *cst_volume_describe(CstPoolState *state, const CstVolume *volume)
{
    CstVolDef *def = cst_vol_def_new();

    def->type = cst_pool_shown_type(state->def->type, volume->type);
    def->name = g_strdup(volume->name);
    def->path = cst_pool_state_vol_path(state, volume->name);
    def->key = cst_pool_state_vol_key(state, volume);
    def->format = g_strdup(xml_format(volume->format));
    def->capacity = volume->capacity;
    def->allocation = volume->allocation;
    def->physical = volume->physical;
    def->has_capacity = def->has_allocation = TRUE;
    def->has_physical = volume->physical != 0;
    def->perms.mode = volume->mode;
    def->perms.uid = volume->uid;
    def->perms.gid = volume->gid;
    def->times = describe_times(state, volume);
    if (volume->extra)
        describe_extra(def, volume->extra);
    return def;
}
