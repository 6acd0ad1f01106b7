/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/sparse.h>
#include <image/chain.h>
#include <image/map.h>

/*
 * Chains over blobs in memory: the files that are opened, the permission that each one needs, and
 * the guest's content.
 */

#define SIZE (256 * CST_KIB)

/** The only file that may be opened, and how often it was asked for. */
typedef struct {
    CstBlob *allowed;
    unsigned asked;
} World;

static CstBlob *give(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    World *world = data;

    world->asked++;
    if (strcmp(name, "base") == 0)
        return cst_blob_ref(world->allowed);
    cst_fail(error, CST_ERROR_DENIED, "'%s' is not allowed", name);
    return NULL;
}

static CstBlob *make(const char *format, const char *backing, const char *backing_format)
{
    CstBlob *blob = cst_blob_memory_new(NULL, 0);
    const CstImageCreate options = {
        .capacity = SIZE,
        .backing = backing,
        .backing_format = backing_format,
    };

    assert_true(cst_image_create(blob, cst_image_format_find(format, NULL), &options, NULL, NULL));
    return blob;
}

static CstChain *open_chain(CstBlob *blob, World *world, GError **error)
{
    const CstChainFiles files = {.open_backing = give, .data = world};

    return cst_chain_open(blob, NULL, 0, world ? &files : NULL, error);
}

static void test_guest_sees_the_image_below(void **state)
{
    g_autoptr(CstBlob) base = make("raw", NULL, NULL);
    g_autoptr(CstBlob) top = make("qcow2", "base", "raw");
    World world = {base, 0};
    g_autoptr(CstChain) chain = NULL;
    uint8_t byte = 0;

    assert_true(cst_blob_pwrite(base, "x", 1, 70000, NULL));
    chain = open_chain(top, &world, NULL);
    assert_non_null(chain);
    assert_int_equal(cst_chain_length(chain), 2);
    assert_int_equal(world.asked, 1);
    assert_true(cst_blob_pread(cst_chain_guest(chain), &byte, 1, 70000, NULL));
    assert_int_equal(byte, 'x');
}

