/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Collects and opens the chain of an image: the top image, its backing image, and so on. Every file
 * comes from a callback of the caller. This file only decides when to call it.
 *
 * The caller has named the top image. Below it, a reference is followed only from an image with a
 * declared format. The image above, the caller, or a header that rules out raw can declare it. A
 * guest can write the header of any format into a raw disk, and would otherwise choose the next
 * file that is read. A chain that contains itself is not detected; it ends at CST_CHAIN_MAX.
 *
 * Images are opened from the bottom up, each with the guest's view of the image below. The chain
 * keeps only the top image. The views that the operations of this folder open belong to them.
 */
#include "chain.h"

#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/url.h>

#include "format.h"

/** An image of the chain. */
typedef struct {
    CstChain *chain;
    CstBlob *blob;
    CstImageInfo info;
    gboolean declared;   /**< the format is known, and not probed from the content of the image */
    CstImageFiles files; /**< callbacks for its parts */
} Link;

struct CstChain {
    CstChainFiles files;
    GPtrArray *links; /**< of Link; top first */
    GMutex lock; /**< protects parts and written, because each view opens the parts of its images */
    GPtrArray *parts; /**< of CstBlob: opened parts and data files, each file once */
    GArray *written;  /**< struct stat: parts that were opened for writing */
    CstImage *image;  /**< the top image, until guest is created from it */
    CstBlob *guest;
    CstChainCheck check; /**< NULL: the files are not checked */
    gpointer check_data;
};

static void link_free(gpointer data)
{
    Link *link = data;

    cst_image_info_clear(&link->info);
    cst_blob_unref(link->blob);
    g_free(link);
}

/*
 * Adds the file to the chain's files. Several views open it several times. Only the identity of a
 * file that is open for writing is kept, because the descriptor would keep it open.
 */
static void part_remember(CstChain *chain, CstBlob *part)
{
    gboolean known = FALSE;
    struct stat st;

    g_mutex_lock(&chain->lock);
    for (guint i = 0; i < chain->parts->len && !known; i++)
        known = cst_blob_is_same_file(g_ptr_array_index(chain->parts, i), part);
    if (!known)
        g_ptr_array_add(chain->parts, cst_blob_ref(part));
    if (part->writable && fstat(cst_blob_file_fd(part), &st) == 0)
        g_array_append_val(chain->written, st);
    g_mutex_unlock(&chain->lock);
}

gboolean cst_chain_writes(CstChain *chain, CstBlob *blob)
{
    gboolean writes = blob->writable;
    struct stat st;

    if (writes || fstat(cst_blob_file_fd(blob), &st) < 0)
        return writes;
    g_mutex_lock(&chain->lock);
    for (guint i = 0; i < chain->written->len && !writes; i++)
        writes = cst_stat_is_same(&g_array_index(chain->written, struct stat, i), &st);
    g_mutex_unlock(&chain->lock);
    return writes;
}

static CstBlob *link_open_part(Link *link, const char *name, gboolean writable, GError **error)
{
    const CstChainFiles *files = &link->chain->files;

    /* Extents of a VMDK are its parts. A qcow2 image can name any other file as its data. */
    if (link->info.compat && files->open_data)
        return files->open_data(link->blob, name, writable, files->data, error);
    if (link->info.compat && !files->open_backing) {
        g_autofree char *shown = cst_reference_shown(name);

        cst_fail(error, CST_ERROR_DENIED,
                 _("'%s' keeps its data in '%s', which was not to be followed"), link->blob->name,
                 shown);
        return NULL;
    }
    return files->open_part(link->blob, name, writable, files->data, error);
}

static CstBlob *part_open(const char *name, gboolean writable, gpointer data, GError **error)
{
    Link *link = data;
    CstBlob *part = link_open_part(link, name, writable, error);

    if (part)
        part_remember(link->chain, part);
    return part;
}

static CstBlob *part_create(const char *name, gpointer data, GError **error)
{
    Link *link = data;

    return link->chain->files.create_part(link->blob, name, link->chain->files.data, error);
}

/**
 * Inspects @blob (consumed) and appends it to the chain. NULL with @error set; the chain owns the
 * blob even then.
 */
static Link *add_link(CstChain *chain, CstBlob *blob, const CstImageFormat *format, GError **error)
{
    Link *link = g_new0(Link, 1);

    link->chain = chain;
    link->blob = blob;
    link->declared = format != NULL;
    link->files.data = link;
    link->files.open = chain->files.open_part || chain->files.open_data ? part_open : NULL;
    link->files.create = chain->files.create_part ? part_create : NULL;
    g_ptr_array_add(chain->links, link);
    return cst_image_inspect(blob, format, &link->info, error) ? link : NULL;
}

