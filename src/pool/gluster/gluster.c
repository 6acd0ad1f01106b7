/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's table, and the lifecycle of a pool's state. No function contacts the servers before
 * a start or a first call, because a definition must load while its servers are down.
 */
#include "gluster.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include <base/i18n.h>
#include <base/url.h>
#include <pool/files.h>

#define USUAL_PORT 24007

/* --- the state -------------------------------------------------------------------------------- */

/* Adds the prefixes of URLs through @host. Without a port if @port is 0. */
static void add_prefixes(GStrvBuilder *builder, const GlusterConf *conf, const CstHost *host,
                         guint port, const char *path)
{
    gboolean bare_ipv6 = strchr(host->name, ':') && host->name[0] != '[';
    g_autofree char *at = port ? g_strdup_printf(":%u", port) : g_strdup("");
    g_autofree char *rest =
        g_strconcat(bare_ipv6 ? "[" : "", host->name, bare_ipv6 ? "]" : "", at, path, NULL);
    g_autofree char *plain = g_strconcat("gluster://", rest, NULL);
    g_autofree char *tcp = g_strconcat("gluster+tcp://", rest, NULL);

    g_strv_builder_add(builder, plain);
    g_strv_builder_add(builder, tcp);
}

static GStrv prefixes_of(const GlusterConf *conf)
{
    const CstPoolDef *def = conf->def;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autofree char *first = gluster_conf_url(conf);
    g_autofree char *path = g_strconcat("/", def->source.name, conf->directory,
                                        g_str_equal(conf->directory, "/") ? "" : "/", NULL);
    g_autofree char *escaped = cst_url_escape_path(path);

    g_strv_builder_add(builder, first);
    for (guint i = 0; strcmp(conf->transport, "tcp") == 0 && i < def->source.hosts->len; i++) {
        const CstHost *host = g_ptr_array_index(def->source.hosts, i);

        add_prefixes(builder, conf, host, host->port, escaped);
        if (host->port == 0 || host->port == USUAL_PORT)
            add_prefixes(builder, conf, host, USUAL_PORT - host->port, escaped);
    }
    return g_strv_builder_end(builder);
}

/* Returns the suffix of our URLs: with transport unix, the path of the socket. */
static char *gluster_url_suffix(const GlusterConf *conf)
{
    const CstHost *host = g_ptr_array_index(conf->def->source.hosts, 0);
    g_autofree char *escaped = NULL;

    if (strcmp(conf->transport, "unix") != 0)
        return g_strdup("");
    escaped = cst_url_escape_path(host->name);
    return g_strconcat("?socket=", escaped, NULL);
}

static CstPoolState *gluster_open_state(const CstPoolDef *def, GError **error)
{
    g_autoptr(CstPoolDef) copy = cst_pool_def_copy(def);
    GlusterConf conf;
    GlusterState *state;

    if (!gluster_conf_read(copy, &conf, error))
        return NULL;
    state = g_new0(GlusterState, 1);
    state->head.def = g_steal_pointer(&copy);
    state->conf = conf;
    state->place = gluster_place_get(&conf);
    state->prefixes = prefixes_of(&conf);
    state->suffix = gluster_url_suffix(&conf);
    g_mutex_init(&state->lock);
    gluster_recent_init(&state->recent);
    return &state->head;
}

static void gluster_close_state(CstPoolState *head)
{
    GlusterState *state = (GlusterState *)head;

    gluster_place_unref(state->place);
    gluster_conf_clear(&state->conf);
    g_strfreev(state->prefixes);
    g_free(state->suffix);
    g_free(state->expected);
    g_mutex_clear(&state->lock);
    gluster_recent_clear(&state->recent);
    cst_pool_def_free(head->def);
    g_free(state);
}

static gint64 gluster_patience(const CstPoolDef *def)
{
    g_auto(GlusterConf) conf = {0};

    return gluster_conf_read(def, &conf, NULL) ? conf.timeout_ms * G_TIME_SPAN_MILLISECOND : 0;
}

/* --- identity --------------------------------------------------------------------------------- */

