/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/file_header.h>
#include <model/pool_def.h>

#define UUID "<uuid>0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f</uuid>"
#define DIR_POOL(name, path) \
    "<pool type='dir'><name>" name "</name><target><path>" path "</path></target></pool>"

static CstPoolDef *parse(const char *xml)
{
    g_autoptr(GError) error = NULL;
    CstPoolDef *def = cst_pool_def_parse(xml, 0, &error);

    if (!def)
        fail_msg("%s: %s", xml, error->message);
    return def;
}

static char *format(const CstPoolDef *def)
{
    char *text = cst_pool_def_format(def, NULL);

    assert_non_null(text);
    return text;
}

static void missing_uuid_is_made_up(void **state)
{
    g_autoptr(CstPoolDef) one = parse(DIR_POOL("a", "/a"));
    g_autoptr(CstPoolDef) other = parse(DIR_POOL("a", "/a"));

    assert_false(cst_uuid_is_zero(&one->uuid));
    assert_false(cst_uuid_equal(&one->uuid, &other->uuid));
}

static void missing_name_of_pool_or_source_is_replaced_by_the_other(void **state)
{
    g_autoptr(CstPoolDef) by_source =
        parse("<pool type='logical'><source><name>vg</name></source></pool>");
    g_autoptr(CstPoolDef) by_pool = parse("<pool type='zfs'><name>tank</name></pool>");

    assert_string_equal(by_source->name, "vg");
    assert_string_equal(by_source->target_path, "/dev/vg");
    assert_string_equal(by_pool->source.name, "tank");
    assert_string_equal(by_pool->target_path, "/dev/zvol/tank");
}

static void defaults_follow_the_type(void **state)
{
    g_autoptr(CstPoolDef) logical = cst_pool_def_new(CST_POOL_LOGICAL);
    g_autoptr(CstPoolDef) disk = cst_pool_def_new(CST_POOL_DISK);
    g_autoptr(CstPoolDef) gluster = cst_pool_def_new(CST_POOL_GLUSTER);

    assert_string_equal(cst_pool_format_name(CST_POOL_LOGICAL, logical->source.format), "lvm2");
    assert_string_equal(cst_pool_format_name(CST_POOL_DISK, disk->source.format), "unknown");
    assert_string_equal(gluster->source.dir, "/");
    assert_null(cst_pool_format_name(CST_POOL_DIR, 0));
    assert_null(cst_pool_format_name(CST_POOL_NETFS, 4));
    assert_null(cst_pool_format_name(CST_POOL_NETFS, -1));
}

static void live_sizes_are_read_only_on_request(void **state)
{
    static const char xml[] = "<pool type='dir'><name>a</name><capacity unit='KiB'>3</capacity>"
                              "<allocation>1</allocation><available>2</available>"
                              "<target><path>/a</path></target></pool>";
    g_autoptr(CstPoolDef) plain = parse(xml);
    g_autoptr(CstPoolDef) live = cst_pool_def_parse(xml, CST_PARSE_LIVE, NULL);

    assert_int_equal(plain->capacity, 0);
    assert_int_equal(live->capacity, 3072);
    assert_int_equal(live->allocation, 1);
    assert_int_equal(live->available, 2);
}

static void run_state_keeps_sizes_under_the_file_header(void **state)
{
    g_autoptr(CstPoolDef) def = parse(DIR_POOL("vm-images", "/srv"));
    g_autoptr(CstPoolDef) again = NULL;
    g_autofree char *header = cst_model_file_header("pool-edit", def->name, &def->uuid);
    g_autofree char *document = NULL;
    g_autofree char *file = NULL;

    def->capacity = 10;
    document = cst_pool_state_format(def, NULL);
    file = g_strconcat(header, document, NULL);
    assert_true(g_str_has_prefix(document, "<poolstate>\n  <pool type='dir'>\n    <name>"));
    assert_non_null(strstr(header, "\n  virsh pool-edit vm-images\n"));
    again = cst_pool_state_parse(file, NULL);
    assert_non_null(again);
    assert_int_equal(again->capacity, 10);
    assert_true(cst_uuid_equal(&again->uuid, &def->uuid));
    assert_null(cst_pool_state_parse("<poolstate/>", NULL));
}