/**
 * Appends the image below @owner. If the header of @owner rules out raw, a guest cannot have faked
 * the format, so the probed format counts as declared.
 */
static Link *add_backing(CstChain *chain, const Link *owner, CstBlob *blob,
                         const CstImageFormat *format, GError **error)
{
    gboolean not_raw = owner->info.backing_not_raw;
    Link *link = add_link(chain, blob, format, error);

    if (link && not_raw && !link->info.format->is_plain)
        link->declared = TRUE;
    return link;
}

/** Opens and appends the image that @link refers to. */
static Link *next_link(CstChain *chain, const Link *link, GError **error)
{
    const CstImageFormat *format = NULL;
    CstBlob *blob;

    if (!link->declared) {
        g_autofree char *shown = cst_reference_shown(link->info.backing);

        cst_fail(
            error, CST_ERROR_DENIED,
            _("'%s' is based on '%s', but its own format was only guessed, and its guest may have "
              "written such content; give the format of each image that refers to other images"),
            link->blob->name, shown);
        return NULL;
    }
    if (chain->links->len >= CST_CHAIN_MAX) {
        cst_fail(error, CST_ERROR_LIMIT,
                 _("the chain of backing files of '%s' is longer than %d images, or is a loop; "
                   "check the backing file of each image, and rebase the wrong one"),
                 cst_chain_blob(chain, 0)->name, CST_CHAIN_MAX);
        return NULL;
    }
    if (link->info.backing_format &&
        !(format = cst_image_format_find(link->info.backing_format, error)))
        return NULL;
    blob = chain->files.open_backing(link->blob, link->info.backing, chain->files.data, error);
    if (blob && chain->files.format_of) {
        const CstImageFormat *known = chain->files.format_of(blob, chain->files.data);

        format = known ? known : format;
    }
    return blob ? add_backing(chain, link, blob, format, error) : NULL;
}

static gboolean chain_collect(CstChain *chain, Link *link, GError **error)
{
    while (link && link->info.backing && chain->files.open_backing)
        link = next_link(chain, link, error);
    return link != NULL;
}

static CstImage *open_link(CstChain *chain, guint index, unsigned flags, const char *snapshot,
                           CstBlob *below, GError **error)
{
    Link *link = g_ptr_array_index(chain->links, index);
    const CstImageOpen how = {
        .flags = flags,
        .snapshot = snapshot,
        .backing = below,
        .files = link->files.open ? &link->files : NULL,
    };

    return cst_image_open_as(link->blob, link->info.format, &how, error);
}

CstImage *cst_chain_open_one(CstChain *chain, guint index, unsigned flags, CstBlob *below,
                             GError **error)
{
    return open_link(chain, index, flags, NULL, below, error);
}

CstBlob *cst_chain_open_view(CstChain *chain, guint index, guint end, CstBlob *bottom,
                             GError **error)
{
    CstBlob *view = bottom ? cst_blob_ref(bottom) : NULL;

    /* From the bottom up: each image gets the guest's view of the one below. */
    for (guint i = end; i-- > index;) {
        CstImage *image = cst_chain_open_one(chain, i, 0, view, error);

        cst_blob_unref(view);
        if (!image)
            return NULL;
        view = cst_image_guest_blob(image);
    }
    return view;
}

gboolean cst_chain_open_below(CstChain *chain, guint index, CstBlob **ret_below, GError **error)
{
    guint end = chain->links->len;

    *ret_below = index + 1 < end ? cst_chain_open_view(chain, index + 1, end, NULL, error) : NULL;
    return *ret_below || index + 1 >= end;
}

gboolean cst_chain_repair_leaks(CstChain *chain, guint index, CstTask *task, GError **error)
{
    Link *link = g_ptr_array_index(chain->links, index);
    CstImageCheck found;

    return cst_image_check_as(link->blob, link->info.format, CST_CHECK_REPAIR_LEAKS,
                              link->files.open ? &link->files : NULL, &found, task, error);
}

void cst_chain_free_leaks(CstChain *chain, const GError *why)
{
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_SPACE) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_IO))
        cst_chain_repair_leaks(chain, 0, NULL, NULL);
}

