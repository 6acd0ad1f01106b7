/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creates images of all writable subformats. The options are checked, the descriptor is composed,
 * then the files are written. The step that makes a file recognisable comes last: the header of a
 * sparse extent, or the descriptor of an image of several files. So an interrupted creation leaves
 * no image. Only extents in separate files are flushed. Measuring runs the same plan without a
 * file.
 */
#include "create.h"

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/units.h>
#include <blob/steps.h>

#include "space.h"
#include "sparse.h"
#include "table.h"

#define GRAIN_MIN     (8 * CST_KIB) /* "must be greater than 8 sectors" */
#define GRAIN_MAX     (1 * CST_MIB)
#define GRAIN_DEFAULT (64 * CST_KIB)

typedef struct {
    const char *name;
    const char *type;  /* type of the extents */
    const char *infix; /* part of the extents' file names; NULL: the image is one file */
    gboolean is_split;
} Subformat;

static const Subformat subformats[] = {
    {"monolithicSparse", "SPARSE", NULL, FALSE},    {"monolithicFlat", "FLAT", "flat", FALSE},
    {"twoGbMaxExtentSparse", "SPARSE", "s", TRUE},  {"twoGbMaxExtentFlat", "FLAT", "f", TRUE},
    {VMDK_STREAM_OPTIMIZED, "SPARSE", NULL, FALSE},
};

typedef struct {
    const CstImageFormat *format;
    CstBlob *blob;
    const CstImageCreate *options;
    const Subformat *subformat;
    uint64_t grain; /* sectors */
    const char *adapter, *hw_version;
    char *name; /* of the image's file */
    char *stem; /* name without ".vmdk" */
    VmdkDescriptor descriptor;
    CstTask *task;
} Creation;

static void creation_clear(Creation *creation)
{
    g_free(creation->name);
    g_free(creation->stem);
    vmdk_descriptor_clear(&creation->descriptor);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Creation, creation_clear)

/* --- options --------------------------------------------------------------------------------- */

static const Subformat *find_subformat(const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(subformats); i++)
        if (!name || strcmp(subformats[i].name, name) == 0)
            return &subformats[i];
    cst_fail(error, CST_ERROR_INVALID, _("unknown VMDK subformat '%s'"), name);
    return NULL;
}

static gboolean check_adapter(const char *name, GError **error)
{
    static const char *const names[] = {"ide", "buslogic", "lsilogic", "legacyESX", NULL};

    return g_strv_contains(names, name) ||
           cst_fail(error, CST_ERROR_INVALID, _("unknown VMDK adapter type '%s'"), name);
}

gboolean vmdk_is_quotable(const char *text)
{
    return strpbrk(text, "\"\r\n") == NULL;
}

static gboolean is_plain(const Creation *creation)
{
    return strcmp(creation->subformat->type, "FLAT") == 0;
}

gboolean vmdk_is_stream(const char *create_type)
{
    return g_strcmp0(create_type, VMDK_STREAM_OPTIMIZED) == 0;
}

static gboolean parse_backing(Creation *creation, GError **error)
{
    const CstImageCreate *options = creation->options;
    CstImage *parent;

    creation->descriptor.parent_cid = VMDK_NO_PARENT;
    if (!options->backing)
        return TRUE;
    if (is_plain(creation) || vmdk_is_stream(creation->subformat->name))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a VMDK image of subformat '%s' can't have a backing image"),
                        creation->subformat->name);
    parent = options->backing_guest ? cst_guest_image(options->backing_guest) : NULL;
    if (strcmp(options->backing_format, "vmdk") != 0 ||
        (parent && parent->format != creation->format))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the backing image of a VMDK image must be a VMDK image"));
    if (!parent)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the content ID of backing image '%s' is not known"), options->backing);
    if (!vmdk_is_quotable(options->backing) || strlen(options->backing) >= 4096)
        return cst_fail(error, CST_ERROR_INVALID, _("the backing image's name can't be stored"));
    creation->descriptor.parent = g_strdup(options->backing);
    creation->descriptor.parent_cid = vmdk_of(parent)->descriptor.cid;
    return TRUE;
}

