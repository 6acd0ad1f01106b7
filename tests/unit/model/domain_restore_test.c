/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The definition of a domain for restored disks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/domain_restore.h>
#include <model/limits.h>

#define UUID "c7a5fdbd-cdaf-9455-926a-d65c16db1809"

#define DOMAIN(devices)                                                                \
    "<domain type='kvm'>\n  <name>web</name>\n  <uuid>" UUID "</uuid>\n"               \
    "  <genid>43dc0cf8-809b-4adb-9bea-a9abb5f3d90e</genid>\n  <devices>\n    " devices \
    "\n  </devices>\n</domain>\n"

#define VDA                                                                      \
    "<disk type='file' device='disk'>\n      <driver name='qemu' type='raw'/>\n" \
    "      <source file='/old'/>\n      <target dev='vda' bus='virtio'/>\n    </disk>"

static const CstDomainNewDisk new_vda = {
    .target = "vda", .path = "/p/web2-vda.qcow2", .format = "qcow2"};

/* Rewrites @xml with the volume of vda. The caller clears the result. */
static CstDomainDefinition rewrite(const char *xml, const char *name)
{
    const CstDomainRestore restore = {.name = name, .disks = &new_vda, .n_disks = 1};
    CstDomainDefinition definition = {0};
    g_autoptr(GError) error = NULL;

    if (!cst_domain_restore(xml, &restore, &definition, &error))
        fail_msg("%s", error->message);
    return definition;
}

/* Expects that @xml is refused with @code and a message with @text. */
static void assert_refused(const char *xml, const CstDomainRestore *restore, CstErrorCode code,
                           const char *text)
{
    CstDomainDefinition definition = {0};
    g_autoptr(GError) error = NULL;

    assert_false(cst_domain_restore(xml, restore, &definition, &error));
    assert_null(definition.document);
    if (!g_error_matches(error, CST_ERROR, code) || !strstr(error->message, text))
        fail_msg("unexpected refusal: %d %s", error->code, error->message);
}

static void assert_vda_refused(const char *xml, CstErrorCode code, const char *text)
{
    const CstDomainRestore restore = {.disks = &new_vda, .n_disks = 1};

    assert_refused(xml, &restore, code, text);
}

static void assert_has(const CstDomainDefinition *definition, const char *text)
{
    if (!strstr(definition->document, text))
        fail_msg("the document lacks \"%s\":\n%s", text, definition->document);
}

static void assert_lacks(const CstDomainDefinition *definition, const char *text)
{
    if (strstr(definition->document, text))
        fail_msg("the document has \"%s\":\n%s", text, definition->document);
}

/* --- disks ------------------------------------------------------------------------------------ */

static void disk_has_the_new_file_and_its_format(void **unused)
{
    g_auto(CstDomainDefinition) definition = rewrite(DOMAIN(VDA), NULL);

    assert_string_equal(definition.document,
                        "<domain type=\"kvm\">\n  <name>web</name>\n  <uuid>" UUID "</uuid>\n"
                        "  <genid/>\n  <devices>\n    <disk type=\"file\" device=\"disk\">\n"
                        "      <driver name=\"qemu\" type=\"qcow2\"/>\n"
                        "      <source file=\"/p/web2-vda.qcow2\"/>\n"
                        "      <target dev=\"vda\" bus=\"virtio\"/>\n    </disk>\n"
                        "  </devices>\n</domain>\n");
    assert_string_equal(definition.name, "web");
    assert_string_equal(definition.uuid, UUID);
}

static void disk_of_a_device_has_type_block(void **unused)
{
    const CstDomainNewDisk disk = {
        .target = "vda", .path = "/dev/vg/web", .format = "raw", .is_device = TRUE};
    const CstDomainRestore restore = {.disks = &disk, .n_disks = 1};
    g_auto(CstDomainDefinition) definition = {0};

    assert_true(cst_domain_restore(
        DOMAIN("<disk type='file'><driver type='qcow2'><metadata_cache/></driver>"
               "<source file='/old'/><target dev='vda'/></disk>"),
        &restore, &definition, NULL));
    assert_has(&definition, "<disk type=\"block\"><driver type=\"raw\"/>"
                            "<source dev=\"/dev/vg/web\"/><target dev=\"vda\"/></disk>");
}