/* A line without an id sets no expectation. */
static char *gluster_identity(CstPoolState *state, GError **error)
{
    g_autoptr(GlusterConn) conn = gluster_connect(state, error);

    return conn ? g_strdup_printf("gluster %s\n", conn->id) : NULL;
}

/* A start accepts the current volume. Otherwise the recorded volume is expected. */
static gboolean gluster_expect(CstPoolState *head, const char *recorded, gboolean starting,
                               GError **error)
{
    GlusterState *state = (GlusterState *)head;
    g_auto(GStrv) words = g_strsplit(recorded ? recorded : "", " ", 2);
    g_autoptr(GlusterConn) conn = NULL;

    if (!starting) {
        g_mutex_lock(&state->lock);
        g_clear_pointer(&state->expected, g_free);
        if (g_strcmp0(words[0], "gluster") == 0 && words[1] && *g_strstrip(words[1]))
            state->expected = g_strdup(words[1]);
        g_mutex_unlock(&state->lock);
        return TRUE;
    }
    conn = gluster_connect(head, error);
    if (!conn)
        return FALSE;
    gluster_expect_now(state, conn);
    return TRUE;
}

/* --- callbacks -------------------------------------------------------------------------------- */

/*
 * Always active, because a pool needs no mount on this host. The following refresh verifies that
 * the servers respond, which may take long.
 */
static gboolean gluster_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    *ret_active = TRUE;
    return TRUE;
}

static gboolean start_failed(const GlusterConf *conf, int err, GError **error)
{
    const char *slash = g_str_has_suffix(conf->directory, "/") ? "" : "/";

    return cst_gluster_fail(error, err, _("failed to change to directory '%s%s' in '%s'"),
                            conf->directory, slash, conf->def->source.name);
}

static gboolean gluster_start(CstPoolState *state, GError **error)
{
    const GlusterConf *conf = &((GlusterState *)state)->conf;
    g_autoptr(GlusterConn) conn = gluster_connect(state, error);
    struct stat st;

    if (!conn)
        return FALSE;
    if (conn->gluster->glfs_stat(conn->fs, conf->self, &st) < 0)
        return start_failed(conf, errno, error);
    return S_ISDIR(st.st_mode) || start_failed(conf, ENOTDIR, error);
}

static gboolean gluster_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    const GlusterConf *conf = &((GlusterState *)state)->conf;
    g_autoptr(GlusterConn) conn = gluster_connect(state, error);
    struct statvfs fs;

    if (!conn)
        return FALSE;
    if (conn->gluster->glfs_statvfs(conn->fs, conf->self, &fs) < 0)
        return cst_gluster_fail(error, errno, _("cannot statvfs path '%s' in '%s'"),
                                conf->directory, conf->def->source.name);
    ret_usage->capacity = (uint64_t)fs.f_frsize * fs.f_blocks;
    ret_usage->available = (uint64_t)fs.f_frsize * fs.f_bfree;
    ret_usage->allocation = ret_usage->capacity - ret_usage->available;
    return TRUE;
}

const CstBackend cst_gluster_backend = {
    .type = CST_POOL_GLUSTER,
    .keeps_trash = TRUE,
    .reserved_prefix = CST_DRAFT_PREFIX,
    .remote = TRUE,
    .ends_dry_runs = TRUE,
    .open = gluster_open_state,
    .close = gluster_close_state,
    .check = gluster_check,
    .scan = gluster_scan,
    .scan_one = gluster_scan_one,
    .usage = gluster_usage,
    .vol_path = gluster_vol_path,
    .vol_resolve = gluster_vol_resolve,
    .touch = gluster_touch,
    .patience = gluster_patience,
    .start = gluster_start,
    .drop_drafts = gluster_drop_drafts,
    .identity = gluster_identity,
    .expect = gluster_expect,
    .discover = gluster_discover,
    .vol_reserve = gluster_vol_reserve,
    .vol_commit = gluster_vol_commit,
    .vol_abandon = gluster_vol_abandon,
    .vol_delete = gluster_vol_delete,
    .vol_rename = gluster_vol_rename,
    .vol_link = gluster_vol_link,
    .vol_take = gluster_vol_take,
    .vol_declare = gluster_vol_declare,
    .vol_open = gluster_vol_open,
    .vol_holders = gluster_vol_holders,
};
