/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The document of a copy, and the <mirror> in the document of a domain. */
#include <model/domain.h>
#include <model/domain_copy.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>

static void assert_document(const CstDomainCopy *copy, const char *expected)
{
    g_autofree char *text = cst_domain_copy_format(copy, NULL);

    assert_string_equal(text, expected);
}

static void document_of_a_copy_has_its_type_format_and_path(void **unused)
{
    const CstDomainCopy file = {.path = "/a<'b.img", .format = "qcow2"};
    const CstDomainCopy device = {.path = "/dev/vg/lv", .format = "raw", .is_device = TRUE};

    assert_document(&file, "<disk type='file'>\n"
                           "  <driver type='qcow2'/>\n"
                           "  <source file='/a&lt;&apos;b.img'/>\n"
                           "</disk>\n");
    assert_document(&device, "<disk type='block'>\n"
                             "  <driver type='raw'/>\n"
                             "  <source dev='/dev/vg/lv'/>\n"
                             "</disk>\n");
}

static void path_that_xml_cannot_represent_is_invalid(void **unused)
{
    const CstDomainCopy copy = {.path = "/a\x01", .format = "raw"};
    g_autoptr(GError) error = NULL;

    assert_null(cst_domain_copy_format(&copy, &error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
}

/* Returns the domain with a disk that has @mirror. */
static CstDomainDef *def_parse(const char *mirror)
{
    g_autofree char *xml = g_strdup_printf(
        "<domain><devices><disk><source file='/top' index='4'/><target dev='vda'/>%s"
        "<backingStore type='file' index='3'><source file='/base'/><backingStore/></backingStore>"
        "</disk></devices></domain>",
        mirror);
    CstDomainDef *def = cst_domain_def_parse(xml, NULL);

    assert_non_null(def);
    return def;
}

static void mirror_of_a_disk_has_its_path_and_state(void **unused)
{
    static const struct {
        const char *xml, *path;
        CstDomainMirror state;
    } cases[] = {
        {"", NULL, CST_DOMAIN_MIRROR_NONE},
        {"<mirror type='file' file='/old'><source file='/copy'/></mirror>", "/copy",
         CST_DOMAIN_MIRROR_COPIES},
        {"<mirror ready='yes'><source dev='/dev/x'/></mirror>", "/dev/x", CST_DOMAIN_MIRROR_READY},
        {"<mirror ready='pivot'><source file='/copy'/></mirror>", "/copy", CST_DOMAIN_MIRROR_ENDS},
        {"<mirror ready='abort'/>", NULL, CST_DOMAIN_MIRROR_ENDS},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(CstDomainDef) def = def_parse(cases[i].xml);
        const CstDomainLayer *top = def->layers->pdata[0], *base = def->layers->pdata[1];

        assert_int_equal(top->mirror, cases[i].state);
        assert_true(g_strcmp0(top->mirror_path, cases[i].path) == 0);
        assert_int_equal(top->mirrored, i > 0);
        assert_int_equal(base->mirror, CST_DOMAIN_MIRROR_NONE);
        assert_null(base->mirror_path);
    }
}

static void index_of_a_layer_is_that_of_libvirt(void **unused)
{
    g_autoptr(CstDomainDef) def = def_parse("");
    const CstDomainLayer *top = def->layers->pdata[0], *base = def->layers->pdata[1];

    assert_string_equal(top->index, "4");
    assert_string_equal(base->index, "3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(document_of_a_copy_has_its_type_format_and_path),
        cmocka_unit_test(path_that_xml_cannot_represent_is_invalid),
        cmocka_unit_test(mirror_of_a_disk_has_its_path_and_state),
        cmocka_unit_test(index_of_a_layer_is_that_of_libvirt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
