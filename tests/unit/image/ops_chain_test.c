/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <image/chain.h>

/* Chains over blobs in memory: what is opened, on whose word, and what it reads as. */

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

static void test_nothing_is_opened_without_leave(void **state)
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
    assert_true(world.asked <= CST_CHAIN_MAX);
}

/** A raw disk whose guest wrote a qcow2 header, below an image that does not say that it is raw. */
static void test_guessed_image_leads_nowhere(void **state)
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

/** QED says of what is below either that it is raw, or that it is what its first bytes tell. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest_sees_the_image_below),
        cmocka_unit_test(test_nothing_is_opened_without_leave),
        cmocka_unit_test(test_loop_ends),
        cmocka_unit_test(test_guessed_image_leads_nowhere),
        cmocka_unit_test(test_qed_declares_by_leaving_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
