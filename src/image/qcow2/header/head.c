/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads, composes and writes the first cluster of an image. head.h describes the state of the disk
 * after each step.
 *
 * head_compose() lays out fields, extensions and the backing image's name in memory. lay_out()
 * compares the result with the first cluster on the disk. After the first sector, bytes that the
 * old header uses must not change before that sector does. A name in such bytes is moved first, by
 * a change of its own. An extension in such bytes makes the change impossible. head_put() writes
 * the content after the first sector, then that sector between two barriers.
 */
#include "head.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

#define EXTENSION_HEAD    8u   /* type and length; a type of 0 ends the extensions */
#define V3_LENGTH_WRITTEN 112u /* of a new header: up to and with the compression type, padded */

/* --- names of features ----------------------------------------------------------------------- */

typedef enum { INCOMPATIBLE, COMPATIBLE, AUTOCLEAR } FeatureKind;

/* An entry of the format's table of feature names, with the names of QEMU. */
typedef struct {
    uint8_t kind;
    uint8_t bit;
    char name[46]; /* padded with NUL bytes */
} Feature;

G_STATIC_ASSERT(sizeof(Feature) == 48);

static const Feature features[] = {
    {INCOMPATIBLE, 0, "dirty bit"},
    {INCOMPATIBLE, 1, "corrupt bit"},
    {INCOMPATIBLE, 2, "external data file"},
    {INCOMPATIBLE, 3, "compression type"},
    {INCOMPATIBLE, 4, "extended L2 entries"},
    {COMPATIBLE, 0, "lazy refcounts"},
    {AUTOCLEAR, 0, "bitmaps"},
    {AUTOCLEAR, 1, "raw external data"},
};

/* --- parsing --------------------------------------------------------------------------------- */

static void clear_extension(void *data)
{
    g_bytes_unref(((Qcow2HeadExtension *)data)->data);
}

void qcow2_head_init(Qcow2Head *head, const Qcow2Header *header, uint64_t bytes)
{
    memset(head, 0, sizeof(*head));
    head->header = *header;
    head->bytes = bytes;
    head->extensions = g_array_new(FALSE, FALSE, sizeof(Qcow2HeadExtension));
    g_array_set_clear_func(head->extensions, clear_extension);
}

void qcow2_head_clear(Qcow2Head *head)
{
    g_clear_pointer(&head->raw, g_free);
    g_clear_pointer(&head->extensions, g_array_unref);
    g_clear_pointer(&head->name, g_bytes_unref);
}

static void head_append(Qcow2Head *head, uint32_t type, const void *data, size_t len, uint64_t at)
{
    const Qcow2HeadExtension extension = {type, g_bytes_new(data, len), at};

    g_array_append_val(head->extensions, extension);
}

/* Reads the extensions. They end with a mark, or at the name of the backing image. */
static gboolean read_extensions(Qcow2Head *head, GError **error)
{
    const Qcow2Header *header = &head->header;
    uint64_t limit = head->bytes, at = header->length;

    if (header->backing_offset)
        limit = MIN(limit, header->backing_offset);
    while (at + EXTENSION_HEAD <= limit && cst_be32(head->raw + at) != QCOW2_EXT_END) {
        uint32_t len = cst_be32(head->raw + at + 4);

        if (cst_round_up(len, 8) > limit - at - EXTENSION_HEAD)
            return qcow2_corrupt(head->q, error, _("a header extension is too long"));
        head_append(head, cst_be32(head->raw + at), head->raw + at + EXTENSION_HEAD, len, at);
        at += EXTENSION_HEAD + cst_round_up(len, 8);
    }
    head->old_end = at;
    return TRUE;
}

/* Opening the image has checked the header, which bounds the reads here. */
gboolean qcow2_head_read(Qcow2Head *head, Qcow2 *q, GError **error)
{
    const Qcow2Header *header = &q->header;
    uint64_t size = 0;

    qcow2_head_init(head, header, MIN(q->cluster_size, QCOW2_HEADER_AREA));
    head->q = q;
    head->raw = cst_alloc0(head->bytes, 1, q->blocks.blob->name, error);
    if (!head->raw || !cst_blob_get_size(q->blocks.blob, &size, error) ||
        !cst_blob_pread(q->blocks.blob, head->raw, MIN(head->bytes, size), 0, error) ||
        !read_extensions(head, error))
        return FALSE;
    if (header->backing_offset == 0 || header->backing_size == 0)
        return TRUE;
    if (header->backing_offset + header->backing_size > head->bytes)
        return qcow2_corrupt(q, error, _("the backing file's name is out of place"));
    head->name = g_bytes_new(head->raw + header->backing_offset, header->backing_size);
    return TRUE;
}

