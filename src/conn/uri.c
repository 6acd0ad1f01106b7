/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing of connection URIs, and selection of a socket.
 *
 * A scheme has a list of sockets that may serve it, as in libvirt's mode "auto". The first existing
 * one is used. If no socket exists, the first one is used, so that the error names it. As in
 * libvirt, parameters that the client does not know are passed to the server.
 */
#include "uri.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#define REMOTE_RUN "/run/libvirt" /* on remote hosts; their --root is unknown */

/* A scheme and the sockets that may serve it, in order of preference. */
typedef struct {
    const char *scheme;
    const char *direct; /**< mode "direct": the modular daemon's socket */
    const char *candidates[4];
    const char *over_ssh; /**< over ssh, because existence cannot be tested there */
} Scheme;

static const Scheme schemes[] = {
    {"storage", "virtstoraged-sock", {"virtstoraged-sock", "libvirt-sock"}, "virtstoraged-sock"},
    {"secret",
     "virtsecretd-sock",
     {"virtsecretd-sock", "libvirt-sock", "virtstoraged-sock"},
     "virtstoraged-sock"},
    {"qemu",
     "virtqemud-sock",
     {"virtqemud-sock", "libvirt-sock", "virtstoraged-sock"},
     "libvirt-sock"},
};

#define LEGACY_SOCKET "libvirt-sock"

typedef struct {
    const Scheme *scheme;
    char *transport; /**< NULL: not given */
    char *mode;
    GString *rest; /**< parameters that are passed to the server */
} Parts;

static void parts_clear(Parts *parts)
{
    g_free(parts->transport);
    g_free(parts->mode);
    if (parts->rest)
        g_string_free(parts->rest, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parts, parts_clear)

void cst_conn_uri_clear(CstConnUri *uri)
{
    g_free(uri->name);
    g_free(uri->socket);
    g_free(uri->root);
    g_free(uri->host);
    g_free(uri->user);
    g_free(uri->command);
    g_free(uri->netcat);
    g_free(uri->keyfile);
    g_free(uri->known_hosts);
    memset(uri, 0, sizeof(*uri));
}

/* Parses "storage+ssh": the scheme before "+" selects the sockets, the transport follows it. */
static gboolean parse_scheme(const char *text, const char *scheme, Parts *parts, GError **error)
{
    const char *plus = strchr(scheme, '+');
    g_autofree char *driver = plus ? g_strndup(scheme, plus - scheme) : g_strdup(scheme);

    for (gsize i = 0; i < G_N_ELEMENTS(schemes); i++)
        if (strcmp(schemes[i].scheme, driver) == 0)
            parts->scheme = &schemes[i];
    if (!parts->scheme)
        return cst_fail(error, CST_ERROR_NO_CONNECT, "%s", text);
    parts->transport = plus ? g_strdup(plus + 1) : NULL;
    return TRUE;
}

/* Returns the member for parameter @name; NULL: the parameter is passed to the server. */
static char **param_slot(CstConnUri *uri, Parts *parts, const char *name)
{
    const struct {
        const char *name;
        char **slot;
    } slots[] = {
        {"socket", &uri->socket},           {"mode", &parts->mode},   {"root", &uri->root},
        {"command", &uri->command},         {"netcat", &uri->netcat}, {"keyfile", &uri->keyfile},
        {"known_hosts", &uri->known_hosts},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(slots); i++)
        if (strcmp(slots[i].name, name) == 0)
            return slots[i].slot;
    return NULL;
}

/*
 * Parses one "name=value" of the query. The client's own parameters are unescaped and stored. All
 * other parameters are passed to the server unchanged.
 */
static gboolean parse_param(const char *text, const char *param, CstConnUri *uri, Parts *parts,
                            GError **error)
{
    const char *equals = strchr(param, '=');
    g_autofree char *name = equals ? g_strndup(param, equals - param) : g_strdup(param);
    g_autofree char *value = g_uri_unescape_string(equals ? equals + 1 : "", NULL);
    char **slot = param_slot(uri, parts, name);

    if (!value)
        return cst_fail(error, CST_ERROR_INVALID, _("bad escape in parameter '%s' of URI '%s'"),
                        name, text);
    if (slot) {
        g_free(*slot);
        *slot = g_steal_pointer(&value);
    } else if (strcmp(name, "no_tty") == 0) {
        uri->no_tty = strcmp(value, "0") != 0;
    } else if (strcmp(name, "no_verify") == 0) {
        uri->no_verify = strcmp(value, "0") != 0;
    } else if (*param) {
        g_string_append_printf(parts->rest, "%c%s", parts->rest->len ? '&' : '?', param);
    }
    return TRUE;
}

static gboolean parse_query(const char *text, const char *query, CstConnUri *uri, Parts *parts,
                            GError **error)
{
    g_auto(GStrv) params = g_strsplit_set(query ? query : "", "&;", -1);

    for (guint i = 0; params[i]; i++)
        if (!parse_param(text, params[i], uri, parts, error))
            return FALSE;
    return TRUE;
}

static gboolean check_transport(const char *text, const Parts *parts, gboolean has_host,
                                GError **error)
{
    const char *transport = parts->transport;

    /* As in libvirt, a host without a transport means TLS. */
    if (!transport && has_host)
        transport = "tls";
    if (!transport || strcmp(transport, "unix") == 0 || strcmp(transport, "ssh") == 0)
        return TRUE;
    if (strcmp(transport, "tls") == 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("TLS is not built into this version; use %s+ssh:// instead of '%s'"),
                        parts->scheme->scheme, text);
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("transport '%s' of URI '%s' is not supported; use +unix or +ssh"), transport,
                    text);
}

