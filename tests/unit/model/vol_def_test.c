/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <model/vol_def.h>

#define VOLUME(body)  "<volume><name>v</name>" body "</volume>"
#define BACKING       "<backingStore><path>/b</path></backingStore>"
#define TARGET(parts) VOLUME("<capacity>1</capacity><target>" parts "</target>")

static CstVolDef *parse(const char *xml, CstPoolType type, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstVolDef *def = cst_vol_def_parse(xml, type, flags, &error);

    if (!def)
        fail_msg("%s: %s", xml, error->message);
    return def;
}

static int refusal(const char *xml, unsigned flags)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_vol_def_parse(xml, CST_POOL_DIR, flags, &error));
    return error->code;
}

static void capacity_may_be_absent_if_the_flags_permit(void **state)
{
    g_autoptr(CstVolDef) from = parse(VOLUME(""), CST_POOL_DIR, CST_VOL_PARSE_NO_CAPACITY);
    g_autoptr(CstVolDef) backed = parse(VOLUME(BACKING), CST_POOL_DIR, CST_VOL_PARSE_OPT_CAPACITY);

    assert_false(from->has_capacity);
    assert_int_equal(from->capacity, 0);
    assert_false(backed->has_capacity);
    assert_string_equal(backed->backing->path, "/b");
    assert_int_equal(refusal(VOLUME(""), CST_VOL_PARSE_OPT_CAPACITY), CST_ERROR_XML);
    assert_int_equal(refusal(VOLUME(BACKING), 0), CST_ERROR_XML);
}

static void allocation_defaults_to_the_capacity(void **state)
{
    g_autoptr(CstVolDef) full = parse(VOLUME("<capacity unit='G'>2</capacity>"), CST_POOL_DIR, 0);
    g_autoptr(CstVolDef) thin =
        parse(VOLUME("<capacity>2</capacity><allocation>0</allocation>"), CST_POOL_DIR, 0);

    assert_int_equal(full->allocation, 2 * CST_GIB);
    assert_false(full->has_allocation);
    assert_int_equal(thin->allocation, 0);
    assert_true(thin->has_allocation);
}

