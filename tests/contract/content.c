/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

#include <image/image.h>

/* --- volumes ---------------------------------------------------------------------------------- */

char *volume_xml(const Site *site, const char *name, uint64_t size)
{
    return g_strdup_printf("<volume><name>%s</name><capacity>%" G_GUINT64_FORMAT "</capacity>"
                           "<target><format type='%s'/></target></volume>",
                           name, size,
                           site->ground->mark ? site->ground->mark : site->ground->format);
}

char *volume_clone_xml(Site *site, const char *source, const char *name)
{
    g_autofree char *xml = cst_vol_get_xml(site->pool, source, 0, NULL);
    g_autofree char *old = g_strdup_printf("<name>%s</name>", source);
    char *at = strstr(xml, old);

    assert_non_null(at);
    *at = '\0';
    return g_strdup_printf("%s<name>%s</name>%s", xml, name, at + strlen(old));
}

void volume_make(Site *site, const char *name, uint64_t size)
{
    g_autofree char *xml = volume_xml(site, name, size);
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;

    cst_vol_create(site->pool, xml, 0, NULL, &made, &error);
    assert_no_error(error);
    assert_string_equal(made, name);
}

uint64_t volume_size(Site *site, const char *name)
{
    g_autoptr(GError) error = NULL;
    CstVolInfo info = {0};

    cst_vol_get_info(site->pool, name, &info, &error);
    assert_no_error(error);
    return info.capacity;
}

char *volume_names(Site *site)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = cst_pool_list_volumes(site->pool, NULL, 0, 0, &error);
    GString *text = g_string_new(NULL);

    assert_no_error(error);
    for (guint i = 0; i < rows->len; i++)
        g_string_append_printf(text, "%s%s", i ? " " : "", ((CstVolRow *)rows->pdata[i])->name);
    return g_string_free(text, FALSE);
}

char *snapshot_names(Site *site, const char *volume)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = cst_vol_snapshots(site->pool, volume, NULL, &error);
    GString *text = g_string_new(NULL);

    assert_no_error(error);
    for (guint i = 0; i < rows->len; i++)
        g_string_append_printf(text, "%s%s", i ? " " : "", ((CstSnapshot *)rows->pdata[i])->name);
    return g_string_free(text, FALSE);
}

void volume_assert_found(Site *site, const char *name)
{
    g_autofree char *path = cst_vol_get_path(site->pool, name, NULL);
    g_autofree char *key = cst_vol_get_key(site->pool, name, NULL);
    g_autofree char *xml = cst_vol_get_xml(site->pool, name, 0, NULL);
    g_autofree char *by_path = NULL;
    g_autofree char *by_key = NULL;
    g_autoptr(CstPool) first = NULL;
    g_autoptr(CstPool) second = NULL;
    g_autoptr(GError) error = NULL;

    assert_non_null(strstr(xml, name));
    cst_service_volume_by_path(site->service, path, &first, &by_path, &error);
    assert_no_error(error);
    assert_string_equal(by_path, name);
    cst_service_volume_by_key(site->service, key, &second, &by_key, &error);
    assert_no_error(error);
    assert_string_equal(by_key, name);
    assert_ptr_equal(first, site->pool);
    assert_ptr_equal(second, site->pool);
}

/* --- content ---------------------------------------------------------------------------------- */

void tag_fill(uint8_t *block, uint32_t tag)
{
    uint64_t word = tag * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < TAG_BLOCK; i += sizeof(word)) {
        memcpy(block + i, &word, sizeof(word));
        word += tag ? UINT64_C(0x100000001b3) * tag : 0;
    }
}

/* An image's content is what its guest sees, whichever way it is stored. */
static CstBlob *open_image(Site *site, const char *volume, gboolean writable)
{
    g_autofree char *path = cst_vol_get_path(site->pool, volume, NULL);
    const CstImageFormat *format = cst_image_format_find(site->ground->format, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) blob =
        site->ground->open ? site->ground->open(cst_pool_name(site->pool), volume, writable, &error)
                           : cst_blob_file_open(path, writable, &error);
    CstImage *image;

    assert_no_error(error);
    image = cst_image_open(blob, format, writable ? CST_IMAGE_WRITE : 0, NULL, &error);
    assert_no_error(error);
    return cst_image_guest_blob(image);
}

