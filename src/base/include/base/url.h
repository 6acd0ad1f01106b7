/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Returns the path of a URL, escaped as libvirt (libxml2) does in its output. g_free() it. */
char *cst_url_escape_path(const char *path);
/**
 * Undoes cst_url_escape_path(). Returns NULL for an invalid escape or an escaped NUL. g_free() it.
 */
char *cst_url_unescape_path(const char *escaped);
/**
 * Returns the file that @reference in an image in @directory refers to. A relative reference is
 * resolved against the directory, which is a path or a URL (RFC 3986, without a query). URLs and
 * "json:" are returned unchanged. g_free() it.
 */
char *cst_reference_resolve(const char *directory, const char *reference);
/**
 * Returns the canonical path of the local file that QEMU opens for an absolute @reference: a path,
 * "file:PATH", or "json:{…}" with one file. Returns any other reference unchanged. g_free() it.
 */
char *cst_reference_path(const char *reference);
/**
 * Whether @reference is a relative path of plain names without ".." and without an empty name, so
 * that it remains below the directory that it is relative to.
 */
gboolean cst_reference_is_below(const char *reference);
/**
 * Returns @text for display: a URL without user, password, query and fragment, which may hold
 * secrets. Text that is not a URL is returned unchanged. g_free() it.
 */
char *cst_url_shown(const char *text);
/**
 * Returns the reference of an image for display. A URL is shown as by cst_url_shown(), also inside
 * "json:{…}". Values there that may be secrets are shown as "*". Paths are returned unchanged.
 * g_free() it.
 */
char *cst_reference_shown(const char *reference);
/**
 * Overwrites the user, password, query and fragment of each URL in @text with "*". In a connection
 * URI ("storage+ssh://…") overwrites only user and password, and only if it has a password. The
 * length does not change. For typed text, such as a command line, in which URLs may be invalid; the
 * function may overwrite more than the secrets.
 */
void cst_url_mask(char *text);
