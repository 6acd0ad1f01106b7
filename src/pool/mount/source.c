/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Source, type and options for mount from a definition, as in libvirt, and the comparison of a
 * mount with that source. Texts of the definition become arguments of tools that root runs. Texts
 * that a tool would parse as options are refused.
 */
#include "mount.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <pool/tool.h>

/* The mount type of each format of netfs pools (pool_type.c). */
typedef struct {
    const char *name;    /* name of the format */
    const char *type;    /* for mount -t */
    const char *kernel;  /* prefix of the types in the kernel's table */
    const char *options; /* additional options; may be NULL */
} NetworkFormat;

static const NetworkFormat network_formats[] = {
    {"auto", "auto", "nfs", NULL},
    {"nfs", "nfs", "nfs", NULL},
    {"glusterfs", "glusterfs", "fuse.glusterfs", "direct-io-mode=1"},
    /*
     * Without nobrl the server enforces byte-range locks, so locks of QEMU and this program would
     * block writes.
     */
    {"cifs", "cifs", "cifs", "nobrl"},
};

/* libvirt's options of all mounts. */
#define DEFAULT_OPTIONS "nodev,nosuid,noexec"

static const NetworkFormat *network_format(const CstPoolDef *def)
{
    const char *name = cst_pool_format_name(def->type, def->source.format);

    for (size_t i = 0; i < G_N_ELEMENTS(network_formats); i++)
        if (g_strcmp0(network_formats[i].name, name) == 0)
            return &network_formats[i];
    return &network_formats[0];
}

static gboolean is_cifs(const CstPoolDef *def)
{
    return g_strcmp0(network_format(def)->type, "cifs") == 0;
}

/* An IPv6 address is put in brackets, because the path follows after a colon. */
static char *export_source(const CstPoolDef *def, const char *host)
{
    gboolean bracketed = strchr(host, ':') && *host != '[';
    const char *dir = def->source.dir;

    if (is_cifs(def))
        return g_strdup_printf("//%s/%s", host, dir + strspn(dir, "/"));
    return g_strdup_printf("%s%s%s:%s", bracketed ? "[" : "", host, bracketed ? "]" : "", dir);
}

static char *network_source(const CstPoolDef *def, GError **error)
{
    const CstHost *host;

    if (def->source.hosts->len != 1) {
        cst_fail(error, CST_ERROR_CONFIG, "%s", _("expected exactly 1 host for the storage pool"));
        return NULL;
    }
    host = g_ptr_array_index(def->source.hosts, 0);
    if (!cst_host_check(host->name, error))
        return NULL;
    if (def->source.dir)
        return export_source(def, host->name);
    cst_fail(error, CST_ERROR_CONFIG, "%s", _("missing source path"));
    return NULL;
}

char *mount_source(const CstPoolDef *def, GError **error)
{
    const CstPoolDevice *device;

    if (def->type == CST_POOL_NETFS)
        return network_source(def, error);
    if (def->source.devices->len != 1) {
        cst_fail(error, CST_ERROR_CONFIG, "%s",
                 _("expected exactly 1 device for the storage pool"));
        return NULL;
    }
    device = g_ptr_array_index(def->source.devices, 0);
    if (g_path_is_absolute(device->path))
        return g_strdup(device->path);
    cst_fail(error, CST_ERROR_INVALID, _("path '%s' is not absolute"), device->path);
    return NULL;
}

const char *mount_type(const CstPoolDef *def)
{
    const char *name;

    if (def->type == CST_POOL_NETFS)
        return network_format(def)->type;
    name = cst_pool_format_name(def->type, def->source.format);
    /* The kernel's name of the type differs from libvirt's. */
    return g_strcmp0(name, "hfs+") == 0 ? "hfsplus" : name;
}

/* --- options ---------------------------------------------------------------------------------- */

