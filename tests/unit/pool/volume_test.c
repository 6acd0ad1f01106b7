/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of volumes: equality of stamps, and trusted references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pool/volume.h>

static void a_stamp_differs_in_any_of_its_parts(void **state)
{
    static const CstVolumeStamp stamp = {1, 2, 3, 4, 5};
    static const CstVolumeStamp others[] = {
        {9, 2, 3, 4, 5}, {1, 9, 3, 4, 5}, {1, 2, 9, 4, 5}, {1, 2, 3, 9, 5}, {1, 2, 3, 4, 9}};

    assert_true(cst_volume_stamp_equal(&stamp, &(CstVolumeStamp){1, 2, 3, 4, 5}));
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        assert_false(cst_volume_stamp_equal(&stamp, &others[i]));
}

/* NULL: not named by the image, or not declared. */
typedef struct {
    const char *backing, *format, *data;                    /* as the image names them */
    const char *declared, *declared_format, *declared_data; /* "": no declaration exists */
    unsigned flags;                                         /* of the previous record */
    gboolean restricted;
    int backing_trust, data_trust; /* CstTrust */
} Case;

static void assert_trust(const Case *c)
{
    g_autoptr(CstVolume) volume = cst_volume_new("v");
    CstVolumeExtra *extra = cst_volume_extra(volume);
    gboolean is_declared = !c->declared || *c->declared;
    CstDeclaration declaration = {.backing = is_declared ? (char *)c->declared : NULL,
                                  .backing_format = (char *)c->declared_format,
                                  .data_file = (char *)c->declared_data,
                                  .restricted = c->restricted};

    volume->flags = (uint8_t)c->flags;
    extra->backing_path = g_strdup(c->backing);
    extra->backing_format = g_strdup(c->format);
    extra->data_file = g_strdup(c->data);
    cst_volume_judge(volume, is_declared ? &declaration : NULL);
    assert_int_equal(extra->backing_trust, c->backing_trust);
    assert_int_equal(extra->data_trust, c->data_trust);
    assert_int_equal(volume->flags, c->flags | (is_declared ? CST_VOLUME_DECLARED : 0) |
                                        (is_declared && c->restricted ? CST_VOLUME_RESTRICTED : 0));
}

