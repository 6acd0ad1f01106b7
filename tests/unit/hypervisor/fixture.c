/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A question to the fake libvirt.so.0 (tests/libvirt/fake.c), whose state a test writes. */
#include "fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>
#include <base/file.h>

char *fake_dir;
GString *fake_state;
static char *library_path; /* LD_LIBRARY_PATH, which a test may change */

char *fake_at(const char *name)
{
    return g_build_filename(fake_dir, name, NULL);
}

void fake_write_file(const char *name, const char *text)
{
    g_autofree char *path = fake_at(name);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

gboolean fake_file_exists(const char *name)
{
    g_autofree char *path = fake_at(name);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

int fake_setup(void **unused)
{
    g_autofree char *path = NULL;

    library_path = g_strdup(g_getenv("LD_LIBRARY_PATH"));
    fake_dir = g_dir_make_tmp("hypervisor-XXXXXX", NULL);
    path = fake_at("fake");
    g_setenv("FAKE_LIBVIRT", path, TRUE);
    fake_state = g_string_new(NULL);
    g_string_printf(fake_state, "[calls]\nlog = %s/log\n", fake_dir);
    fake_write_file("disk", "content");
    return 0;
}

int fake_teardown(void **unused)
{
    const char *name;
    GDir *open = g_dir_open(fake_dir, 0, NULL);

    while ((name = g_dir_read_name(open))) {
        g_autofree char *path = fake_at(name);

        g_unlink(path);
    }
    g_dir_close(open);
    g_setenv("LD_LIBRARY_PATH", library_path, TRUE);
    g_free(library_path);
    g_rmdir(fake_dir);
    g_free(fake_dir);
    g_string_free(fake_state, TRUE);
    return 0;
}

void fake_add(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_string_append_vprintf(fake_state, format, args);
    va_end(args);
}

void fake_write_document(const char *name, const char *disks)
{
    g_autoptr(GString) xml = g_string_new(disks);

    g_string_replace(xml, "DIR", fake_dir, 0);
    g_string_prepend(xml, "<domain><devices>");
    g_string_append(xml, "</devices></domain>");
    fake_write_file(name, xml->str);
}

void fake_add_domain(const char *domain_state)
{
    g_autofree char *xml = g_strdup_printf(
        "<domain><devices>"
        "<channel><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>"
        "<disk><source file='%s/disk'/><target dev='vda'/></disk></devices></domain>",
        fake_dir);

    fake_write_file("web1.xml", xml);
    fake_add("[domain 1]\nname = web1\nstate = %s\nblocks = vda:%s/disk\n"
             "xml = %s/web1.xml\nsaved-xml = %s/web1.xml\n",
             domain_state, fake_dir, fake_dir, fake_dir);
}

guint fake_calls(const char *line)
{
    g_autofree char *path = fake_at("log");
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    guint count = 0;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    lines = g_strsplit(text, "\n", -1);
    for (char **one = lines; *one; one++)
        count += strcmp(*one, line) == 0;
    return count;
}

CstHypervisor *fake_hypervisor(unsigned deadline_s)
{
    const char *const uris[] = {"qemu:///system", NULL};

    return cst_hypervisor_new(uris, NULL, deadline_s);
}

GPtrArray *fake_ask(CstHypervisor *hypervisor, GError **error)
{
    CstHypervisorVolume volume = {.pool = "p", .volume = "v"};
    g_autofree char *path = fake_at("disk");
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    fake_write_file("fake", fake_state->str);
    cst_hypervisor_volume_set_file(&volume, fd);
    return cst_hypervisor_find(hypervisor, &volume, NULL, error);
}

GPtrArray *fake_find(guint count)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(60);
    g_autoptr(GError) error = NULL;
    GPtrArray *disks = fake_ask(hypervisor, &error);

    if (!disks)
        fail_msg("%s", error->message);
    else
        assert_int_equal(disks->len, count);
    return disks;
}