static void type_and_format_default_to_the_pool_types(void **state)
{
    static const struct {
        CstPoolType pool;
        CstVolType type;
        const char *format;
        const char *mark;
    } defaults[] = {
        {CST_POOL_DIR, CST_VOL_FILE, "raw", NULL},
        {CST_POOL_NETFS, CST_VOL_FILE, "raw", NULL},
        {CST_POOL_LOGICAL, CST_VOL_BLOCK, NULL, NULL},
        {CST_POOL_DISK, CST_VOL_BLOCK, NULL, "none"},
        {CST_POOL_ZFS, CST_VOL_BLOCK, NULL, NULL},
        {CST_POOL_RBD, CST_VOL_NETWORK, "raw", NULL},
        {CST_POOL_GLUSTER, CST_VOL_NETWORK, "raw", NULL},
        {CST_POOL_SCSI, CST_VOL_BLOCK, NULL, NULL},
        {CST_POOL_ISCSI_DIRECT, CST_VOL_NETWORK, NULL, NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(defaults); i++) {
        g_autoptr(CstVolDef) def = parse(TARGET(""), defaults[i].pool, 0);

        assert_int_equal(def->type, defaults[i].type);
        assert_true(g_strcmp0(def->format, defaults[i].format) == 0);
        assert_true(g_strcmp0(def->mark, defaults[i].mark) == 0);
    }
}

static void formats_of_cistern_are_accepted(void **state)
{
    g_autoptr(CstVolDef) def = parse(TARGET("<format type='vhdx'/>"), CST_POOL_DIR, 0);
    g_autofree char *text = cst_vol_def_format(def, CST_POOL_DIR, NULL);

    assert_non_null(strstr(text, "<format type='vhdx'/>"));
}

static void format_of_another_pool_type_is_not_printed(void **state)
{
    g_autoptr(CstVolDef) def = parse(TARGET("<format type='qcow2'/>"), CST_POOL_DIR, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    def->mark = g_strdup("qcow2");
    assert_null(cst_vol_def_format(def, CST_POOL_DISK, &error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
    text = cst_vol_def_format(def, CST_POOL_LOGICAL, NULL);
    assert_null(strstr(text, "<format"));
}

static void features_imply_compat_and_show_even_when_empty(void **state)
{
    g_autoptr(CstVolDef) empty = parse(TARGET("<features/>"), CST_POOL_DIR, 0);
    g_autoptr(CstVolDef) both =
        parse(TARGET("<features><lazy_refcounts/><extended_l2/></features>"), CST_POOL_DIR, 0);
    g_autofree char *text = cst_vol_def_format(empty, CST_POOL_DIR, NULL);

    assert_string_equal(empty->compat, "1.1");
    assert_true(empty->has_features);
    assert_non_null(strstr(text, "    <compat>1.1</compat>\n    <features/>\n"));
    assert_true(both->lazy_refcounts && both->extended_l2);
}

static void wishes_for_the_file_are_kept(void **state)
{
    g_autoptr(CstVolDef) def = parse(TARGET("<nocow/><clusterSize unit='KiB'>64</clusterSize>"
                                            "<permissions><mode>640</mode><group>7</group>"
                                            "<label>l</label></permissions>"),
                                     CST_POOL_DIR, 0);

    assert_true(def->nocow);
    assert_int_equal(def->cluster_size, 65536);
    assert_int_equal(def->perms.mode, 0640);
    assert_int_equal(def->perms.uid, CST_PERMS_UNSET);
    assert_int_equal(def->perms.gid, 7);
    assert_string_equal(def->perms.label, "l");
}

#define LIVE                                                                         \
    VOLUME("<source><device path='/d'><extent start='1' end='2'/></device></source>" \
           "<capacity>1</capacity><physical>9</physical><target><timestamps>"        \
           "<atime>5.25</atime></timestamps></target>")

static void fields_of_a_daemon_are_parsed_only_on_request(void **state)
{
    g_autoptr(CstVolDef) plain = parse(LIVE, CST_POOL_LOGICAL, 0);
    g_autoptr(CstVolDef) live = parse(LIVE, CST_POOL_LOGICAL, CST_VOL_PARSE_LIVE);
    g_autofree char *text = cst_vol_def_format(plain, CST_POOL_LOGICAL, NULL);

    assert_null(plain->times);
    assert_null(plain->extents);
    assert_null(strstr(text, "physical"));
    assert_int_equal(live->physical, 9);
    assert_int_equal(live->extents->len, 1);
    assert_int_equal(live->times->atime.tv_sec, 5);
    assert_int_equal(live->times->atime.tv_nsec, 250000000);
    assert_true(live->times->mtime.tv_nsec < 0);
}

static void malformed_live_parts_are_refused(void **state)
{
    static const char *const bad[] = {
        TARGET("<timestamps><atime>x</atime></timestamps>"),
        TARGET("<timestamps><mtime>-1</mtime></timestamps>"),
        TARGET("<timestamps><ctime>1.0000000000</ctime></timestamps>"),
        TARGET("<timestamps><btime>9223372036854775808</btime></timestamps>"),
        VOLUME("<source><device path='/d'><extent start='1'/></device></source>"
               "<capacity>1</capacity>"),
        VOLUME("<source><device path='/d'><extent start='1' end='-2'/></device></source>"
               "<capacity>1</capacity>"),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_int_equal(refusal(bad[i], CST_VOL_PARSE_LIVE), CST_ERROR_XML);
}

static void name_outside_the_pool_is_accepted_only_from_a_daemon(void **state)
{
    static const char odd[] = "<volume><name>a/../b</name><capacity>1</capacity></volume>";
    g_autoptr(CstVolDef) live = parse(odd, CST_POOL_DIR, CST_VOL_PARSE_LIVE);
    g_autoptr(CstVolDef) nested =
        parse("<volume><name>a/b</name><capacity>1</capacity></volume>", CST_POOL_ZFS, 0);

    assert_int_equal(refusal(odd, 0), CST_ERROR_STATE);
    assert_null(cst_vol_def_parse(odd, CST_POOL_ZFS, 0, NULL));
    assert_string_equal(nested->name, "a/b");
}

static void extents_are_grouped_by_device(void **state)
{
    g_autoptr(CstVolDef) def = parse(TARGET(""), CST_POOL_LOGICAL, 0);
    g_autofree char *text = NULL;

    cst_vol_def_add_extent(def, "/a", 0, 1);
    cst_vol_def_add_extent(def, "/a", 2, 3);
    cst_vol_def_add_extent(def, "/b", 0, 1);
    cst_vol_def_add_extent(def, "/a", 4, 5);
    text = cst_vol_def_format(def, CST_POOL_LOGICAL, NULL);
    assert_non_null(strstr(text, "  <source>\n"
                                 "    <device path='/a'>\n"
                                 "      <extent start='0' end='1'/>\n"
                                 "      <extent start='2' end='3'/>\n"
                                 "    </device>\n"
                                 "    <device path='/b'>\n"
                                 "      <extent start='0' end='1'/>\n"
                                 "    </device>\n"
                                 "    <device path='/a'>\n"
                                 "      <extent start='4' end='5'/>\n"
                                 "    </device>\n"
                                 "  </source>\n"));
}

static void encryption_is_built_and_printed(void **state)
{
    g_autoptr(CstVolDef) def = parse(TARGET(""), CST_POOL_DIR, 0);
    g_autofree char *text = NULL;
    CstUuid uuid;

    assert_true(cst_uuid_parse("f52a81b2-424e-490c-823d-6bd4235bc572", &uuid));
    def->encryption = cst_encryption_new(CST_ENCRYPTION_LUKS);
    cst_encryption_add_secret(def->encryption, &uuid, NULL);
    text = cst_vol_def_format(def, CST_POOL_DIR, NULL);
    assert_non_null(strstr(text, "    <encryption format='luks'>\n"
                                 "      <secret type='passphrase' "
                                 "uuid='f52a81b2-424e-490c-823d-6bd4235bc572'/>\n"
                                 "    </encryption>\n"));
}

/* An unknown format has no name in a document and is omitted. */
static void encryption_of_no_kind_is_not_printed(void **state)
{
    static const CstEncryptionFormat none[] = {CST_ENCRYPTION_NONE, CST_ENCRYPTION_LUKS2 + 1};

    for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
        g_autoptr(CstVolDef) def = parse(TARGET(""), CST_POOL_DIR, 0);
        g_autofree char *text = NULL;

        def->encryption = cst_encryption_new(none[i]);
        text = cst_vol_def_format(def, CST_POOL_DIR, NULL);
        assert_null(strstr(text, "encryption"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_may_be_absent_if_the_flags_permit),
        cmocka_unit_test(allocation_defaults_to_the_capacity),
        cmocka_unit_test(type_and_format_default_to_the_pool_types),
        cmocka_unit_test(formats_of_cistern_are_accepted),
        cmocka_unit_test(format_of_another_pool_type_is_not_printed),
        cmocka_unit_test(features_imply_compat_and_show_even_when_empty),
        cmocka_unit_test(wishes_for_the_file_are_kept),
        cmocka_unit_test(fields_of_a_daemon_are_parsed_only_on_request),
        cmocka_unit_test(malformed_live_parts_are_refused),
        cmocka_unit_test(name_outside_the_pool_is_accepted_only_from_a_daemon),
        cmocka_unit_test(extents_are_grouped_by_device),
        cmocka_unit_test(encryption_is_built_and_printed),
        cmocka_unit_test(encryption_of_no_kind_is_not_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