/* --- changing -------------------------------------------------------------------------------- */

/* Returns the index of the last extension of @type, which is the valid one; -1 if none exists. */
static int index_of(const Qcow2Head *head, uint32_t type)
{
    int i = (int)head->extensions->len - 1;

    while (i >= 0 && g_array_index(head->extensions, Qcow2HeadExtension, i).type != type)
        i--;
    return i;
}

const Qcow2HeadExtension *qcow2_head_find(const Qcow2Head *head, uint32_t type)
{
    int i = index_of(head, type);

    return i < 0 ? NULL : &g_array_index(head->extensions, Qcow2HeadExtension, i);
}

static void remove_all(Qcow2Head *head, uint32_t type)
{
    for (int i = index_of(head, type); i >= 0; i = index_of(head, type))
        g_array_remove_index(head->extensions, (guint)i);
}

void qcow2_head_set(Qcow2Head *head, uint32_t type, const void *data, size_t len)
{
    int before = index_of(head, type);
    Qcow2HeadExtension extension;

    remove_all(head, type);
    if (!data)
        return;
    extension = (Qcow2HeadExtension){type, g_bytes_new(data, len), 0};
    g_array_insert_val(head->extensions, CLAMP(before, 0, (int)head->extensions->len), extension);
}

void qcow2_head_set_text(Qcow2Head *head, uint32_t type, const char *text)
{
    qcow2_head_set(head, type, text, text ? strlen(text) : 0);
}

void qcow2_head_name_features(Qcow2Head *head)
{
    remove_all(head, QCOW2_EXT_FEATURES);
    if (head->header.version >= 3)
        head_append(head, QCOW2_EXT_FEATURES, features, sizeof(features), 0);
}

void qcow2_head_set_backing(Qcow2Head *head, const char *name)
{
    g_clear_pointer(&head->name, g_bytes_unref);
    if (name)
        head->name = g_bytes_new(name, strlen(name));
}

/* --- composing ------------------------------------------------------------------------------- */

/* A header that is being composed. */
typedef struct {
    uint8_t *raw; /* head->bytes bytes */
    uint64_t end; /* offset after the mark that ends the extensions */
    uint64_t name_at, name_len;
} Layout;

static void layout_clear(Layout *layout)
{
    g_clear_pointer(&layout->raw, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Layout, layout_clear)

static void put_extension(Layout *layout, uint32_t type, GBytes *data)
{
    size_t len = 0;
    const void *bytes = data ? g_bytes_get_data(data, &len) : NULL;

    cst_put_be32(layout->raw + layout->end, type);
    cst_put_be32(layout->raw + layout->end + 4, (uint32_t)len);
    if (len > 0)
        memcpy(layout->raw + layout->end + EXTENSION_HEAD, bytes, len);
    layout->end += EXTENSION_HEAD + cst_round_up(len, 8);
}

static uint64_t extensions_length(const Qcow2Head *head)
{
    uint64_t total = EXTENSION_HEAD;

    for (guint i = 0; i < head->extensions->len; i++) {
        const Qcow2HeadExtension *extension =
            &g_array_index(head->extensions, Qcow2HeadExtension, i);

        total += EXTENSION_HEAD + cst_round_up(g_bytes_get_size(extension->data), 8);
    }
    return total;
}

/* Keeps the length of an existing header, which may be longer than the known fields. */
static uint32_t header_length(const Qcow2Head *head)
{
    if (head->header.version == 2)
        return QCOW2_V2_LENGTH;
    return head->q && head->q->header.version >= 3 ? head->q->header.length : V3_LENGTH_WRITTEN;
}

/* Returns the offset for the name. The name may be anywhere, so it keeps its position unless
 * extensions need it. */
static uint64_t place_name(const Qcow2Head *head, const Layout *layout)
{
    uint64_t at = cst_round_up(layout->end, 8), old, old_end;

    if (!head->raw)
        return at;
    old = head->q->header.backing_offset;
    old_end = old + head->q->header.backing_size;
    if (old >= layout->end && layout->name_len == head->q->header.backing_size &&
        memcmp(head->raw + old, g_bytes_get_data(head->name, NULL), layout->name_len) == 0)
        return old;
    /* in the first sector the new name may overlap the old one, because both change at once */
    if (at + layout->name_len > QCOW2_SECTOR && at < MAX(old_end, head->old_end + EXTENSION_HEAD))
        at = cst_round_up(MAX(MAX(old_end, head->old_end + EXTENSION_HEAD), layout->end), 8);
    return at;
}

static gboolean too_long(const Qcow2Head *head, GError **error)
{
    if (!head->q)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the name of the backing image, or of the data file, is too long for the "
                          "image's header"));
    return cst_fail(error, CST_ERROR_LIMIT,
                    _("the name of the backing image is too long for the header of '%s'"),
                    head->q->blocks.blob->name);
}

