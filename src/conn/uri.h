/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Connection URIs, with libvirt's syntax and meaning (libvirt docs/uri.rst): scheme[+transport]://
 * [user@]host[:port]/path?params; and storage:///embed?root=DIR, which is an extension.
 */

typedef enum { CST_URI_EMBEDDED, CST_URI_UNIX, CST_URI_SSH } CstUriTarget;

typedef struct {
    CstUriTarget target;
    char *name;   /**< for CONNECT_OPEN: without the transport and the client's parameters */
    char *socket; /**< path of the socket; with ssh, on the remote host */
    char *root;   /**< embedded: root=; NULL: not given */

    /* ssh only; NULL or 0: not given */
    char *host;
    char *user;
    int port;
    char *command; /**< program to run instead of ssh */
    char *netcat;  /**< program to run on the remote host instead of nc */
    char *keyfile;
    char *known_hosts;
    gboolean no_tty;
    gboolean no_verify;
    gboolean unattended; /**< ssh does not prompt and does not write to the terminal */
} CstConnUri;

/** Frees the memory that @uri owns and zeroes it. */
void cst_conn_uri_clear(CstConnUri *uri);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstConnUri, cst_conn_uri_clear)

/** The directories that are searched for sockets. */
typedef struct {
    const char *system_run;  /**< run/libvirt of the root in use */
    const char *session_run; /**< run/libvirt of the user's session */
} CstUriSocketDirs;

/**
 * Parses @text and selects the socket, which depends on the existing ones. The caller clears
 * *ret_uri. Fails with NO_CONNECT for an unknown scheme, UNSUPPORTED for a transport that is not
 * built in, USAGE for a URI with a password, and INVALID for any other error.
 */
gboolean cst_conn_uri_parse(const char *text, const CstUriSocketDirs *dirs, gboolean read_only,
                            CstConnUri *ret_uri, GError **error);

/** Returns the command line that connects to uri->socket over ssh. g_strfreev() it. */
char **cst_conn_uri_ssh_argv(const CstConnUri *uri);