static gboolean parse_name(Creation *creation, GError **error)
{
    const char *name = creation->options->file_name;

    if (name)
        creation->name = g_strdup(name);
    else /* without a file the image is only measured, so any name will do */
        creation->name = g_path_get_basename(creation->blob ? creation->blob->name : "disk.vmdk");
    if (creation->subformat->infix) {
        if (!cst_name_check(creation->name, _("VMDK image"), error))
            return FALSE;
        if (!vmdk_is_quotable(creation->name))
            return cst_fail(error, CST_ERROR_INVALID, _("the image's name can't be stored"));
    } else if (!vmdk_is_quotable(creation->name)) { /* the name is informational only */
        g_free(creation->name);
        creation->name = g_strdup("disk.vmdk");
    }
    creation->stem = g_strdup(creation->name);
    if (g_str_has_suffix(creation->stem, ".vmdk"))
        creation->stem[strlen(creation->stem) - strlen(".vmdk")] = '\0';
    return TRUE;
}

/* Parses the options for features of the descriptor and the extents. */
static gboolean parse_features(Creation *creation, GError **error)
{
    const CstImageCreate *options = creation->options;
    guint64 number;

    creation->hw_version = options->hw_version ? options->hw_version : "4";
    if (!g_ascii_string_to_unsigned(creation->hw_version, 10, 1, 9999, &number, NULL))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' is no version of VMware's virtual hardware"), creation->hw_version);
    return !options->zeroed_grain ||
           !(is_plain(creation) || vmdk_is_stream(creation->subformat->name)) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("a VMDK image of subformat '%s' can't have zeroed grains"),
                    creation->subformat->name);
}

static gboolean parse_options(Creation *creation, GError **error)
{
    const CstImageCreate *options = creation->options;
    uint64_t grain = options->cluster_size ? options->cluster_size : GRAIN_DEFAULT;

    creation->subformat = find_subformat(options->subformat, error);
    creation->adapter = options->adapter_type ? options->adapter_type : "ide";
    if (!creation->subformat || !check_adapter(creation->adapter, error))
        return FALSE;
    if (!cst_is_power_of_two(grain, GRAIN_MIN, GRAIN_MAX))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the grain size must be a power of two between 8 KiB and 1 MiB"));
    if (options->cluster_size && is_plain(creation))
        return cst_fail(error, CST_ERROR_INVALID, _("a VMDK image of subformat '%s' has no grains"),
                        creation->subformat->name);
    if (options->preallocation != CST_PREALLOC_OFF &&
        (options->backing || vmdk_is_stream(creation->subformat->name)))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a stream-optimized VMDK image, or one with a backing image, can't be "
                          "preallocated"));
    creation->grain = grain / VMDK_SECTOR;
    creation->descriptor.cid = vmdk_new_cid(0);
    creation->descriptor.create_type = g_strdup(creation->subformat->name);
    return parse_features(creation, error) && parse_backing(creation, error) &&
           parse_name(creation, error);
}

/* --- one sparse extent ------------------------------------------------------------------------ */

/*
 * Layout: header, text, redundant directory and its tables, directory and its tables, grains. All
 * tables exist from the start, because other programs expect them; they are holes of the file.
 */
static void plan_sparse(VmdkHeader *header)
{
    uint64_t directory = vmdk_header_directory_len(header);
    uint64_t tables = vmdk_header_tables(header) * vmdk_header_table_len(header);

    header->rgd = 1 + header->descriptor_len;
    header->gd = header->rgd + directory + tables;
    header->overhead = cst_div_up(header->gd + directory + tables, header->grain) * header->grain;
}

static gboolean write_tables(CstBlob *blob, const VmdkHeader *header, GError **error)
{
    uint64_t directory = vmdk_header_directory_len(header), len = vmdk_header_table_len(header);
    uint64_t count = vmdk_header_tables(header);

    return vmdk_write_directory(blob, header->rgd, 0, count, header->rgd + directory, len, error) &&
           vmdk_write_directory(blob, header->gd, 0, count, header->gd + directory, len, error);
}