static gboolean fail_layout(const Qcow2Head *head, GError **error)
{
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("the header of '%s' has no room where it could be changed safely; convert "
                      "the image instead"),
                    head->q->blocks.blob->name);
}

/* Composes the first cluster. Writes the name's position last, because it depends on the
 * extensions. */
static gboolean head_compose(Qcow2Head *head, Layout *layout, GError **error)
{
    Qcow2Header *header = &head->header;

    header->length = header_length(head);
    layout->raw = g_malloc0(head->bytes);
    if (head->raw && header->version == head->q->header.version)
        memcpy(layout->raw, head->raw, header->length);
    layout->end = header->length;
    if (header->length + extensions_length(head) > head->bytes)
        return head->q ? fail_layout(head, error) : too_long(head, error);
    qcow2_header_encode(header, layout->raw);
    memset(layout->raw + header->length, 0, EXTENSION_HEAD);
    for (guint i = 0; i < head->extensions->len; i++) {
        const Qcow2HeadExtension *extension =
            &g_array_index(head->extensions, Qcow2HeadExtension, i);

        put_extension(layout, extension->type, extension->data);
    }
    put_extension(layout, QCOW2_EXT_END, NULL);
    header->backing_offset = header->backing_size = 0;
    if (head->name) {
        layout->name_len = g_bytes_get_size(head->name);
        layout->name_at = place_name(head, layout);
        if (layout->name_len > QCOW2_MAX_BACKING_NAME ||
            layout->name_at + layout->name_len > head->bytes)
            return too_long(head, error);
        memcpy(layout->raw + layout->name_at, g_bytes_get_data(head->name, NULL), layout->name_len);
        header->backing_offset = layout->name_at;
        header->backing_size = (uint32_t)layout->name_len;
    }
    cst_put_be64(layout->raw + QCOW2_AT_BACKING_OFFSET, header->backing_offset);
    cst_put_be32(layout->raw + QCOW2_AT_BACKING_SIZE, header->backing_size);
    return TRUE;
}

uint8_t *qcow2_head_pack(Qcow2Head *head, size_t *ret_len, GError **error)
{
    g_auto(Layout) layout = {0};

    if (!head_compose(head, &layout, NULL)) {
        layout_clear(&layout);
        remove_all(head, QCOW2_EXT_FEATURES);
        if (!head_compose(head, &layout, error))
            return NULL;
    }
    *ret_len = MAX(layout.end, layout.name_at + layout.name_len);
    return g_steal_pointer(&layout.raw);
}

/* --- writing --------------------------------------------------------------------------------- */

static gboolean is_old_name(const Qcow2Head *head, uint64_t at)
{
    const Qcow2Header *old = &head->q->header;

    return at >= old->backing_offset && at < old->backing_offset + old->backing_size;
}

typedef enum { NOTHING, THE_NAME, EXTENSIONS } InTheWay;

/* Returns which part of the old header would change after the first sector, before that sector
 * does. */