static gboolean check_mode(const char *text, const char *mode, GError **error)
{
    if (!mode || strcmp(mode, "auto") == 0 || strcmp(mode, "direct") == 0 ||
        strcmp(mode, "legacy") == 0)
        return TRUE;
    return cst_fail(error, CST_ERROR_INVALID,
                    _("unknown mode '%s' in URI '%s'; use auto, direct or legacy"), mode, text);
}

static const char *socket_by_mode(const Parts *parts)
{
    if (g_strcmp0(parts->mode, "direct") == 0)
        return parts->scheme->direct;
    if (g_strcmp0(parts->mode, "legacy") == 0)
        return LEGACY_SOCKET;
    return NULL;
}

/* Returns the path of the first existing candidate, or of the first one if no candidate exists. */
static char *find_socket(const Parts *parts, const char *dir, const char *suffix)
{
    const char *fixed = socket_by_mode(parts);
    const Scheme *scheme = parts->scheme;

    for (guint i = 0; !fixed && scheme->candidates[i]; i++) {
        g_autofree char *path = g_strconcat(dir, "/", scheme->candidates[i], suffix, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&path);
    }
    return g_strconcat(dir, "/", fixed ? fixed : scheme->candidates[0], suffix, NULL);
}

static void choose_socket(const Parts *parts, const CstUriSocketDirs *dirs, gboolean session,
                          gboolean read_only, CstConnUri *uri)
{
    const char *suffix = read_only ? "-ro" : "";

    /* As in libvirt's client, socket= is used unchanged, also for read-only connections. */
    if (uri->socket)
        return;
    if (uri->target == CST_URI_SSH) {
        const char *fixed = socket_by_mode(parts);

        uri->socket =
            g_strconcat(REMOTE_RUN "/", fixed ? fixed : parts->scheme->over_ssh, suffix, NULL);
        return;
    }
    /* Sessions have no read-only socket. A flag of CONNECT_OPEN makes the connection read-only. */
    uri->socket = session ? find_socket(parts, dirs->session_run, "")
                          : find_socket(parts, dirs->system_run, suffix);
}

static gboolean parse_host(const char *text, GUri *guri, CstConnUri *uri, GError **error)
{
    const char *host = g_uri_get_host(guri);
    const char *user = g_uri_get_user(guri);

    if (!host || !*host)
        return cst_fail(error, CST_ERROR_INVALID, _("URI '%s' names no host to reach by ssh"),
                        text);
    /* ssh would parse such a name as an option. */
    if (*host == '-' || (user && *user == '-'))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("host or user name in URI '%s' starts with '-'"), text);
    uri->host = g_strdup(host);
    uri->user = user && *user ? g_strdup(user) : NULL;
    uri->port = g_uri_get_port(guri) > 0 ? g_uri_get_port(guri) : 0;
    return TRUE;
}

static gboolean parse_embed(const char *text, const Parts *parts, CstConnUri *uri, GError **error)
{
    if (parts->transport || uri->socket || parts->mode)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("URI '%s': an embedded connection has no transport, socket or mode"),
                        text);
    if (uri->root && !g_path_is_absolute(uri->root))
        return cst_fail(error, CST_ERROR_INVALID, _("URI '%s': root must be an absolute path"),
                        text);
    uri->target = CST_URI_EMBEDDED;
    uri->name = g_strdup("storage:///embed");
    return TRUE;
}