static void references_are_trusted_as_declared(void **state)
{
    enum { NONE = CST_TRUST_NONE, PLACE = CST_TRUST_PLACE, NAMED = CST_TRUST_NAMED };
    static const Case cases[] = {
        {"/b", "raw", "/d", "", NULL, NULL, 0, FALSE, PLACE, PLACE},
        {"/b", "raw", "/d", "", NULL, NULL, CST_VOLUME_SHARED, FALSE, NONE, NONE},
        {"/b", "raw", "/d", "/b", "raw", "/d", CST_VOLUME_SHARED, FALSE, NAMED, NAMED},
        {"/b", "raw", "/d", "/b", "raw", "/d", 0, TRUE, NAMED, NAMED},
        {"/b", "raw", "/d", "/b", NULL, NULL, 0, TRUE, NAMED, NONE},
        {"/b", "raw", "/d", NULL, NULL, "/d", 0, TRUE, NONE, NAMED},
        {"/b", "raw", "/d", NULL, NULL, NULL, 0, TRUE, NONE, NONE},
        {"/b", "raw", "/d", NULL, NULL, NULL, 0, FALSE, PLACE, PLACE},
        {"/b", "raw", "/d", "/c", "raw", "/e", 0, TRUE, NONE, NONE},
        {"/b", "raw", "/d", "/c", "raw", "/e", 0, FALSE, PLACE, PLACE},
        {NULL, NULL, NULL, "/b", "raw", "/d", 0, TRUE, NONE, NONE},
        {"/b", "qcow2", NULL, "/b", "raw", NULL, 0, TRUE, NONE, NONE},
        {"/b", "vpc", NULL, "/b", "vhd", NULL, 0, TRUE, NAMED, NONE},
        {"/b", NULL, NULL, "/b", "raw", NULL, 0, TRUE, NAMED, NONE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_trust(&cases[i]);
}

static void a_record_without_references_is_declared_all_the_same(void **state)
{
    g_autoptr(CstVolume) volume = cst_volume_new("v");
    CstDeclaration declaration = {.restricted = TRUE};

    cst_volume_judge(volume, NULL);
    assert_int_equal(volume->flags, 0);
    cst_volume_judge(volume, &declaration);
    assert_int_equal(volume->flags, CST_VOLUME_DECLARED | CST_VOLUME_RESTRICTED);
    assert_null(volume->extra);
    assert_null(cst_volume_problem(volume));
    cst_volume_extra(volume)->problem = g_strdup("odd");
    assert_string_equal(cst_volume_problem(volume), "odd");
}

/* --- shared parts ----------------------------------------------------------------------------- */

/* A record of a qcow2 image without references. */
static CstVolume *plain_image(uint64_t cluster_size)
{
    CstVolume *volume = cst_volume_new("v");
    CstVolumeExtra *extra = cst_volume_extra(volume);

    extra->compat = g_intern_static_string("1.1");
    extra->cluster_size = cluster_size;
    return volume;
}

static void records_of_like_images_share_their_extra_part(void **state)
{
    g_autoptr(CstVolume) a = plain_image(65536), b = plain_image(65536), c = plain_image(4096);
    g_autoptr(CstVolume) raw = cst_volume_new("raw");

    cst_volume_share_extra(a);
    cst_volume_share_extra(b);
    cst_volume_share_extra(c);
    cst_volume_share_extra(raw);
    assert_ptr_equal(a->extra, b->extra);
    assert_ptr_not_equal(a->extra, c->extra);
    assert_int_equal(a->extra->cluster_size, 65536);
    assert_int_equal(c->extra->cluster_size, 4096);
    assert_string_equal(a->extra->compat, "1.1");
    assert_null(raw->extra);
}

static void change_of_a_shared_part_keeps_the_other_records(void **state)
{
    g_autoptr(CstVolume) a = plain_image(65536), b = plain_image(65536);
    const CstDeclaration declaration = {0};

    cst_volume_share_extra(a);
    cst_volume_share_extra(b);
    cst_volume_judge(b, &declaration);
    assert_int_equal(a->extra->backing_trust, CST_TRUST_NONE);
    cst_volume_extra(b)->problem = g_strdup("its header is lost");
    assert_null(a->extra->problem);
    assert_int_equal(b->extra->cluster_size, 65536);
    assert_ptr_equal(cst_volume_extra(b), b->extra);
    assert_non_null(cst_volume_problem(b));
}

static void a_part_with_a_rare_property_is_not_shared(void **state)
{
    for (guint property = 0; property < 11; property++) {
        g_autoptr(CstVolume) volume = plain_image(65536);
        CstVolumeExtra *extra = volume->extra;
        char **const texts[] = {&extra->key,       &extra->backing_path, &extra->backing_format,
                                &extra->data_file, &extra->encryption,   &extra->problem};
        const char **const words[] = {&extra->content, &extra->mark};

        if (property < G_N_ELEMENTS(texts))
            *texts[property] = g_strdup("rare");
        else if (property - G_N_ELEMENTS(texts) < G_N_ELEMENTS(words))
            *words[property - G_N_ELEMENTS(texts)] = "rare";
        else if (property == 8)
            extra->snapshots = 1;
        else if (property == 9)
            extra->extents = g_ptr_array_new();
        else
            extra->options = g_ptr_array_new();
        cst_volume_share_extra(volume);
        assert_false(volume->shares_extra);
        assert_ptr_equal(volume->extra, extra);
    }
}

/* Images of other users could otherwise fill the memory with parts that are never freed. */
static void the_number_of_shared_parts_is_limited(void **state)
{
    guint shared = 0;

    for (guint i = 0; i < 1000; i++) {
        g_autoptr(CstVolume) volume = plain_image(1000 + i);

        cst_volume_share_extra(volume);
        shared += volume->shares_extra;
        assert_int_equal(volume->extra->cluster_size, 1000 + i);
    }
    assert_in_range(shared, 1, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stamp_differs_in_any_of_its_parts),
        cmocka_unit_test(references_are_trusted_as_declared),
        cmocka_unit_test(a_record_without_references_is_declared_all_the_same),
        cmocka_unit_test(records_of_like_images_share_their_extra_part),
        cmocka_unit_test(change_of_a_shared_part_keeps_the_other_records),
        cmocka_unit_test(a_part_with_a_rare_property_is_not_shared),
        cmocka_unit_test(the_number_of_shared_parts_is_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