static void elements_of_the_old_source_are_removed(void **unused)
{
    g_auto(CstDomainDefinition) definition = rewrite(
        DOMAIN("<disk type='volume' device='lun' rawio='yes' sgio='filtered'>"
               "<driver name='qemu' type='qcow2' cache='none'/>"
               "<auth username='a'><secret type='ceph' uuid='" UUID "'/></auth>"
               "<source pool='p' volume='v' startupPolicy='optional'><seclabel model='dac'/>"
               "</source><source file='/second'/>"
               "<backingStore type='file'><source file='/base'/><backingStore/></backingStore>"
               "<mirror type='file' file='/m'/><target dev='vda'/><serial>s1</serial></disk>"),
        NULL);

    assert_has(&definition, "<disk type=\"file\" device=\"disk\">");
    assert_has(&definition, "<driver name=\"qemu\" type=\"qcow2\" cache=\"none\"/>");
    assert_has(&definition, "<source file=\"/p/web2-vda.qcow2\"/><target dev=\"vda\"/>"
                            "<serial>s1</serial></disk>");
    assert_lacks(&definition, "auth");
    assert_lacks(&definition, "seclabel");
    assert_lacks(&definition, "/second");
    assert_lacks(&definition, "backingStore");
    assert_lacks(&definition, "mirror");
    assert_lacks(&definition, "sgio");
}

static void disk_on_the_network_and_without_a_source_gets_the_file(void **unused)
{
    static const char *const disks[] = {
        DOMAIN("<disk type='network'><driver type='raw'/>"
               "<source protocol='rbd' name='p/i'><host name='h'/></source>"
               "<target dev='vda'/></disk>"),
        DOMAIN("<disk type='file'><target dev='vda'/></disk>"),
    };

    for (guint i = 0; i < G_N_ELEMENTS(disks); i++) {
        g_auto(CstDomainDefinition) definition = rewrite(disks[i], NULL);

        assert_has(&definition, "<driver type=\"qcow2\"/>");
        assert_has(&definition, "<source file=\"/p/web2-vda.qcow2\"/><target dev=\"vda\"/>");
        assert_lacks(&definition, "protocol");
    }
}

static void media_and_disks_that_are_only_read_are_kept(void **unused)
{
    g_auto(CstDomainDefinition) definition =
        rewrite(DOMAIN(VDA "<disk type='file' device='cdrom'><source file='/iso'/>"
                           "<target dev='sda'/></disk>"
                           "<disk type='file' device='floppy'><target dev='fda'/></disk>"
                           "<disk type='network'><source protocol='rbd' name='p/i'/>"
                           "<target dev='vdb'/><readonly/></disk>"),
                "web2");

    assert_has(&definition, "<source file=\"/iso\"/>");
    assert_has(&definition, "<source protocol=\"rbd\" name=\"p/i\"/>");
    assert_has(&definition, "<disk type=\"file\" device=\"floppy\"><target dev=\"fda\"/></disk>");
}

/* --- refusals --------------------------------------------------------------------------------- */

static void disks_and_volumes_that_do_not_match_are_refused(void **unused)
{
    static const CstDomainNewDisk two[] = {{"vda", "/a", "raw", FALSE},
                                           {"vdb", "/b", "raw", FALSE}};
    const CstDomainRestore restore = {.disks = two, .n_disks = 2};

    assert_refused(DOMAIN(VDA), &restore, CST_ERROR_NOT_FOUND, "1 disks, and 2");
    assert_vda_refused(DOMAIN(VDA "<disk><source file='/b'/><target dev='vdb'/></disk>"),
                       CST_ERROR_NOT_FOUND, "lacks disk 'vdb'");
    assert_vda_refused(DOMAIN(VDA "<disk><source file='/b'/></disk>"), CST_ERROR_XML,
                       "no <target dev>");
    assert_vda_refused(DOMAIN(VDA VDA), CST_ERROR_INVALID,
                       "two disks of the domain have the "
                       "target 'vda'");
    assert_vda_refused(DOMAIN(VDA "<disk device='cdrom'><target dev='vda'/></disk>"),
                       CST_ERROR_INVALID, "two disks");
    assert_vda_refused("<domain><devices/></domain>", CST_ERROR_NOT_FOUND, "0 disks");
}