static InTheWay in_the_way(const Qcow2Head *head, const Layout *layout)
{
    InTheWay found = NOTHING;

    for (uint64_t at = QCOW2_SECTOR; at < layout->end; at++) {
        if (head->raw[at] == layout->raw[at])
            continue;
        if (at < head->old_end + EXTENSION_HEAD && !is_old_name(head, at))
            return EXTENSIONS;
        if (is_old_name(head, at))
            found = THE_NAME;
    }
    return found;
}

static gboolean put_behind(const Qcow2Head *head, const Layout *layout, uint64_t from, uint64_t end,
                           GError **error)
{
    from = MAX(from, QCOW2_SECTOR);
    return from >= end ||
           cst_blob_pwrite(head->q->blocks.blob, layout->raw + from, end - from, from, error);
}

/* Writes a copy of the old name after all other content, then points the header at it. */
static gboolean move_name(Qcow2Head *head, uint64_t end, GError **error)
{
    Qcow2Header *old = &head->q->header;
    uint64_t used = MAX(head->old_end + EXTENSION_HEAD, old->backing_offset + old->backing_size);
    uint64_t to = cst_round_up(MAX(used, end), 8);
    uint8_t raw[8];

    if (to + old->backing_size > head->bytes)
        return fail_layout(head, error);
    memmove(head->raw + to, head->raw + old->backing_offset, old->backing_size);
    cst_put_be64(raw, to);
    if (!cst_blob_pwrite(head->q->blocks.blob, head->raw + to, old->backing_size, to, error) ||
        !qcow2_put_header(head->q, raw, QCOW2_AT_BACKING_OFFSET, sizeof(raw), error))
        return FALSE;
    cst_put_be64(head->raw + QCOW2_AT_BACKING_OFFSET, to);
    old->backing_offset = to;
    return TRUE;
}

/* Composes the layout. Fails if it would overwrite bytes that the old header uses. */
static gboolean lay_out(Qcow2Head *head, Layout *layout, GError **error)
{
    if (!head_compose(head, layout, error))
        return FALSE;
    if (in_the_way(head, layout) == THE_NAME) {
        if (!move_name(head, layout->end, error))
            return FALSE;
        layout_clear(layout);
        if (!head_compose(head, layout, error))
            return FALSE;
    }
    return in_the_way(head, layout) == NOTHING || fail_layout(head, error);
}

static gboolean head_put(Qcow2Head *head, const Layout *layout, GError **error)
{
    Qcow2 *q = head->q;

    if (!put_behind(head, layout, 0, layout->end, error) ||
        !put_behind(head, layout, layout->name_at, layout->name_at + layout->name_len, error) ||
        !qcow2_put_header(q, layout->raw, 0, MIN(head->bytes, QCOW2_SECTOR), error))
        return FALSE;
    q->header = head->header;
    return TRUE;
}

static gboolean was_refused(const GError *error)
{
    return g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT) ||
           g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED);
}

/* Adds the names of features again if they fit now. Images are valid without them. */
static gboolean append_names(Qcow2 *q, GBytes *names, GError **error)
{
    g_auto(Qcow2Head) head = {0};
    g_auto(Layout) layout = {0};
    g_autoptr(GError) why = NULL;

    if (!qcow2_head_read(&head, q, error))
        return FALSE;
    head_append(&head, QCOW2_EXT_FEATURES, g_bytes_get_data(names, NULL), g_bytes_get_size(names),
                0);
    if (lay_out(&head, &layout, &why))
        return head_put(&head, &layout, error);
    if (was_refused(why))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean write_without_names(Qcow2Head *head, GError **error)
{
    const Qcow2HeadExtension *extension = qcow2_head_find(head, QCOW2_EXT_FEATURES);
    g_autoptr(GBytes) names = g_bytes_ref(extension->data);
    g_auto(Layout) layout = {0};

    remove_all(head, QCOW2_EXT_FEATURES);
    return lay_out(head, &layout, error) && head_put(head, &layout, error) &&
           append_names(head->q, names, error);
}

gboolean qcow2_head_write(Qcow2Head *head, GError **error)
{
    g_auto(Layout) layout = {0};
    g_autoptr(GError) why = NULL;

    remove_all(head, QCOW2_EXT_FILLER);
    if (lay_out(head, &layout, &why))
        return head_put(head, &layout, error);
    if (was_refused(why) && qcow2_head_find(head, QCOW2_EXT_FEATURES))
        return write_without_names(head, error);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}