static gboolean sparse_header(uint64_t sectors, uint64_t grain, const char *text, gboolean zeroed,
                              VmdkHeader *ret_header, GError **error)
{
    VmdkHeader header = {.version = zeroed ? 2 : 1,
                         .flags = VMDK_FLAG_NEWLINES | VMDK_FLAG_REDUNDANT |
                                  (zeroed ? VMDK_FLAG_ZERO_GRAINS : 0),
                         .capacity = sectors,
                         .grain = grain,
                         .gtes = VMDK_MAX_GTES};

    if (text) {
        header.descriptor = 1;
        header.descriptor_len = VMDK_TEXT_SECTORS;
        if (strlen(text) > VMDK_TEXT_SECTORS * VMDK_SECTOR)
            return cst_fail(error, CST_ERROR_INVALID, _("the VMDK descriptor is too long"));
    }
    plan_sparse(&header);
    if (vmdk_header_problem(&header) || header.overhead >= VMDK_FILE_SECTORS)
        return cst_fail(error, CST_ERROR_INVALID, _("a VMDK image can't be as large as that"));
    *ret_header = header;
    return TRUE;
}

gboolean vmdk_sparse_create(CstBlob *blob, uint64_t sectors, uint64_t grain, const char *text,
                            gboolean zero_grains, GError **error)
{
    gboolean zeroed = FALSE;
    VmdkHeader header;

    if (!sparse_header(sectors, grain, text, zero_grains, &header, error))
        return FALSE;
    if (!cst_space_reset(blob, header.overhead * VMDK_SECTOR, &zeroed, error) ||
        (!zeroed &&
         !cst_blob_zero(blob, 0, header.overhead * VMDK_SECTOR, CST_ZERO_MAY_UNMAP, error)))
        return FALSE;
    return write_tables(blob, &header, error) &&
           (!text || cst_blob_pwrite(blob, text, strlen(text), VMDK_SECTOR, error)) &&
           vmdk_write_header(blob, &header, error);
}

static gboolean make_sparse(Creation *creation, CstBlob *blob, uint64_t sectors, const char *text,
                            GError **error)
{
    const VmdkExtentHow how = {.image = {.flags = CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS}};
    VmdkExtent *extent;
    gboolean ok;

    if (!vmdk_sparse_create(blob, sectors, creation->grain, text, creation->options->zeroed_grain,
                            error))
        return FALSE;
    if (creation->options->preallocation == CST_PREALLOC_OFF)
        return TRUE;
    extent = vmdk_sparse_open(cst_blob_ref(blob), &how, error);
    if (!extent)
        return FALSE;
    ok = vmdk_sparse_preallocate(vmdk_sparse_of(extent), 0, extent->length,
                                 creation->options->preallocation, creation->task, error) &&
         extent->ops->write_back(extent, error);
    extent->ops->close(extent);
    return ok;
}

/* --- the image -------------------------------------------------------------------------------- */

static gboolean make_plain(Creation *creation, CstBlob *blob, uint64_t sectors, GError **error)
{
    uint64_t length = sectors * VMDK_SECTOR;
    gboolean zeroed = FALSE;

    return cst_space_reset(blob, length, &zeroed, error) &&
           (zeroed ||
            cst_blob_zero_steps(blob, 0, length, CST_ZERO_MAY_UNMAP, creation->task, error)) &&
           cst_space_preallocate(blob, 0, length, creation->options->preallocation, creation->task,
                                 error);
}

static char *extent_name(const Creation *creation, guint index)
{
    if (!creation->subformat->is_split)
        return g_strdup_printf("%s-%s.vmdk", creation->stem, creation->subformat->infix);
    return g_strdup_printf("%s-%s%03u.vmdk", creation->stem, creation->subformat->infix, index + 1);
}

static void plan_extents(Creation *creation)
{
    uint64_t left = creation->options->capacity / VMDK_SECTOR;
    uint64_t most = creation->subformat->is_split ? VMDK_SPLIT_SECTORS : G_MAXUINT64;
    guint count = 0;

    if (!creation->subformat->infix) {
        vmdk_descriptor_add(&creation->descriptor, left, creation->subformat->type, creation->name);
        return;
    }
    do {
        g_autofree char *name = extent_name(creation, count++);
        uint64_t sectors = MIN(left, most);

        vmdk_descriptor_add(&creation->descriptor, sectors, creation->subformat->type, name);
        left -= sectors;
    } while (left > 0 && count < VMDK_MAX_EXTENTS + 1);
}