static void test_backing_file_is_not_opened_without_permission(void **state)
{
    g_autoptr(CstBlob) top = make("qcow2", "base", "raw");
    g_autoptr(CstBlob) other = make("qcow2", "other", "raw");
    g_autoptr(CstChain) chain = open_chain(top, NULL, NULL);
    g_autoptr(GError) error = NULL;
    World world = {top, 0};
    uint8_t byte;

    assert_int_equal(cst_chain_length(chain), 1);
    assert_false(cst_blob_pread(cst_chain_guest(chain), &byte, 1, 0, NULL));
    assert_null(open_chain(other, &world, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
}

static void test_loop_ends(void **state)
{
    g_autoptr(CstBlob) top = make("qcow2", "base", "qcow2");
    World world = {top, 0};
    g_autoptr(GError) error = NULL;

    assert_null(open_chain(top, &world, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT));
    assert_int_equal(world.asked, CST_CHAIN_MAX - 1); /* with the top one, as many as may be */
}

/** A raw disk whose guest wrote a qcow2 header, below an image that does not declare it as raw. */
static void test_guessed_image_follows_no_reference(void **state)
{
    g_autoptr(CstBlob) guest = make("qcow2", "base", "raw");
    g_autoptr(CstBlob) top = make("qcow2", "base", "raw");
    uint8_t head[512];
    World world = {guest, 0};
    g_autoptr(GError) error = NULL;

    assert_true(cst_blob_pread(top, head, sizeof(head), 0, NULL));
    for (size_t i = 104; i + 4 < sizeof(head); i++)
        if (memcmp(head + i, "\xe2\x79\x2a\xca", 4) == 0)
            head[i] = 1; /* the header extension that declares the format is one unknown now */
    assert_true(cst_blob_pwrite(top, head, sizeof(head), 0, NULL));
    assert_null(open_chain(top, &world, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
    assert_int_equal(world.asked, 1);
}

static const CstImageFormat *know_raw(CstBlob *blob, gpointer data)
{
    return cst_image_format_find("raw", NULL);
}

static const CstImageFormat *know_nothing(CstBlob *blob, gpointer data)
{
    return NULL;
}

/** A format that the caller knows overrides the declaration in the image above. */
static void test_a_known_format_overrules_the_image_above(void **state)
{
    g_autoptr(CstBlob) base = make("qcow2", NULL, NULL);
    g_autoptr(CstBlob) top = make("qcow2", "base", "qcow2");
    World world = {base, 0};
    const CstChainFiles knowing = {.open_backing = give, .format_of = know_raw, .data = &world};
    const CstChainFiles ignorant = {
        .open_backing = give, .format_of = know_nothing, .data = &world};
    g_autoptr(CstChain) raw = cst_chain_open(top, NULL, 0, &knowing, NULL);
    g_autoptr(CstChain) said = cst_chain_open(top, NULL, 0, &ignorant, NULL);

    assert_non_null(raw);
    assert_non_null(said);
    assert_string_equal(cst_image_format_name(cst_chain_info(raw, 1)->format), "raw");
    assert_string_equal(cst_image_format_name(cst_chain_info(said, 1)->format), "qcow2");
}

/** QED declares its backing file as raw, or leaves the format to detection. */
static void test_qed_declares_by_leaving_out(void **state)
{
    g_autoptr(CstBlob) below = make("qed", "base", "qed");
    g_autoptr(CstBlob) upon_qed = make("qed", "base", "qed");
    g_autoptr(CstBlob) upon_raw = make("qed", "base", "raw");
    World world = {below, 0};
    g_autoptr(CstChain) chain = open_chain(upon_raw, &world, NULL);
    g_autoptr(GError) error = NULL;

    assert_int_equal(cst_chain_length(chain), 2);
    assert_null(open_chain(upon_qed, &world, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT)); /* it leads on, to itself */
}

/* --- parts ------------------------------------------------------------------------------------ */

/** An image in two files, and the callback that was asked for the second one. */
typedef struct {
    CstBlob *second;
    char asked; /* 'p': the callback for parts, 'd': for data files; 0: neither */
} Parts;

static CstBlob *make_second(const char *name, gpointer data, GError **error)
{
    Parts *parts = data;

    parts->second = cst_blob_sparse_new(0);
    return cst_blob_ref(parts->second);
}

static CstBlob *give_part(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error)
{
    Parts *parts = data;

    parts->asked = 'p';
    return cst_blob_ref(parts->second);
}

static CstBlob *give_data(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error)
{
    Parts *parts = data;

    parts->asked = 'd';
    return cst_blob_ref(parts->second);
}

/* Any file can be named as the data of a qcow2 image, but an extent belongs to its VMDK image. */
static void test_data_file_needs_more_permission_than_a_part(void **state)
{
    static const struct {
        const char *format;
        CstChainFiles files;
        char asked;
    } cases[] = {
        {"qcow2", {.open_part = give_part, .open_data = give_data, .open_backing = give}, 'd'},
        {"qcow2", {.open_part = give_part, .open_data = give_data}, 'd'},
        {"qcow2", {.open_part = give_part, .open_backing = give}, 'p'},
        {"qcow2", {.open_part = give_part}, 0},
        {"vmdk", {.open_part = give_part, .open_data = give_data}, 'p'},
        {"vmdk", {.open_part = give_part}, 'p'},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        gboolean is_qcow2 = strcmp(cases[i].format, "qcow2") == 0;
        const CstImageFormat *format = cst_image_format_find(cases[i].format, NULL);
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
        CstChainFiles files = cases[i].files;
        g_autoptr(CstChain) chain = NULL;
        g_autoptr(GError) error = NULL;
        Parts parts = {NULL, 0};
        const CstImageFiles making = {.create = make_second, .data = &parts};
        const CstImageCreate options = {.capacity = SIZE,
                                        .data_file = is_qcow2 ? "data" : NULL,
                                        .subformat = is_qcow2 ? NULL : "monolithicFlat",
                                        .files = &making};

        assert_true(cst_image_create(blob, format, &options, NULL, NULL));
        files.data = &parts;
        chain = cst_chain_open(blob, format, 0, &files, &error);
        assert_int_equal(parts.asked, cases[i].asked);
        assert_int_equal(chain != NULL, cases[i].asked != 0);
        assert_true(chain || g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
        g_clear_pointer(&chain, cst_chain_free);
        cst_blob_unref(parts.second);
    }
}

/* --- map -------------------------------------------------------------------------------------- */

enum { CLUSTER = 64 * 1024 };

/** Three images: "top" upon "middle" upon "base", each shorter than the one above. */
typedef struct {
    CstBlob *top, *middle, *base;
} Tower;

static CstBlob *give_tower(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    const Tower *tower = data;

    return cst_blob_ref(strcmp(name, "middle") == 0 ? tower->middle : tower->base);
}

static CstBlob *make_upon(const char *backing, const char *format, uint64_t clusters)
{
    const CstImageCreate options = {
        .capacity = clusters * CLUSTER, .backing = backing, .backing_format = format};
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, cst_image_format_find("qcow2", NULL), &options, NULL, NULL));
    return blob;
}

/* Writes a cluster of data at @data and zeroes a cluster at @zero. G_MAXUINT64 skips either. */
static void fill(CstBlob *blob, CstBlob *below, uint64_t data, uint64_t zero)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(
        cst_image_open(blob, cst_image_format_find("qcow2", NULL), CST_IMAGE_WRITE, below, NULL));
    g_autofree uint8_t *bytes = g_malloc(CLUSTER);

    memset(bytes, 1, CLUSTER);
    assert_true(cst_blob_pwrite(guest, bytes, CLUSTER, data * CLUSTER, NULL));
    if (zero != G_MAXUINT64)
        assert_true(cst_blob_zero(guest, zero * CLUSTER, CLUSTER, CST_ZERO_MAY_UNMAP, NULL));
    assert_true(cst_blob_flush(guest, NULL));
}

static gboolean note_run(const CstMapRun *run, gpointer data, GError **error)
{
    g_string_append_printf(data, "%d+%d:%u%s%s%s%s ", (int)(run->start / 512),
                           (int)(run->length / 512), run->depth, run->present ? "p" : "",
                           run->zero ? "z" : "", run->data ? "d" : "", run->has_offset ? "o" : "");
    return TRUE;
}

static void assert_map(Tower *tower, uint64_t start, uint64_t length, const char *runs)
{
    const CstChainFiles files = {.open_backing = give_tower, .data = tower};
    g_autoptr(CstChain) chain =
        cst_chain_look(tower->top, cst_image_format_find("qcow2", NULL), &files, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(CstTask) task = cst_task_new();

    assert_non_null(chain);
    assert_int_equal(cst_chain_length(chain), 3);
    assert_true(cst_chain_map_range(chain, start, length, note_run, text, task, NULL));
    assert_string_equal(text->str, runs);
    assert_int_equal(cst_task_progress(task).done, cst_task_progress(task).total);
}

/* A cluster has 128 sectors. */
static void test_map_names_the_image_that_decides(void **state)
{
    Tower tower = {.base = cst_blob_sparse_new(5 * CLUSTER)};

    tower.middle = make_upon("base", "raw", 6);
    tower.top = make_upon("middle", "qcow2", 8);
    assert_true(cst_blob_pwrite(tower.base, "x", 1, 0, NULL));
    fill(tower.middle, tower.base, 1, 2);
    fill(tower.top, tower.middle, 3, G_MAXUINT64);
    assert_map(&tower, 0, UINT64_MAX,
               "0+128:2pdo 128+128:1pdo 256+128:1pz 384+128:0pdo 512+128:2pzo 640+128:1z "
               "768+256:0z ");
    assert_map(&tower, 0, 8 * CLUSTER - 1,
               "0+128:2pdo 128+128:1pdo 256+128:1pz 384+128:0pdo 512+128:2pzo 640+128:1z "
               "768+255:0z ");
    assert_map(&tower, CLUSTER + 512, CLUSTER, "129+127:1pdo 256+1:1pz ");
    assert_map(&tower, 7 * CLUSTER, CLUSTER, "896+128:0z ");
    assert_map(&tower, 7 * CLUSTER, CLUSTER + 512, "896+128:0z ");
    assert_map(&tower, 8 * CLUSTER, 512, "");
    assert_map(&tower, 9 * CLUSTER, 512, "");
    cst_blob_unref(tower.top);
    cst_blob_unref(tower.middle);
    cst_blob_unref(tower.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest_sees_the_image_below),
        cmocka_unit_test(test_backing_file_is_not_opened_without_permission),
        cmocka_unit_test(test_loop_ends),
        cmocka_unit_test(test_guessed_image_follows_no_reference),
        cmocka_unit_test(test_data_file_needs_more_permission_than_a_part),
        cmocka_unit_test(test_map_names_the_image_that_decides),
        cmocka_unit_test(test_a_known_format_overrules_the_image_above),
        cmocka_unit_test(test_qed_declares_by_leaving_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