gboolean cst_chain_check_snapshots(const CstChain *chain, guint end, GError **error)
{
    for (guint i = 0; i < end; i++)
        if (cst_chain_info(chain, i)->snapshots > 0)
            return cst_fail(error, CST_ERROR_STATE,
                            _("'%s' has snapshots, and their content depends on its backing image; "
                              "delete them first"),
                            cst_chain_blob(chain, i)->name);
    return TRUE;
}

gboolean cst_chain_check_writable(const CstChain *chain, guint index, GError **error)
{
    const CstBlob *blob = cst_chain_blob(chain, index);

    return blob->writable ||
           cst_fail(error, CST_ERROR_READ_ONLY, _("'%s' is open for reading only"), blob->name);
}

gboolean cst_chain_open_images(CstChain *chain, unsigned flags, const char *snapshot,
                               GError **error)
{
    g_autoptr(CstBlob) below = NULL;

    if (!cst_chain_open_below(chain, 0, &below, error))
        return FALSE;
    chain->image = open_link(chain, 0, flags, snapshot, below, error);
    return chain->image != NULL;
}

CstBlob *cst_chain_view(CstChain *chain, const char *snapshot, GError **error)
{
    g_autoptr(CstBlob) below = NULL;
    CstImage *image;

    if (!cst_chain_open_below(chain, 0, &below, error))
        return NULL;
    image = open_link(chain, 0, 0, snapshot, below, error);
    return image ? cst_image_guest_blob(image) : NULL;
}

CstChain *cst_chain_look(CstBlob *blob, const CstImageFormat *format, const CstChainFiles *files,
                         GError **error)
{
    g_autoptr(CstChain) chain = g_new0(CstChain, 1);
    Link *top;

    if (files)
        chain->files = *files;
    chain->links = g_ptr_array_new_with_free_func(link_free);
    chain->parts = g_ptr_array_new_with_free_func((GDestroyNotify)cst_blob_unref);
    chain->written = g_array_new(FALSE, FALSE, sizeof(struct stat));
    g_mutex_init(&chain->lock);
    top = add_link(chain, cst_blob_ref(blob), format, error);
    if (!top)
        return NULL;
    /* The caller has named the top image, so its format counts as declared even if it was
     * probed. */
    top->declared = TRUE;
    return chain_collect(chain, top, error) ? g_steal_pointer(&chain) : NULL;
}

CstChain *cst_chain_open(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                         const CstChainFiles *files, GError **error)
{
    g_autoptr(CstChain) chain = cst_chain_look(blob, format, files, error);

    return chain && cst_chain_open_images(chain, flags, NULL, error) ? g_steal_pointer(&chain)
                                                                     : NULL;
}

void cst_chain_free(CstChain *chain)
{
    if (!chain)
        return;
    cst_image_free(chain->image);
    if (chain->guest)
        cst_blob_unref(chain->guest);
    g_ptr_array_unref(chain->links);
    g_ptr_array_unref(chain->parts);
    g_array_unref(chain->written);
    g_mutex_clear(&chain->lock);
    g_free(chain);
}

CstImage *cst_chain_image(CstChain *chain)
{
    return chain->image;
}

CstBlob *cst_chain_guest(CstChain *chain)
{
    if (!chain->guest)
        chain->guest = cst_image_guest_blob(g_steal_pointer(&chain->image));
    return chain->guest;
}

GPtrArray *cst_chain_files(CstChain *chain)
{
    GPtrArray *files = g_ptr_array_new_with_free_func((GDestroyNotify)cst_blob_unref);

    for (guint i = 0; i < chain->links->len; i++)
        g_ptr_array_add(files, cst_blob_ref(cst_chain_blob(chain, i)));
    g_mutex_lock(&chain->lock);
    for (guint i = 0; i < chain->parts->len; i++)
        g_ptr_array_add(files, cst_blob_ref(g_ptr_array_index(chain->parts, i)));
    g_mutex_unlock(&chain->lock);
    return files;
}

guint cst_chain_length(const CstChain *chain)
{
    return chain->links->len;
}

CstBlob *cst_chain_blob(const CstChain *chain, guint index)
{
    return ((const Link *)g_ptr_array_index(chain->links, index))->blob;
}

const CstImageInfo *cst_chain_info(const CstChain *chain, guint index)
{
    return &((const Link *)g_ptr_array_index(chain->links, index))->info;
}

void cst_chain_set_check(CstChain *chain, CstChainCheck check, gpointer data)
{
    chain->check = check;
    chain->check_data = data;
}

gboolean cst_chain_run_check(const CstChain *chain, GError **error)
{
    return !chain->check || chain->check(chain->check_data, error);
}