static gboolean make_extent(Creation *creation, const VmdkLine *line, GError **error)
{
    const CstImageFiles *files = creation->options->files;
    g_autoptr(CstBlob) blob = NULL;

    if (!cst_name_check(line->file, _("VMDK extent"), error))
        return FALSE;
    blob = files->create(line->file, files->data, error);
    if (!blob)
        return FALSE;
    return (is_plain(creation) ? make_plain(creation, blob, line->sectors, error)
                               : make_sparse(creation, blob, line->sectors, NULL, error)) &&
           cst_blob_flush(blob, error);
}

/* The descriptor is written last, because it makes the files an image. */
static gboolean make_files(Creation *creation, const char *text, GError **error)
{
    const CstImageFiles *files = creation->options->files;
    const VmdkDescriptor *d = &creation->descriptor;
    gboolean zeroed = FALSE;

    if (!files || !files->create)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("a VMDK image of subformat '%s' is several files, which can't be made "
                          "here"),
                        creation->subformat->name);
    /* More than VMDK_MAX_EXTENTS extents have lines that exceed this length as well. */
    if (strlen(text) > VMDK_MAX_DESCRIPTOR)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a VMDK image in files of 2 GiB can't be as large as that"));
    for (guint i = 0; i < d->lines->len; i++)
        if (!make_extent(creation, vmdk_descriptor_line(d, i), error))
            return FALSE;
    return cst_space_reset(creation->blob, 0, &zeroed, error) &&
           cst_blob_pwrite(creation->blob, text, strlen(text), 0, error);
}

gboolean vmdk_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                     CstTask *task, GError **error)
{
    g_auto(Creation) creation = {.format = format, .blob = blob, .options = options, .task = task};
    g_autofree char *text = NULL;
    uint64_t sectors = options->capacity / VMDK_SECTOR;

    if (!parse_options(&creation, error))
        return FALSE;
    plan_extents(&creation);
    text = vmdk_descriptor_compose(&creation.descriptor, creation.adapter, creation.hw_version);
    if (creation.subformat->infix)
        return make_files(&creation, text, error);
    if (vmdk_is_stream(creation.subformat->name))
        return vmdk_stream_create(blob, sectors, creation.grain, text, error);
    return make_sparse(&creation, blob, sectors, text, error);
}

/* --- measuring -------------------------------------------------------------------------------- */

/* Computes the metadata of all extents of an image whose grains are not compressed. */
static gboolean measure_meta(const Creation *creation, const char *text, uint64_t *ret_meta,
                             GError **error)
{
    gboolean is_one = !creation->subformat->infix;
    uint64_t meta = is_one ? 0 : strlen(text);

    for (guint i = 0; !is_plain(creation) && i < creation->descriptor.lines->len; i++) {
        const VmdkLine *line = vmdk_descriptor_line(&creation->descriptor, i);
        VmdkHeader header;

        if (!sparse_header(line->sectors, creation->grain, is_one ? text : NULL, FALSE, &header,
                           error))
            return FALSE;
        meta += header.overhead * VMDK_SECTOR;
    }
    *ret_meta = meta;
    return TRUE;
}

gboolean vmdk_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error)
{
    const CstImageCreate *options = measuring->options;
    g_auto(Creation) creation = {.format = measuring->format, .options = options};
    uint64_t used = 0, total, grain, meta = 0;
    g_autofree char *text = NULL;

    if (!parse_options(&creation, error))
        return FALSE;
    grain = creation.grain * VMDK_SECTOR;
    total = cst_div_up(options->capacity, grain);
    plan_extents(&creation);
    text = vmdk_descriptor_compose(&creation.descriptor, creation.adapter, creation.hw_version);
    if (!cst_measuring_count(measuring, grain, &used, error))
        return FALSE;
    if (vmdk_is_stream(creation.subformat->name))
        return vmdk_stream_measure(options->capacity / VMDK_SECTOR, creation.grain, used,
                                   ret_measure, error);
    if (!measure_meta(&creation, text, &meta, error))
        return FALSE;
    if (options->preallocation != CST_PREALLOC_OFF)
        used = total;
    *ret_measure = is_plain(&creation) ? cst_measure_of(meta + options->capacity, 0, 0, 0)
                                       : cst_measure_of(meta, used, total, grain);
    return TRUE;
}
