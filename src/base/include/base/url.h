/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The path of a URL, escaped as libvirt (libxml2) does it in what it shows. g_free() it. */
char *cst_url_escape_path(const char *path);
/** Undoes it; NULL: no such text, or it has an escaped NUL. g_free() it. */
char *cst_url_unescape_path(const char *escaped);
/**
 * The file that an image in @directory means by @reference. Relative references are relative to
 * the directory, which is a path or a URL (RFC 3986, without a query); URLs and "json:" stay as
 * they are. g_free() it.
 */
char *cst_reference_resolve(const char *directory, const char *reference);
/**
 * The clean path of the local file that QEMU means by an absolute @reference: a path, "file:PATH",
 * or "json:{…}" that names one file. Other references stay as they are. g_free() it.
 */
char *cst_reference_path(const char *reference);
/**
 * Whether @reference is a relative path of plain names, none of them ".." or empty, so that it
 * stays below the directory that it is relative to.
 */
gboolean cst_reference_is_below(const char *reference);
/**
 * @text for people: a URL without user, password, query and fragment, which may hold secrets. Text
 * that is no URL stays as it is. g_free() it.
 */
char *cst_url_shown(const char *text);
/**
 * The name of a file in an image, for people: a URL as cst_url_shown() gives it, also inside of
 * "json:{…}", whose values that may be secrets are "*". Paths stay as they are. g_free() it.
 */
char *cst_reference_shown(const char *reference);
/**
 * Overwrites the user, password, query and fragment of each URL in @text with "*"; of the URI of a
 * connection ("storage+ssh://…") only user and password, if it has a password. The length stays.
 * For text that was typed, such as a command line, whose URLs may be wrong: more may be overwritten
 * than is secret.
 */
void cst_url_mask(char *text);
