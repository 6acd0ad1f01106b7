/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads which storage driver the libvirtd of this host will load, for cisternd --check-takeover.
 * Reads files only. The package cistern-libvirt makes the driver's name a link to Cistern's driver,
 * and has dpkg divert the file of libvirt. dpkg keeps three lines for each diversion: the name, the
 * diverted name and the package.
 */
#include "libvirt_driver.h"

#include <string.h>
#include <unistd.h>

#include <base/file.h>
#include <base/i18n.h>

#define DRIVER_MAX       (4 * 1024 * 1024)                   /* bytes of a driver */
#define DIVERSIONS_MAX   (1024 * 1024)                       /* bytes */
#define DRIVER_MARK      "libvirt_driver_storage of Cistern" /* in each report of the driver */
#define LIBRARY          "libvirt.so.0." /* followed by MAJOR * 1000 + MINOR, "." and RELEASE */
#define ANY_VERSION      "etc/cistern/libvirt-any"
#define VERSION_PARTS(v) (v) / 1000000, (v) / 1000 % 1000, (v) % 1000

char *libvirt_driver_find(const char *root, const char *kind)
{
    g_autofree char *file = g_strdup_printf("libvirt/connection-driver/libvirt_driver_%s.so", kind);
    g_autofree char *base = g_build_filename(root, "usr/lib", NULL);
    g_autoptr(GDir) dir = g_dir_open(base, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(base, name, file, NULL);

        /* A link whose target is missing counts, because it may be absolute and below @root. */
        if (access(path, F_OK) == 0 || g_file_test(path, G_FILE_TEST_IS_SYMLINK))
            return g_steal_pointer(&path);
    }
    return NULL;
}

gboolean libvirt_driver_is_ours(const char *root, const char *path)
{
    g_autofree char *target = g_file_read_link(path, NULL);
    g_autofree char *file = target && g_path_is_absolute(target)
                                ? g_build_filename(root, target, NULL)
                                : g_strdup(path);
    g_autofree char *content = NULL;
    size_t len = 0;

    return cst_file_read(file, DRIVER_MAX, &content, &len, NULL) &&
           memmem(content, len, DRIVER_MARK, strlen(DRIVER_MARK)) != NULL;
}

/* Returns @path as it is named inside of @root. */
static const char *path_inside(const char *root, const char *path)
{
    return path + (g_str_equal(root, "/") ? 0 : strlen(root));
}

char *libvirt_driver_diversion_problem(const char *root, const char *path)
{
    g_autofree char *status = g_build_filename(root, "var/lib/dpkg/status", NULL);
    g_autofree char *diversions = g_build_filename(root, "var/lib/dpkg/diversions", NULL);
    const char *inside = path_inside(root, path);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    size_t len;

    if (access(status, F_OK) < 0)
        return NULL; /* no dpkg */
    if (cst_file_read(diversions, DIVERSIONS_MAX, &text, &len, NULL))
        lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines && lines[i] && lines[i + 1] && lines[i + 2]; i += 3)
        if (g_str_equal(lines[i], inside))
            return NULL;
    return g_strdup_printf(
        _("dpkg has no diversion of '%s': an upgrade of libvirt replaces Cistern's driver; "
          "dpkg-divert --local --no-rename --divert %s.libvirt --add %s"),
        inside, inside, inside);
}

/* Returns the version of the libvirt in the directory @dir as virGetVersion() does; 0: unknown. */
static guint64 library_version(const char *dir)
{
    g_autoptr(GDir) folder = g_dir_open(dir, 0, NULL);
    guint64 newest = 0;
    const char *name;

    while (folder && (name = g_dir_read_name(folder))) {
        char *end;
        guint64 major_minor, release;

        if (!g_str_has_prefix(name, LIBRARY))
            continue;
        major_minor = g_ascii_strtoull(name + strlen(LIBRARY), &end, 10);
        release = *end == '.' ? g_ascii_strtoull(end + 1, &end, 10) : 0;
        if (*end == '\0' && major_minor < 1000000 && release < 1000)
            newest = MAX(newest, major_minor * 1000 + release);
    }
    return newest;
}

char *libvirt_driver_version_problem(const char *root, const char *path)
{
    g_autofree char *drivers = g_path_get_dirname(path);
    g_autofree char *libvirt = g_path_get_dirname(drivers);
    g_autofree char *dir = g_path_get_dirname(libvirt);
    g_autofree char *any = g_build_filename(root, ANY_VERSION, NULL);
    const guint tested = CST_LIBVIRT_TESTED;
    guint version = (guint)library_version(dir);

    if (version <= tested || access(any, F_OK) == 0)
        return NULL;
    return g_strdup_printf(_("libvirt %u.%u.%u is newer than %u.%u.%u, the newest tested version: "
                             "libvirtd would start without storage, and end running guests that "
                             "use volumes; create '/%s' to use it all the same"),
                           VERSION_PARTS(version), VERSION_PARTS(tested), ANY_VERSION);
}