static void file_header_names_the_uuid_where_the_name_is_unsafe(void **state)
{
    static const char *const unsafe[] = {"a b", "a--b", "a;b", "$(a)", "a'b", "a\nb", "a!"};
    CstUuid uuid;

    assert_true(cst_uuid_parse("0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f", &uuid));
    for (size_t i = 0; i < G_N_ELEMENTS(unsafe); i++) {
        g_autofree char *header = cst_model_file_header("pool-edit", unsafe[i], &uuid);

        assert_null(strstr(header, unsafe[i]));
        assert_non_null(strstr(header, "pool-edit 0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f\n"));
    }
}

static void free_extents_are_listed_with_their_device(void **state)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_new(CST_POOL_DISK);
    g_autoptr(CstPoolDef) copy = NULL;
    g_autofree char *text = NULL;
    CstDeviceExtent extent = {.start = 32256, .end = G_MAXUINT64};
    CstPoolDevice *device;

    def->name = g_strdup("d");
    def->target_path = g_strdup("/dev");
    cst_pool_source_add_device(&def->source, "/dev/sdb");
    device = g_ptr_array_index(def->source.devices, 0);
    device->part_separator = 1;
    device->free_extents = g_array_new(FALSE, FALSE, sizeof(CstDeviceExtent));
    g_array_append_val(device->free_extents, extent);
    copy = cst_pool_def_copy(def);
    text = format(copy);
    assert_non_null(strstr(text, "    <device path='/dev/sdb' part_separator='yes'>\n"
                                 "      <freeExtent start='32256' end='18446744073709551615'/>\n"
                                 "    </device>\n"));
}

static void source_list_holds_each_source(void **state)
{
    CstPoolSource sources[2];
    g_autofree char *text = NULL;
    g_autofree char *none = cst_pool_source_list_format(NULL, 0, CST_POOL_LOGICAL, NULL);

    for (size_t i = 0; i < 2; i++) {
        cst_pool_source_init(&sources[i], CST_POOL_LOGICAL);
        sources[i].name = g_strdup_printf("vg%zu", i);
    }
    cst_pool_source_add_device(&sources[1], "/dev/sdc");
    text = cst_pool_source_list_format(sources, 2, CST_POOL_LOGICAL, NULL);
    assert_string_equal(text, "<sources>\n"
                              "  <source>\n"
                              "    <name>vg0</name>\n"
                              "    <format type='lvm2'/>\n"
                              "  </source>\n"
                              "  <source>\n"
                              "    <device path='/dev/sdc'/>\n"
                              "    <name>vg1</name>\n"
                              "    <format type='lvm2'/>\n"
                              "  </source>\n"
                              "</sources>\n");
    assert_string_equal(none, "<sources>\n</sources>\n");
    cst_pool_source_clear(&sources[0]);
    cst_pool_source_clear(&sources[1]);
}