/* Refuses passwords, because all users of the host can read the arguments of mount. */
static gboolean refuse_password(const char *option, GError **error)
{
    static const char *const names[] = {"pass", "password", "pass2", "password2"};
    g_auto(GStrv) parts = g_strsplit(option, ",", -1);

    for (char **part = parts; *part; part++)
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
            if (g_str_has_prefix(*part, names[i]) && (*part)[strlen(names[i])] == '=')
                return cst_fail(error, CST_ERROR_INVALID,
                                _("mount option '%s' would show a password to everybody on this "
                                  "host; put it into a secret, and name that in <auth>"),
                                names[i]);
    return TRUE;
}

/* Returns whether the options identify the user, by name or by a Kerberos ticket. */
static gboolean names_user(const CstPoolDef *def)
{
    static const char *const begins[] = {"credentials=", "cred=", "user=", "username=", "sec=krb5"};

    for (guint i = 0; def->options && i < def->options->len; i++)
        for (size_t j = 0; j < G_N_ELEMENTS(begins); j++)
            if (g_str_has_prefix(((CstPoolOption *)g_ptr_array_index(def->options, i))->key,
                                 begins[j]))
                return TRUE;
    return FALSE;
}

static void add_network_options(GString *text, const CstPoolDef *def, gboolean authenticated)
{
    const NetworkFormat *format = network_format(def);

    if (def->source.protocol_ver)
        g_string_append_printf(text, ",nfsvers=%s", def->source.protocol_ver);
    if (format->options)
        g_string_append_printf(text, ",%s", format->options);
    /* mount.cifs opens its stdin by this path. */
    if (is_cifs(def) && authenticated)
        g_string_append(text, ",credentials=/proc/self/fd/0");
    else if (is_cifs(def) && !names_user(def))
        g_string_append(text, ",guest");
}

char *mount_options(const CstPoolDef *def, gboolean authenticated, GError **error)
{
    g_autoptr(GString) text = g_string_new(DEFAULT_OPTIONS);

    if (def->type == CST_POOL_NETFS)
        add_network_options(text, def, authenticated);
    for (guint i = 0; def->options && i < def->options->len; i++) {
        const CstPoolOption *option = g_ptr_array_index(def->options, i);

        if (!refuse_password(option->key, error))
            return NULL;
        g_string_append_printf(text, ",%s", option->key);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* --- comparison ------------------------------------------------------------------------------- */

/* Returns the colon between host and path in "host:/dir", or NULL if the text has another form. */
static const char *path_in(const char *source)
{
    const char *end = *source == '[' ? strchr(source, ']') : source;

    return end ? strchr(end, ':') : NULL;
}

/* Compares paths without slashes at either end, which a server ignores, except in its root. */
static gboolean is_same_dir(const char *a, const char *b)
{
    size_t len;

    a += strspn(a, "/");
    b += strspn(b, "/");
    len = strlen(a);
    while (len > 0 && a[len - 1] == '/')
        len--;
    return strncmp(a, b, len) == 0 && strspn(b + len, "/") == strlen(b + len);
}

static gboolean is_same_export(const char *a, const char *b)
{
    const char *in_a = path_in(a), *in_b = path_in(b);

    return in_a && in_b && in_a - a == in_b - b && strncmp(a, b, (size_t)(in_a - a)) == 0 &&
           is_same_dir(in_a + 1, in_b + 1);
}

/* The kernel's types are "nfs" and "nfs4", and for SMB "cifs" and "smb3". */
gboolean mount_is_export(const CstPoolDef *def, const char *source, const CstMount *mount)
{
    const char *type = mount->type ? mount->type : "";

    if (!mount->source)
        return FALSE;
    if (is_cifs(def))
        return (strcmp(type, "cifs") == 0 || strcmp(type, "smb3") == 0) &&
               is_same_dir(source, mount->source);
    return g_str_has_prefix(type, network_format(def)->kernel) &&
           is_same_export(source, mount->source);
}