static gboolean uri_resolve_target(const char *text, GUri *guri, const CstUriSocketDirs *dirs,
                                   gboolean read_only, Parts *parts, CstConnUri *uri,
                                   GError **error)
{
    const char *host = g_uri_get_host(guri);
    const char *path = g_uri_get_path(guri);
    gboolean has_host = host && *host;
    gboolean session;

    if (strcmp(parts->scheme->scheme, "storage") == 0 && !has_host && strcmp(path, "/embed") == 0)
        return parse_embed(text, parts, uri, error);
    if (!check_transport(text, parts, has_host, error) || !check_mode(text, parts->mode, error))
        return FALSE;
    uri->target = g_strcmp0(parts->transport, "ssh") == 0 ? CST_URI_SSH : CST_URI_UNIX;
    if (uri->target == CST_URI_SSH && !parse_host(text, guri, uri, error))
        return FALSE;
    if (uri->target == CST_URI_UNIX && has_host)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("URI '%s' names a host, but a unix socket is on this one"), text);
    session = strcmp(path, "/session") == 0;
    /*
     * A session's socket is below the remote user's XDG_RUNTIME_DIR, which is unknown on this host.
     */
    if (session && uri->target == CST_URI_SSH && !uri->socket)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("URI '%s': the path of a session's socket on another host is unknown; "
                          "add ?socket=PATH"),
                        text);
    choose_socket(parts, dirs, session, read_only, uri);
    uri->name = g_strconcat(parts->scheme->scheme, "://", path, parts->rest->str, NULL);
    return TRUE;
}

/*
 * Whether @text has a password, also one with characters that should be escaped. The digits after
 * the colon are a port if no "@" follows them.
 */
static gboolean has_password(const char *text)
{
    const char *authority = strstr(text, "://"), *colon, *port_end;

    if (!authority)
        return FALSE;
    authority += strlen("://");
    colon = memchr(authority, ':', strcspn(authority, "/?#"));
    if (!colon || memchr(authority, '[', (size_t)(colon - authority))) /* IPv6 */
        return FALSE;
    port_end = colon + 1 + strspn(colon + 1, "0123456789");
    return strchr(colon, '@') && !memchr("/?#", *port_end, 3);
}

gboolean cst_conn_uri_parse(const char *text, const CstUriSocketDirs *dirs, gboolean read_only,
                            CstConnUri *ret_uri, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GUri) guri = g_uri_parse(text, G_URI_FLAGS_ENCODED_QUERY, &why);
    g_auto(Parts) parts = {0};
    g_auto(CstConnUri) uri = {0};

    if (has_password(text))
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("cannot use a connection URI with a password: other users of this host "
                          "could read it; leave it out, and log in with a key "
                          "(?keyfile=FILE, ssh-agent)"));
    if (!guri)
        return cst_fail(error, CST_ERROR_INVALID, _("cannot read URI '%s': %s"), text,
                        why->message);
    parts.rest = g_string_new(NULL);
    if (!parse_scheme(text, g_uri_get_scheme(guri), &parts, error) ||
        !parse_query(text, g_uri_get_query(guri), &uri, &parts, error) ||
        !uri_resolve_target(text, guri, dirs, read_only, &parts, &uri, error))
        return FALSE;
    *ret_uri = uri;
    memset(&uri, 0, sizeof(uri));
    return TRUE;
}

static void add_option(GPtrArray *argv, const char *option, const char *value)
{
    if (!value)
        return;
    g_ptr_array_add(argv, g_strdup(option));
    g_ptr_array_add(argv, g_strdup(value));
}

char **cst_conn_uri_ssh_argv(const CstConnUri *uri)
{
    GPtrArray *argv = g_ptr_array_new();
    /* sshd joins the words with spaces and passes them to the user's shell, so they are quoted. */
    g_autofree char *netcat = g_shell_quote(uri->netcat ? uri->netcat : "nc");
    g_autofree char *socket = g_shell_quote(uri->socket);
    g_autofree char *port = uri->port ? g_strdup_printf("%d", uri->port) : NULL;
    g_autofree char *hosts =
        uri->known_hosts ? g_strconcat("UserKnownHostsFile=", uri->known_hosts, NULL) : NULL;

    g_ptr_array_add(argv, g_strdup(uri->command ? uri->command : "ssh"));
    /* No terminal and no escape character, because the bytes are a protocol. */
    g_ptr_array_add(argv, g_strdup("-T"));
    add_option(argv, "-e", "none");
    add_option(argv, "-p", port);
    add_option(argv, "-l", uri->user);
    add_option(argv, "-i", uri->keyfile);
    add_option(argv, "-o", hosts);
    add_option(argv, "-o", uri->no_tty || uri->unattended ? "BatchMode=yes" : NULL);
    add_option(argv, "-o", uri->no_verify ? "StrictHostKeyChecking=no" : NULL);
    /* "--" prevents that a host name is parsed as an option. */
    g_ptr_array_add(argv, g_strdup("--"));
    g_ptr_array_add(argv, g_strdup(uri->host));
    g_ptr_array_add(argv, g_steal_pointer(&netcat));
    g_ptr_array_add(argv, g_strdup("-U"));
    g_ptr_array_add(argv, g_steal_pointer(&socket));
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, FALSE);
}