static void unknown_numbers_are_not_printed(void **state)
{
    g_autoptr(CstPoolDef) def = parse(DIR_POOL("a", "/a"));
    g_autoptr(GError) error = NULL;

    def->type = CST_POOL_TYPE_LAST;
    assert_null(cst_pool_def_format(def, &error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
    g_clear_error(&error);
    def->type = CST_POOL_NETFS;
    def->source.format = 99;
    assert_null(cst_pool_def_format(def, &error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
}

static void odd_characters_survive_a_round_trip(void **state)
{
    g_autoptr(CstPoolDef) def = parse("<pool type='fs'><name>a&#13;\tb</name><source>"
                                      "<device path='/dev/a&#10;b&#9;c&#13;d'/></source>"
                                      "<target><path>/x &lt;&amp;&gt;</path></target></pool>");
    g_autofree char *text = format(def);
    g_autoptr(CstPoolDef) again = parse(text);
    const CstPoolDevice *device = g_ptr_array_index(again->source.devices, 0);

    assert_string_equal(again->name, "a\r\tb");
    assert_string_equal(device->path, "/dev/a\nb\tc\rd");
    assert_string_equal(again->target_path, "/x <&>");
}

typedef struct {
    const char *one;
    const char *other;
    gboolean same;
} MatchCase;

static void check_match(const MatchCase *match)
{
    g_autoptr(CstPoolDef) one = parse(match->one);
    g_autoptr(CstPoolDef) other = parse(match->other);

    if (cst_pool_def_same_source(one, other) != match->same ||
        cst_pool_def_same_source(other, one) != match->same)
        fail_msg("%s\n%s", match->one, match->other);
}

#define T "<target><path>/t</path></target>"
#define NETFS(host, dir) \
    "<pool type='netfs'><name>n</name><source>" host "<dir path='" dir "'/></source>" T "</pool>"
#define DEVICE(type, device) \
    "<pool type='" type "'><name>n</name><source><device path='" device "'/></source>" T "</pool>"
#define ISCSI(iqn)                                                                        \
    "<pool type='iscsi'><name>n</name><source><host name='h'/><device path='iqn.t'/>" iqn \
    "</source>" T "</pool>"
#define SCSI(adapter) "<pool type='scsi'><name>n</name><source>" adapter "</source>" T "</pool>"
#define IQN(name)     "<initiator><iqn name='" name "'/></initiator>"
#define ADDRESS(slot, id)                                                                   \
    "<adapter type='scsi_host'><parentaddr unique_id='" id "'><address bus='1' slot='" slot \
    "'/></parentaddr></adapter>"
#define FC(wwpn) "<adapter type='fc_host' wwnn='20000000c9831b4b' wwpn='10000000c9831b" wwpn "'/>"
#define RBD      "<pool type='rbd'><name>n</name><source><host name='h'/><name>p</name></source></pool>"
#define MPATH    "<pool type='mpath'><name>n</name>" T "</pool>"
#define SHEEPDOG(host, name)                                                             \
    "<pool type='sheepdog'><name>n</name><source>" host "<name>" name "</name></source>" \
    "</pool>"
#define VSTORAGE(name) \
    "<pool type='vstorage'><name>n</name><source><name>" name "</name></source>" T "</pool>"
#define GLUSTER(name)                                                                           \
    "<pool type='gluster'><name>n</name><source><host name='h'/><name>" name "</name></source>" \
    "</pool>"

static void pools_on_the_same_storage_are_detected(void **state)
{
    static const MatchCase cases[] = {
        {DIR_POOL("a", "/a"), DIR_POOL("b", "/a/"), TRUE},
        {DIR_POOL("a", "/a"), DIR_POOL("b", "/a/b"), FALSE},
        {DIR_POOL("a", "/t"), MPATH, FALSE},
        {NETFS("<host name='h'/>", "/a"), NETFS("<host name='h'/>", "/a"), TRUE},
        {NETFS("<host name='h'/>", "/a"), NETFS("<host name='h' port='1'/>", "/a"), FALSE},
        {NETFS("<host name='h'/>", "/a"), NETFS("<host name='g'/>", "/a"), FALSE},
        {NETFS("<host name='h'/>", "/a"), NETFS("<host name='h'/>", "/b"), FALSE},
        {NETFS("<host name='h'/>", "/a"), NETFS("<host name='h'/><host name='h'/>", "/a"), FALSE},
        {GLUSTER("v"), GLUSTER("v"), TRUE},
        {GLUSTER("v"), GLUSTER("w"), FALSE},
        {SHEEPDOG("<host name='h'/>", "v"), SHEEPDOG("<host name='h'/>", "w"), TRUE},
        {SHEEPDOG("<host name='h'/>", "v"), SHEEPDOG("<host name='g'/>", "v"), FALSE},
        {VSTORAGE("v"), VSTORAGE("v"), TRUE},
        {VSTORAGE("v"), VSTORAGE("w"), FALSE},
        {DEVICE("fs", "/dev/sdb"), DEVICE("disk", "/dev/sdb"), TRUE},
        {DEVICE("fs", "/dev/sdb"), DEVICE("logical", "/dev/sdb"), TRUE},
        {DEVICE("fs", "/dev/sdb"), DEVICE("fs", "/dev/sdc"), FALSE},
        {ISCSI(""), ISCSI(""), TRUE},
        {ISCSI(IQN("a")), ISCSI(IQN("b")), FALSE},
        {ISCSI(""), DEVICE("fs", "iqn.t"), FALSE},
        {SCSI("<adapter name='host1'/>"), SCSI("<adapter name='scsi_host1'/>"), TRUE},
        {SCSI("<adapter name='host1'/>"), SCSI("<adapter name='host2'/>"), FALSE},
        {SCSI(ADDRESS("1", "1")), SCSI(ADDRESS("1", "1")), TRUE},
        {SCSI(ADDRESS("1", "1")), SCSI(ADDRESS("2", "1")), FALSE},
        {SCSI(ADDRESS("1", "1")), SCSI(ADDRESS("1", "2")), FALSE},
        {SCSI(ADDRESS("1", "1")), SCSI("<adapter name='host1'/>"), FALSE},
        {SCSI(FC("4b")), SCSI(FC("4b")), TRUE},
        {SCSI(FC("4b")), SCSI(FC("4c")), FALSE},
        {SCSI(FC("4b")), SCSI("<adapter name='host1'/>"), FALSE},
        {MPATH, MPATH, TRUE},
        {RBD, RBD, FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        check_match(&cases[i]);
}

static void copy_is_independent_of_its_original(void **state)
{
    g_autoptr(CstPoolDef) def =
        parse("<pool type='rbd' xmlns:r='http://libvirt.org/schemas/storagepool/rbd/1.0'>"
              "<name>r</name>" UUID "<source><host name='h' port='1'/><name>n</name>"
              "<auth type='ceph' username='u'><secret type='ceph' usage='s'/></auth></source>"
              "<r:config_opts><r:option name='k' value='v'/></r:config_opts></pool>");
    g_autofree char *before = format(def);
    CstPoolDef *copy = cst_pool_def_copy(def);
    g_autofree char *after = NULL;

    cst_pool_def_free(g_steal_pointer(&def));
    after = format(copy);
    assert_string_equal(before, after);
    cst_pool_def_free(copy);
}

static void thresholds_survive_a_round_trip_and_a_copy(void **state)
{
    g_autoptr(CstPoolDef) def = parse(DIR_POOL("a", "/a"));
    g_autoptr(CstPoolDef) copy = NULL, again = NULL;
    g_autofree char *none = format(def);
    g_autofree char *text = NULL;

    assert_null(strstr(none, "cistern"));
    def->thresholds = (CstThresholds){80, 95};
    copy = cst_pool_def_copy(def);
    text = format(copy);
    again = parse(text);
    assert_int_equal(again->thresholds.warn, 80);
    assert_int_equal(again->thresholds.critical, 95);
}

static void wrong_thresholds_are_refused(void **state)
{
    static const char *const wrong[] = {"warn='0'",  "warn='101'",  "critical='x'",
                                        "warn='-1'", "critical=''", "warn='9' critical='8'"};

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *xml =
            g_strdup_printf("<pool type='dir' xmlns:c='" CST_XML_NAMESPACE "'><name>a</name>"
                            "<target><path>/a</path></target><c:thresholds %s/></pool>",
                            wrong[i]);
        g_autoptr(GError) error = NULL;

        assert_null(cst_pool_def_parse(xml, 0, &error));
        assert_int_equal(cst_error_code(error), CST_ERROR_CONFIG);
    }
}

static void limits_survive_a_round_trip_and_a_copy(void **state)
{
    static const struct {
        const char *xml;
        CstPoolLimits limits;
    } rows[] = {
        {"", {0}},
        {"<c:limits/>", {0}},
        {"<c:limits overcommit='1' quota='10' unit='GiB' volumes='1000'/>",
         {1000, 1000, UINT64_C(10) << 30}},
        {"<c:limits overcommit='1.5'/>", {1500, 0, 0}},
        {"<c:limits quota='4096'/>", {0, 0, 4096}},
        {"<c:limits volumes='3'/>", {0, 3, 0}},
        {"<c:limits volumes='3' quota='1'/><c:limits overcommit='0.125'/>", {125, 0, 0}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml =
            g_strdup_printf("<pool type='dir' xmlns:c='" CST_XML_NAMESPACE "'><name>a</name>"
                            "<target><path>/a</path></target>%s</pool>",
                            rows[i].xml);
        g_autoptr(CstPoolDef) def = parse(xml);
        g_autoptr(CstPoolDef) copy = cst_pool_def_copy(def);
        g_autofree char *text = format(copy);
        g_autoptr(CstPoolDef) again = parse(text);

        assert_int_equal(again->limits.overcommit, rows[i].limits.overcommit);
        assert_int_equal(again->limits.volumes, rows[i].limits.volumes);
        assert_int_equal(again->limits.quota, rows[i].limits.quota);
        assert_int_equal(strstr(text, "cistern") != NULL, cst_limits_are_set(&rows[i].limits));
    }
}

static void wrong_limits_are_refused(void **state)
{
    static const char *const wrong[] = {"overcommit='0'",
                                        "overcommit='-1'",
                                        "overcommit='1.'",
                                        "overcommit='.5'",
                                        "overcommit='1001'",
                                        "overcommit='1e3'",
                                        "overcommit=''",
                                        "overcommit='1.0001'",
                                        "volumes='0'",
                                        "volumes='-1'",
                                        "volumes='x'",
                                        "volumes='4294967296'",
                                        "quota='0'",
                                        "quota='1G'",
                                        "quota='1' unit='x'",
                                        "quota='9223372036854775808'",
                                        "quota='9007199254740992' unit='KiB'"};

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *xml =
            g_strdup_printf("<pool type='dir' xmlns:c='" CST_XML_NAMESPACE "'><name>a</name>"
                            "<target><path>/a</path></target><c:limits %s/></pool>",
                            wrong[i]);
        g_autoptr(GError) error = NULL;

        if (cst_pool_def_parse(xml, 0, &error))
            fail_msg("%s is accepted", wrong[i]);
    }
}

static void factor_has_the_decimals_it_needs(void **state)
{
    static const char *const texts[] = {"1", "1.5", "0.001", "1000", "10", "2.25", "100.125"};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        uint32_t factor = 0;
        g_autofree char *text = NULL;

        assert_true(cst_overcommit_parse(texts[i], &factor, NULL));
        text = cst_overcommit_format(factor);
        assert_string_equal(text, texts[i]);
    }
}

static void smaller_limit_counts(void **state)
{
    const CstPoolLimits both = {.overcommit = 1500, .quota = 1000}, none = {.volumes = 1};

    assert_true(cst_limits_bytes(&none, 100) == UINT64_MAX);
    assert_int_equal(cst_limits_bytes(&both, 100), 150);
    assert_int_equal(cst_limits_bytes(&both, 1000), 1000);
    assert_int_equal(cst_limits_bytes(&both, 0), 1000);
    assert_int_equal(cst_limits_bytes(&both, UINT64_MAX), 1000);
    assert_true(cst_limits_overcommit_bytes(&both, UINT64_MAX) == UINT64_MAX);
}

static void level_is_that_of_the_highest_threshold_reached(void **state)
{
    static const struct {
        CstThresholds thresholds;
        uint64_t used;
        CstUsageLevel level;
    } rows[] = {
        {{0, 0}, 100, CST_USAGE_OK},        {{80, 90}, 79, CST_USAGE_OK},
        {{80, 90}, 80, CST_USAGE_WARN},     {{80, 90}, 90, CST_USAGE_CRITICAL},
        {{0, 90}, 89, CST_USAGE_OK},        {{80, 0}, 100, CST_USAGE_WARN},
        {{80, 80}, 80, CST_USAGE_CRITICAL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const CstUsagePoint point = {.allocation = rows[i].used, .available = 100 - rows[i].used};
        const CstUsagePoint thin = {.data_size = 1000, .data_used = 10 * rows[i].used};

        assert_int_equal(cst_usage_level(&rows[i].thresholds, &point, CST_USAGE_SPACE),
                         rows[i].level);
        assert_int_equal(cst_usage_level(&rows[i].thresholds, &thin, CST_USAGE_DATA),
                         rows[i].level);
        assert_int_equal(cst_usage_level(&rows[i].thresholds, &thin, CST_USAGE_METADATA),
                         CST_USAGE_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_uuid_is_made_up),
        cmocka_unit_test(missing_name_of_pool_or_source_is_replaced_by_the_other),
        cmocka_unit_test(defaults_follow_the_type),
        cmocka_unit_test(live_sizes_are_read_only_on_request),
        cmocka_unit_test(run_state_keeps_sizes_under_the_file_header),
        cmocka_unit_test(file_header_names_the_uuid_where_the_name_is_unsafe),
        cmocka_unit_test(free_extents_are_listed_with_their_device),
        cmocka_unit_test(source_list_holds_each_source),
        cmocka_unit_test(unknown_numbers_are_not_printed),
        cmocka_unit_test(odd_characters_survive_a_round_trip),
        cmocka_unit_test(pools_on_the_same_storage_are_detected),
        cmocka_unit_test(copy_is_independent_of_its_original),
        cmocka_unit_test(thresholds_survive_a_round_trip_and_a_copy),
        cmocka_unit_test(wrong_thresholds_are_refused),
        cmocka_unit_test(limits_survive_a_round_trip_and_a_copy),
        cmocka_unit_test(wrong_limits_are_refused),
        cmocka_unit_test(factor_has_the_decimals_it_needs),
        cmocka_unit_test(smaller_limit_counts),
        cmocka_unit_test(level_is_that_of_the_highest_threshold_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