static void encrypted_disk_is_refused(void **unused)
{
    assert_vda_refused(DOMAIN("<disk type='file'><source file='/a'><encryption format='luks'/>"
                              "</source><target dev='vda'/></disk>"),
                       CST_ERROR_UNSUPPORTED, "'vda' is encrypted");
}

static void hostile_documents_are_refused(void **unused)
{
    g_autofree char *huge = g_strnfill(CST_XML_MAX_BYTES + 1, ' ');
    g_autofree char *deep = NULL;
    g_autoptr(GString) text = g_string_new("<domain>");

    for (guint i = 0; i < 300; i++)
        g_string_append(text, "<a>");
    deep = g_string_free(g_steal_pointer(&text), FALSE);
    assert_vda_refused("<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
                       "<domain><name>&e;</name></domain>",
                       CST_ERROR_XML, "document type declarations");
    assert_vda_refused(huge, CST_ERROR_XML, "larger than");
    assert_vda_refused(deep, CST_ERROR_XML_SYNTAX, "");
    assert_vda_refused("<volume/>", CST_ERROR_XML, "expecting root element");
    assert_vda_refused("<domain><devices>" VDA "</devices></domain>", CST_ERROR_XML, "no name");
    assert_vda_refused("<domain><name/><devices>" VDA "</devices></domain>", CST_ERROR_XML,
                       "no name");
}

static void name_that_libvirt_does_not_accept_is_refused(void **unused)
{
    static const char *const names[] = {"", "a/b", "a\nb", ".", "..", "a\x01", "a\xff"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        const CstDomainRestore restore = {.name = names[i], .disks = &new_vda, .n_disks = 1};

        assert_refused(DOMAIN(VDA), &restore, CST_ERROR_INVALID, "");
    }
}

/* --- a new domain ----------------------------------------------------------------------------- */

static void new_name_is_written_as_utf8_text(void **unused)
{
    g_auto(CstDomainDefinition) definition = rewrite(DOMAIN(VDA), "m\xc3\xbcll & <er> &amp;");

    assert_has(&definition, "<name>m\xc3\xbcll &amp; &lt;er&gt; &amp;amp;</name>");
    assert_string_equal(definition.name, "m\xc3\xbcll & <er> &amp;");
    assert_null(definition.uuid);
    assert_lacks(&definition, UUID);
}

static void other_encoding_becomes_utf8(void **unused)
{
    g_auto(CstDomainDefinition) definition =
        rewrite("<?xml version='1.0' encoding='iso-8859-1'?><domain><name>web</name><title>\xe4"
                "</title><devices>" VDA "</devices></domain>",
                NULL);

    assert_has(&definition, "<title>\xc3\xa4</title>");
    assert_lacks(&definition, "encoding");
}

#define IDENTITY                                                                         \
    "<interface type='bridge'><mac address='52:54:00:00:00:01'/>"                        \
    "<source bridge='br0' portid='x'/><target dev='web-eth0'/>"                          \
    "<virtualport type='openvswitch'><parameters interfaceid='" UUID "'/></virtualport>" \
    "<model type='virtio'/><alias name='net0'/></interface>"                             \
    "<interface type='ethernet'><mac address='52:54:00:00:00:02'/>"                      \
    "<target dev='tap7' managed='no'/><alias name='ua-lan'/></interface>"                \
    "<channel type='unix'><source mode='bind' path='/run/domain-1-web/agent'/>"          \
    "<target type='virtio' name='org.qemu.guest_agent.0'/></channel>"                    \
    "<serial type='pty'><source path='/dev/pts/3'/><target port='0'/></serial>"          \
    "<serial type='file'><source path='/log/web'/><target port='1'/></serial>"           \
    "<console type='pty' tty='/dev/pts/4'><target type='serial'/></console>"             \
    "<graphics type='vnc' port='5901' autoport='no' websocket='5701'>"                   \
    "<listen type='address' address='127.0.0.1'/></graphics>"                            \
    "<graphics type='spice' socket='/run/web.sock'><listen type='socket' "               \
    "socket='/run/web.sock'/></graphics>"                                                \
    "<vsock><cid auto='no' address='3'/></vsock>"

