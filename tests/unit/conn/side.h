/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A provider with its own root, and the record of its answers. */

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error_class.h>
#include <base/file.h>
#include <conn/conn.h>
#include <conn/secrets.h>
#include <server/server.h>
#include <service/service.h>

typedef struct {
    char *root;
    CstConn *conn;
    CstService *service; /* remote only */
    CstWireServer *server;
    GString *log;
    GError *error; /* of the call under way */
} Side;

/* --- both sides ------------------------------------------------------------------------------ */

static inline int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static inline void start_server(Side *side)
{
    g_autoptr(CstPaths) paths = cst_paths_new(side->root);
    CstWireOptions options;

    assert_true(cst_dir_ensure(paths->run_dir, 0755, NULL));
    side->service = cst_service_new(paths, CST_SERVICE_DAEMON, NULL);
    assert_non_null(side->service);
    cst_service_start(side->service);
    cst_wire_options_init(&options);
    side->server = cst_wire_server_new(side->service, &options, NULL);
    assert_non_null(side->server);
    cst_wire_server_listen(side->server, listen_at(paths->socket), FALSE);
    cst_wire_server_listen(side->server, listen_at(paths->socket_ro), TRUE);
}

static inline void side_open(Side *side, gboolean remote)
{
    CstConnOptions options = {0};
    g_autoptr(GError) error = NULL;

    *side = (Side){.root = g_dir_make_tmp("cst-conn-XXXXXX", NULL), .log = g_string_new(NULL)};
    assert_non_null(side->root);
    if (remote)
        start_server(side);
    options.root = side->root;
    side->conn = cst_conn_open(NULL, &options, &error);
    if (!side->conn)
        fail_msg("%s", error->message);
    /* Without a URI the daemon is used if it answers, else this process. */
    assert_int_equal(cst_conn_is_embedded(side->conn), !remote);
}

static inline void side_close(Side *side)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", side->root);

    cst_conn_free(side->conn);
    cst_wire_server_free(side->server);
    cst_service_free(side->service);
    assert_int_equal(system(command), 0);
    g_free(side->root);
    g_string_free(side->log, TRUE);
}

/* --- writing down ---------------------------------------------------------------------------- */

/** The text with this side's root replaced, so that both read the same. */
static inline char *neutral(const Side *side, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, side->root, -1);

    return g_strjoinv("ROOT", parts);
}

G_GNUC_PRINTF(2, 3) static inline void note(Side *side, const char *format, ...)
{
    g_autofree char *text = NULL, *line = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    line = neutral(side, text);
    g_string_append_printf(side->log, "%s\n", line);
}

/** Records the result of a call, and clears the error. */
static inline void outcome(Side *side, const char *what, gboolean ok)
{
    g_autofree char *text = ok ? NULL : cst_error_text(side->error);

    assert_int_equal(ok, side->error == NULL);
    if (ok)
        note(side, "%s: done", what);
    else
        note(side, "%s: %s, exit %d: %s", what, cst_error_info(side->error->code)->word,
             cst_error_info(side->error->code)->exit, text);
    g_clear_error(&side->error);
}

/** Adopts @text. */
static inline void note_text(Side *side, const char *what, char *text)
{
    outcome(side, what, text != NULL);
    if (text)
        note(side, "%s", text);
    g_free(text);
}

#define UUID_A "11111111-2222-3333-4444-555555555555"

static inline CstPoolRef *make_pool(Side *side)
{
    g_autofree char *xml = g_strdup_printf("<pool type='dir'><name>a</name><uuid>" UUID_A "</uuid>"
                                           "<target><path>%s/images</path></target></pool>",
                                           side->root);
    CstPoolRef *pool = cst_conn_pool_define(side->conn, xml, 0, &side->error);

    outcome(side, "define", pool != NULL);
    assert_non_null(pool);
    return pool;
}

static inline CstPoolRef *make_active_pool(Side *side)
{
    CstPoolRef *pool = make_pool(side);

    outcome(side, "build", cst_conn_pool_build(side->conn, pool, 0, &side->error));
    outcome(side, "start", cst_conn_pool_start(side->conn, pool, 0, &side->error));
    return pool;
}

static inline void assert_same_log(const Side *local, const Side *remote)
{
    g_auto(GStrv) a = g_strsplit(local->log->str, "\n", -1);
    g_auto(GStrv) b = g_strsplit(remote->log->str, "\n", -1);
    guint i = 0;

    while (a[i] && b[i] && strcmp(a[i], b[i]) == 0)
        i++;
    if (a[i] || b[i])
        fail_msg("line %u\nlocal:  %s\nremote: %s", i + 1, a[i], b[i]);
}

/** @must: lines that prove that the sequence ran. */
static inline void compare(void (*play)(Side *side), const char *const *must)
{
    Side local, remote;

    side_open(&local, FALSE);
    side_open(&remote, TRUE);
    play(&local);
    play(&remote);
    for (guint i = 0; must[i]; i++)
        if (!strstr(local.log->str, must[i]))
            fail_msg("no \"%s\" in:\n%s", must[i], local.log->str);
    assert_same_log(&local, &remote);
    side_close(&local);
    side_close(&remote);
}