static void write_image(Site *site, const char *volume, const uint8_t *block, guint first,
                        guint count)
{
    g_autoptr(CstBlob) blob = open_image(site, volume, TRUE);

    for (guint i = 0; i < count; i++)
        assert_true(
            cst_blob_pwrite(blob, block, TAG_BLOCK, (uint64_t)(first + i) * TAG_BLOCK, NULL));
    assert_true(cst_blob_flush(blob, NULL));
}

static void write_raw(Site *site, const char *volume, const uint8_t *block, guint first,
                      guint count)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstUpload) upload = cst_vol_upload(site->pool, volume, (uint64_t)first * TAG_BLOCK,
                                                 (uint64_t)count * TAG_BLOCK, 0, NULL, &error);

    assert_no_error(error);
    for (guint i = 0; i < count; i++) {
        cst_upload_write(upload, block, TAG_BLOCK, &error);
        assert_no_error(error);
    }
    cst_upload_finish(upload, &error);
    assert_no_error(error);
}

void content_write(Site *site, const char *volume, guint first, guint count, uint32_t tag)
{
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);

    tag_fill(block, tag);
    if (strcmp(site->ground->format, "raw") == 0)
        write_raw(site, volume, block, first, count);
    else
        write_image(site, volume, block, first, count);
}

static uint8_t *read_image(Site *site, const char *volume, size_t *ret_len)
{
    g_autoptr(CstBlob) blob = open_image(site, volume, FALSE);
    uint8_t *content;
    uint64_t size;

    assert_true(cst_blob_get_size(blob, &size, NULL));
    content = g_malloc(MAX(size, 1));
    assert_true(cst_blob_pread(blob, content, size, 0, NULL));
    *ret_len = size;
    return content;
}

static uint8_t *read_raw(Site *site, const char *volume, size_t *ret_len)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstDownload) download = cst_vol_download(site->pool, volume, 0, 0, 0, NULL, &error);
    GByteArray *content = g_byte_array_new();
    g_autofree uint8_t *piece = g_malloc(CST_MIB);
    uint64_t hole;
    size_t len;

    assert_no_error(error);
    do {
        cst_download_read(download, piece, CST_MIB, &len, &hole, &error);
        assert_no_error(error);
        g_byte_array_append(content, piece, (guint)len);
    } while (len > 0);
    *ret_len = content->len;
    return g_byte_array_free(content, FALSE);
}

void content_assert(Site *site, const char *volume, const uint32_t *tags, guint count)
{
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);
    g_autofree uint8_t *content = NULL;
    size_t len;

    content = strcmp(site->ground->format, "raw") == 0 ? read_raw(site, volume, &len)
                                                       : read_image(site, volume, &len);
    assert_int_equal(len, count * TAG_BLOCK);
    for (guint i = 0; i < count; i++) {
        tag_fill(block, tags[i]);
        if (memcmp(content + i * TAG_BLOCK, block, TAG_BLOCK) != 0)
            fail_msg("volume '%s': block %u does not hold %u", volume, i, tags[i]);
    }
}

void content_assert_all(Site *site, const char *volume, uint32_t tag)
{
    guint count = (guint)(volume_size(site, volume) / TAG_BLOCK);
    g_autofree uint32_t *tags = g_new(uint32_t, count);

    for (guint i = 0; i < count; i++)
        tags[i] = tag;
    content_assert(site, volume, tags, count);
}

GByteArray *content_taken(CstDownload *download)
{
    g_autoptr(GError) error = NULL;
    uint64_t hole;
    GByteArray *content = g_byte_array_new();
    g_autofree uint8_t *piece = g_malloc(CST_MIB);
    size_t len;

    do {
        guint before = content->len;

        cst_download_read(download, piece, CST_MIB, &len, &hole, &error);
        assert_no_error(error);
        g_byte_array_append(content, piece, (guint)len);
        if (hole > 0) {
            g_byte_array_set_size(content, (guint)(before + hole));
            memset(content->data + before, 0, hole);
        }
    } while (len > 0 || hole > 0);
    return content;
}

GByteArray *content_sent(Site *site, const char *volume, const char *snapshot)
{
    const CstVolSend what = {.snapshot = snapshot};
    g_autoptr(GError) error = NULL;
    uint64_t capacity = 0;
    g_autoptr(CstDownload) download =
        cst_vol_send(site->pool, volume, &what, NULL, &capacity, &error);
    GByteArray *content;

    assert_no_error(error);
    content = content_taken(download);
    assert_int_equal(content->len, capacity);
    return content;
}
