/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <fake_gluster.h>
#include <pool/pool.h>

#include "gluster/gluster.h"

/** Gluster pools on a volume in a directory (tests/gluster), through the checking dispatcher. */

/** The pool "p" on the directory "/d" of the volume "gv0", whose servers are "one" and "two". */
extern CstPoolState *site_pool;
/** The volume's directory on this host. */
extern char *site_volume;

int site_set_up(void **unused);
/** Waits until no file and no connection is open. A leak aborts the test. */
int site_tear_down(void **unused);

/** Opens the pool of a definition. Returns NULL with @error set on failure. */
CstPoolState *site_open_xml(const char *xml, GError **error);
/** Opens a pool on directory @dir; @options: elements of our namespace, or "". */
CstPoolState *site_open(const char *dir, const char *options);
/** Returns the path on this host of a file in the pool's directory. Free it with g_free(). */
char *site_path(const char *name);
/** Writes @text to the file @name. */
void site_put(const char *name, const char *text);
/** Makes a volume of @format, like the service. Its draft has the token @name. */
gboolean site_make(const char *name, const char *format, GError **error);
/** Returns "NAME TYPE FORMAT CAPACITY BACKING PROBLEM", one line per volume, sorted. */
char *site_scan(GError **error);
/** Like site_scan(), for one volume; "none" if it does not exist. */
char *site_scan_one(const char *name, GError **error);
/** Checks that @done is FALSE, and that @error has @code and contains @words. Clears @error. */
void site_assert_failed(gboolean done, GError **error, int code, const char *words);
