/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

/* Content as guests see it, sent from one volume and received into a new one. */

#define BLOCKS (VOLUME_SIZE / TAG_BLOCK)

static void assert_sent(const GByteArray *content, const uint32_t *tags)
{
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);

    assert_int_equal(content->len, VOLUME_SIZE);
    for (guint i = 0; i < BLOCKS; i++) {
        tag_fill(block, tags[i]);
        if (memcmp(content->data + i * TAG_BLOCK, block, TAG_BLOCK) != 0)
            fail_msg("block %u is not %u", i, tags[i]);
    }
}

/* A receive into @name that has got the blocks before @count, those with tag 0 as holes. */
static CstUpload *receive(Site *site, const char *name, const uint32_t *tags, guint count)
{
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);
    g_autofree char *xml = volume_xml(site, name, VOLUME_SIZE);
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;
    CstUpload *upload = cst_vol_receive(site->pool, xml, 0, NULL, &made, &error);

    assert_no_error(error);
    assert_string_equal(made, name);
    for (guint i = 0; i < count; i++) {
        tag_fill(block, tags[i]);
        if (tags[i])
            cst_upload_write(upload, block, TAG_BLOCK, &error);
        else
            cst_upload_hole(upload, TAG_BLOCK, &error);
        assert_no_error(error);
    }
    return upload;
}

static void fill_tags(uint32_t *tags)
{
    for (guint i = 0; i < BLOCKS; i++)
        tags[i] = i % 5 == 3 ? 0 : i + 1;
}

/* A volume that is deleted leaves its content where the next one will lie. */
static void leave_old_content(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "old", VOLUME_SIZE);
    content_write(site, "old", 0, BLOCKS, 99);
    cst_vol_delete(site->pool, "old", site_delete_flags(site), NULL, &error);
    assert_no_error(error);
}

/* The end may be left out: it is zeroes, whatever the storage held before. */
static void content_is_received(Site *site)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) content = NULL;
    uint32_t tags[BLOCKS];
    CstUpload *upload;

    leave_old_content(site);
    fill_tags(tags);
    tags[BLOCKS - 2] = tags[BLOCKS - 1] = 0;
    upload = receive(site, "v", tags, BLOCKS - 2);
    cst_upload_finish(upload, &error);
    assert_no_error(error);
    cst_upload_free(upload);
    content_assert(site, "v", tags, BLOCKS);
    content = content_sent(site, "v", NULL);
    assert_sent(content, tags);
    volume_assert_found(site, "v");
}

/*
 * Storage may round a volume's size up. What a deleted volume held there is not shown behind the
 * content.
 */
static void zeroes_follow_what_is_received(Site *site)
{
    const size_t size = VOLUME_SIZE - TAG_BLOCK - 512;
    g_autofree uint8_t *bytes = g_malloc(size);
    g_autofree char *xml = volume_xml(site, "v", size);
    g_autofree char *made = NULL;
    g_autoptr(GByteArray) content = NULL;
    g_autoptr(GError) error = NULL;
    CstUpload *upload;

    leave_old_content(site);
    memset(bytes, 0xaa, size);
    upload = cst_vol_receive(site->pool, xml, 0, NULL, &made, &error);
    assert_no_error(error);
    cst_upload_write(upload, bytes, size, &error);
    cst_upload_finish(upload, &error);
    assert_no_error(error);
    cst_upload_free(upload);
    content = content_sent(site, "v", NULL);
    assert_true(content->len >= size);
    assert_memory_equal(content->data, bytes, size);
    assert_true(cst_bytes_are_zero(content->data + size, content->len - size));
}