static const char identity_document[] =
    "<domain type='kvm' id='7'><name>web</name><uuid>" UUID "</uuid><genid>" UUID "</genid>"
    "<sysinfo type='smbios'><system><entry name='serial'>s1</entry><entry name='uuid'>" UUID
    "</entry></system></sysinfo>"
    "<os><loader readonly='yes' type='pflash'>/code.fd</loader>"
    "<nvram template='/vars.fd'>/nvram/web_VARS.fd</nvram></os>"
    "<devices>" VDA IDENTITY "</devices>"
    "<seclabel type='dynamic' model='dac'><label>+64055:+108</label>"
    "<imagelabel>+64055:+108</imagelabel></seclabel>"
    "<seclabel type='static' model='selinux'><label>kept</label></seclabel></domain>";

static void new_domain_shares_no_identity_with_the_old_one(void **unused)
{
    static const char *const removed[] = {
        " id=",          UUID,       "52:54",    "web-eth0",      "portid", "interfaceid",
        "net0",          "domain-1", "/dev/pts", "port=\"5901\"", "5701",   "/run/web.sock",
        "address=\"3\"", "web_VARS", "64055",    "<name>web<",
    };
    static const char *const kept[] = {
        "<name>web2</name>",
        "<genid/>",
        "<entry name=\"serial\">s1</entry>",
        "<nvram template=\"/vars.fd\"/>",
        "<source bridge=\"br0\"/>",
        "<target dev=\"tap7\" managed=\"no\"/>",
        "<alias name=\"ua-lan\"/>",
        "<channel type=\"unix\"><target type=\"virtio\" name=\"org.qemu.guest_agent.0\"/>",
        "<serial type=\"pty\"><target port=\"0\"/></serial>",
        "<source path=\"/log/web\"/>",
        "autoport=\"yes\"",
        "websocket=\"-1\"",
        "address=\"127.0.0.1\"",
        "<graphics type=\"spice\"><listen type=\"socket\"/></graphics>",
        "<cid auto=\"yes\"/>",
        "<label>kept</label>",
        "<seclabel type=\"dynamic\" model=\"dac\"/>",
    };
    g_auto(CstDomainDefinition) definition = rewrite(identity_document, "web2");

    for (guint i = 0; i < G_N_ELEMENTS(removed); i++)
        assert_lacks(&definition, removed[i]);
    for (guint i = 0; i < G_N_ELEMENTS(kept); i++)
        assert_has(&definition, kept[i]);
}

static void same_domain_keeps_its_identity(void **unused)
{
    static const char uuid[] = "<uuid>" UUID "</uuid>";
    static const char *const kept[] = {
        "<name>web</name>",   uuid,
        "52:54:00:00:00:01",  "web-eth0",
        "interfaceid",        "5901",
        "/run/web.sock",      "address=\"3\"",
        "/nvram/web_VARS.fd", "<entry name=\"uuid\">",
        "+64055:+108",
    };
    g_auto(CstDomainDefinition) definition = rewrite(identity_document, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(kept); i++)
        assert_has(&definition, kept[i]);
    assert_has(&definition, "<genid/>");
    assert_lacks(&definition, "net0");
    assert_lacks(&definition, " id=");
}

static void nvram_without_a_template_is_removed(void **unused)
{
    g_auto(CstDomainDefinition) definition =
        rewrite("<domain><name>web</name><os firmware='efi'><nvram>/nvram/web_VARS.fd</nvram></os>"
                "<devices>" VDA "</devices></domain>",
                "web2");

    assert_has(&definition, "<os firmware=\"efi\"/>");
}

/* A display at a socket that libvirt does not list would else listen on a port. */
static void graphics_socket_without_listen_is_kept(void **unused)
{
    g_auto(CstDomainDefinition) definition =
        rewrite(DOMAIN(VDA "<graphics type='vnc' socket='/run/a.sock'/>"), "web2");

    assert_has(&definition, "<graphics type=\"vnc\" socket=\"/run/a.sock\"/>");
}

static void files_of_the_old_domain_are_removed_from_a_new_one(void **unused)
{
    static const char xml[] =
        "<domain type='kvm'><name>web</name><hwuuid>" UUID "</hwuuid><devices>" VDA
        "<tpm model='tpm-crb'><backend type='emulator' version='2.0'>"
        "<source type='file' path='/tpm'/></backend></tpm>"
        "<tpm model='tpm-tis'><backend type='passthrough'><device "
        "path='/dev/tpm0'/></backend></tpm>"
        "<pstore backend='acpi-erst'><path>/pstore</path><size>1</size></pstore>"
        "</devices></domain>";
    g_auto(CstDomainDefinition) same = rewrite(xml, NULL);
    g_auto(CstDomainDefinition) renamed = rewrite(xml, "web2");

    assert_has(&same, "<hwuuid>");
    assert_has(&same, "/tpm\"");
    assert_has(&same, "/pstore<");
    assert_lacks(&renamed, "<hwuuid>");
    assert_lacks(&renamed, "/tpm\"");
    assert_lacks(&renamed, "/pstore<");
    assert_has(&renamed, "/dev/tpm0");
}