/* An unfinished volume is not listed, and its name is reserved. */
static void half_of_it_is_nothing(Site *site)
{
    g_autofree char *xml = volume_xml(site, "v", VOLUME_SIZE);
    g_autofree char *before = site_native(site, "p");
    g_autofree char *after = NULL, *names = NULL, *made = NULL;
    g_autoptr(GError) error = NULL;
    uint32_t tags[BLOCKS];
    CstUpload *upload;

    fill_tags(tags);
    upload = receive(site, "v", tags, 3);
    assert_null(cst_vol_download(site->pool, "v", 0, 0, 0, NULL, &error));
    assert_true(error->code == CST_ERROR_BUSY || error->code == CST_ERROR_NO_VOL);
    g_clear_error(&error);
    cst_upload_free(upload);
    names = volume_names(site);
    assert_string_equal(names, "");
    after = site_native(site, "p");
    assert_string_equal(after, before);
    volume_make(site, "v", VOLUME_SIZE);
    assert_null(cst_vol_receive(site->pool, xml, 0, NULL, &made, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
}

static void more_than_fits_is_refused(Site *site)
{
    g_autofree uint8_t *block = g_malloc0(TAG_BLOCK);
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;
    uint32_t tags[BLOCKS];
    CstUpload *upload;

    fill_tags(tags);
    upload = receive(site, "v", tags, BLOCKS);
    assert_false(cst_upload_write(upload, block, 1, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    assert_false(cst_upload_hole(upload, 1, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    cst_upload_free(upload);
    names = volume_names(site);
    assert_string_equal(names, "");
}

static void a_snapshot_is_sent(Site *site)
{
    g_autoptr(GByteArray) then = NULL, now = NULL;
    g_autoptr(GError) error = NULL;
    uint32_t tags[BLOCKS];

    for (guint i = 0; i < BLOCKS; i++)
        tags[i] = 1;
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    cst_vol_snapshot_create(site->pool, "v", "then", 0, NULL, &error);
    assert_no_error(error);
    content_write(site, "v", 4, 1, 2);
    then = content_sent(site, "v", "then");
    assert_sent(then, tags);
    tags[4] = 2;
    now = content_sent(site, "v", NULL);
    assert_sent(now, tags);
}

/* --- digests, and parts that are written over ------------------------------------------------- */

#define CHUNK (64 * CST_KIB)

/* The digests of @volume, with zeroes for a hole. */
static GByteArray *digests_of(Site *site, const char *volume, const char *snapshot)
{
    const CstVolSend what = {.snapshot = snapshot};
    g_autoptr(GError) error = NULL;
    uint64_t capacity = 0;
    g_autoptr(CstDownload) download =
        cst_vol_digests(site->pool, volume, &what, CHUNK, NULL, &capacity, &error);

    assert_no_error(error);
    assert_int_equal(capacity, VOLUME_SIZE);
    return content_taken(download);
}

static void assert_digests(const GByteArray *digests, const GByteArray *content)
{
    assert_int_equal(digests->len, content->len / CHUNK * 32);
    for (guint i = 0; i < content->len / CHUNK; i++) {
        const uint8_t *chunk = content->data + i * CHUNK;
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        uint8_t wanted[32] = "";
        gsize size = sizeof(wanted);

        g_checksum_update(sum, chunk, CHUNK);
        if (!cst_bytes_are_zero(chunk, CHUNK))
            g_checksum_get_digest(sum, wanted, &size);
        if (memcmp(wanted, digests->data + i * 32, 32) != 0)
            fail_msg("chunk %u has another digest", i);
    }
}

static void digests_are_those_of_the_content(Site *site)
{
    g_autoptr(GByteArray) content = NULL, digests = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS / 2, 7);
    content_write(site, "v", BLOCKS - 1, 1, 9);
    content = content_sent(site, "v", NULL);
    digests = digests_of(site, "v", NULL);
    assert_digests(digests, content);
}

static void patch(Site *site, uint32_t block, uint32_t tag, gboolean finish)
{
    g_autofree uint8_t *bytes = g_malloc(TAG_BLOCK);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstUpload) upload =
        cst_vol_patch(site->pool, "v", block * TAG_BLOCK, 0, NULL, &error);

    assert_no_error(error);
    tag_fill(bytes, tag);
    cst_upload_write(upload, bytes, TAG_BLOCK, &error);
    assert_no_error(error);
    cst_upload_hole(upload, TAG_BLOCK, &error);
    assert_no_error(error);
    if (finish)
        cst_upload_finish(upload, &error);
    assert_no_error(error);
}

/* Bytes outside of the part stay, and so do bytes before an early end. */
static void a_part_is_written_over(Site *site)
{
    g_autofree uint8_t *bytes = g_malloc0(TAG_BLOCK);
    g_autoptr(GError) error = NULL;
    CstUpload *upload;
    uint32_t tags[BLOCKS];

    for (guint i = 0; i < BLOCKS; i++)
        tags[i] = 1;
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    patch(site, 2, 5, TRUE);
    patch(site, BLOCKS - 2, 6, FALSE);
    tags[2] = 5;
    tags[BLOCKS - 2] = 6;
    tags[3] = tags[BLOCKS - 1] = 0;
    content_assert(site, "v", tags, BLOCKS);
    upload = cst_vol_patch(site->pool, "v", VOLUME_SIZE - 1, 0, NULL, &error);
    assert_no_error(error);
    assert_false(cst_upload_write(upload, bytes, 2, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    cst_upload_free(upload);
    content_assert(site, "v", tags, BLOCKS);
}

/* --- other pools ------------------------------------------------------------------------------ */

/* Sends the guest's content of @volume from its present place. */
static void assert_holds(Site *site, CstPool *pool, const char *volume, const uint32_t *tags)
{
    CstPool *own = site->pool;
    g_autoptr(GByteArray) content = NULL;

    site->pool = pool;
    content = content_sent(site, volume, NULL);
    site->pool = own;
    assert_sent(content, tags);
}

/* There and back, through another name; in the end the storage is as it was in the beginning. */
static void a_volume_moves(Site *site)
{
    g_autoptr(CstPool) other = site_make_pool(site, "q");
    g_autofree char *empty = site_native(site, "p"), *empty_q = site_native(site, "q");
    g_autofree char *names = NULL, *after = NULL, *after_q = NULL;
    const CstVolMove there = {.name = "w"}, back = {.name = "v"};
    g_autoptr(GError) error = NULL;
    uint32_t tags[BLOCKS];

    for (guint i = 0; i < BLOCKS; i++)
        tags[i] = i % 3 == 0 ? 0 : 4;
    volume_make(site, "v", VOLUME_SIZE);
    for (guint i = 0; i < BLOCKS; i++)
        content_write(site, "v", i, 1, tags[i]);
    cst_vol_move(site->pool, "v", other, &there, NULL, &error);
    assert_no_error(error);
    names = volume_names(site);
    assert_string_equal(names, "");
    after = site_native(site, "p");
    assert_string_equal(after, empty);
    assert_holds(site, other, "w", tags);
    cst_vol_move(other, "w", site->pool, &back, NULL, &error);
    assert_no_error(error);
    after_q = site_native(site, "q");
    assert_string_equal(after_q, empty_q);
    assert_holds(site, site->pool, "v", tags);
    volume_assert_found(site, "v");
}

/* It is the same one there, and so it is after the next start. */
static void a_move_on_one_storage_is_a_rename(Site *site)
{
    g_autoptr(CstPool) other = site_make_pool(site, "q");
    const CstVolMove there = {.name = "w"}, taken = {.name = "v"};
    g_autofree char *before = NULL, *after = NULL, *mine = NULL, *names = NULL;
    g_autoptr(GError) error = NULL;
    uint32_t tags[BLOCKS];

    for (guint i = 0; i < BLOCKS; i++)
        tags[i] = 3;
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 3);
    before = site->ground->identity("p", "v");
    cst_vol_move(site->pool, "v", other, &there, NULL, &error);
    assert_no_error(error);
    after = site->ground->identity("q", "w");
    assert_string_equal(after, before);
    assert_holds(site, other, "w", tags);
    mine = site_native(site, "p");
    assert_string_equal(mine, "");
    /* A volume with the name is not replaced. */
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 5);
    assert_false(cst_vol_move(other, "w", site->pool, &taken, NULL, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
    content_assert_all(site, "v", 5);
    g_clear_pointer(&other, cst_pool_unref);
    site_restart(site);
    names = volume_names(site);
    assert_string_equal(names, "v");
    other = cst_service_pool_by_name(site->service, "q", &error);
    assert_no_error(error);
    site_wait_active(other);
    assert_holds(site, other, "w", tags);
}

static void assert_backing(CstPool *pool, const char *volume, const char *wanted)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = cst_vol_get_xml(pool, volume, 0, &error);
    const char *backing = xml ? strstr(xml, "<backingStore>") : NULL;

    assert_no_error(error);
    if (!backing || !strstr(backing, wanted))
        fail_msg("no %s in %s", wanted, xml);
}

static void its_snapshots_and_clones_stay(Site *site)
{
    g_autoptr(CstPool) other = site_make_pool(site, "q");
    const CstVolMove same = {0};
    CstPool *own = site->pool;
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;
    uint32_t tags[BLOCKS];

    for (guint i = 0; i < BLOCKS; i++)
        tags[i] = 1;
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS, 1);
    assert_true(cst_vol_snapshot_create(site->pool, "v", "one", 0, NULL, NULL));
    content_write(site, "v", 0, BLOCKS, 2);
    cst_vol_snapshot_clone(site->pool, "v", "one", "clone", NULL, &error);
    assert_no_error(error);
    cst_vol_move(site->pool, "v", other, &same, NULL, &error);
    assert_no_error(error);
    site->pool = other;
    names = snapshot_names(site, "v");
    assert_string_equal(names, "one");
    content_assert_all(site, "v", 2);
    assert_backing(own, "clone", "q/v");
    cst_vol_move(own, "clone", other, &same, NULL, &error);
    assert_no_error(error);
    assert_holds(site, other, "clone", tags);
    cst_vol_snapshot_revert(other, "v", "one", NULL, NULL, &error);
    assert_no_error(error);
    assert_holds(site, other, "v", tags);
    /* The dependent volumes still depend on it. */
    assert_false(cst_vol_delete(other, "v", site_delete_flags(site), NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    site->pool = own;
}

static void what_can_not_go_stays(Site *site)
{
    g_autoptr(CstPool) other = site_make_pool(site, "q");
    const CstVolMove same = {0};
    g_autofree char *names = NULL;
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    assert_false(cst_vol_move(site->pool, "v", site->pool, &same, NULL, &error));
    assert_error(&error, CST_ERROR_INVALID);
    cst_vol_protect(site->pool, "v", TRUE, NULL, &error);
    assert_no_error(error);
    assert_false(cst_vol_move(site->pool, "v", other, &same, NULL, &error));
    assert_error_says(&error, CST_ERROR_STATE, "protected");
    cst_vol_protect(site->pool, "v", FALSE, NULL, &error);
    assert_no_error(error);
    site->ground->hold("p", "v");
    assert_false(cst_vol_move(site->pool, "v", other, &same, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    site->ground->release("p", "v");
    names = volume_names(site);
    assert_string_equal(names, "v");
}

const ContractTest moved_tests[] = {
    {"content is received and sent", content_is_received, 0, NULL},
    {"zeroes follow what is received", zeroes_follow_what_is_received, 0, NULL},
    {"what was received in part is nothing", half_of_it_is_nothing, 0, NULL},
    {"no more is received than fits", more_than_fits_is_refused, 0, NULL},
    {"digests are those of the content", digests_are_those_of_the_content, 0, NULL},
    {"a part is written over", a_part_is_written_over, 0, NULL},
    {"a volume is moved to another pool", a_volume_moves, 0, NULL},
    {"a volume is moved on one storage by a rename", a_move_on_one_storage_is_a_rename,
     GROUND_MOVES, NULL},
    {"a volume is moved with its snapshots, and clones stay", its_snapshots_and_clones_stay,
     GROUND_MOVES_DEPENDENTS, NULL},
    {"what can't go stays", what_can_not_go_stays, 0, NULL},
    {"a snapshot's content is sent", a_snapshot_is_sent, GROUND_SNAPSHOTS, NULL},
    {0},
};