static void file_of_memory_is_not_shared_by_two_domains(void **unused)
{
    static const char xml[] =
        "<domain type='kvm'><name>web</name><devices>" VDA "<memory model='dimm'><target/></memory>"
        "<memory model='nvdimm'><source><path>/nvdimm</path></source></memory></devices></domain>";
    const CstDomainRestore restore = {.name = "web2", .disks = &new_vda, .n_disks = 1};
    g_auto(CstDomainDefinition) same = rewrite(xml, NULL);

    assert_has(&same, "/nvdimm");
    assert_refused(xml, &restore, CST_ERROR_UNSUPPORTED, "'/nvdimm'");
}

static void display_for_other_hosts_is_reported(void **unused)
{
    static const struct {
        const char *graphics;
        const char *display;
    } rows[] = {
        {"<graphics type='vnc' port='-1' listen='0.0.0.0'/>", "0.0.0.0"},
        {"<graphics type='vnc'/><graphics type='spice'><listen type='address' address='::'/>"
         "</graphics>",
         "::"},
        {"<graphics type='vnc'><listen type='network' network='net'/></graphics>", "net"},
        {"<graphics type='vnc'><listen type='address' address='127.0.0.1'/></graphics>", NULL},
        {"<graphics type='vnc' listen='0.0.0.0'><listen type='socket'/></graphics>", NULL},
        {"<graphics type='vnc'><listen type='address'/></graphics>", NULL},
        {"<graphics type='sdl' listen='0.0.0.0'/>", NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = g_strdup_printf("<domain type='kvm'><name>web</name><devices>" VDA
                                               "%s</devices></domain>",
                                               rows[i].graphics);
        g_auto(CstDomainDefinition) definition = rewrite(xml, "web2");

        if (g_strcmp0(definition.display, rows[i].display) != 0)
            fail_msg("%s has the display %s", rows[i].graphics, definition.display);
        assert_false(definition.has_arguments);
    }
}

static void arguments_of_qemu_are_reported(void **unused)
{
    g_auto(CstDomainDefinition) definition =
        rewrite("<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
                "<name>web</name><devices>" VDA "</devices>"
                "<qemu:commandline><qemu:arg value='-s'/></qemu:commandline></domain>",
                NULL);

    assert_true(definition.has_arguments);
    assert_has(&definition, "<qemu:arg value=\"-s\"/>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_has_the_new_file_and_its_format),
        cmocka_unit_test(files_of_the_old_domain_are_removed_from_a_new_one),
        cmocka_unit_test(file_of_memory_is_not_shared_by_two_domains),
        cmocka_unit_test(display_for_other_hosts_is_reported),
        cmocka_unit_test(arguments_of_qemu_are_reported),
        cmocka_unit_test(disk_of_a_device_has_type_block),
        cmocka_unit_test(elements_of_the_old_source_are_removed),
        cmocka_unit_test(disk_on_the_network_and_without_a_source_gets_the_file),
        cmocka_unit_test(media_and_disks_that_are_only_read_are_kept),
        cmocka_unit_test(disks_and_volumes_that_do_not_match_are_refused),
        cmocka_unit_test(encrypted_disk_is_refused),
        cmocka_unit_test(hostile_documents_are_refused),
        cmocka_unit_test(name_that_libvirt_does_not_accept_is_refused),
        cmocka_unit_test(new_name_is_written_as_utf8_text),
        cmocka_unit_test(other_encoding_becomes_utf8),
        cmocka_unit_test(new_domain_shares_no_identity_with_the_old_one),
        cmocka_unit_test(same_domain_keeps_its_identity),
        cmocka_unit_test(nvram_without_a_template_is_removed),
        cmocka_unit_test(graphics_socket_without_listen_is_kept),
    };

    return cmocka_run_group_tests_name("domain_restore", tests, NULL, NULL);
}
