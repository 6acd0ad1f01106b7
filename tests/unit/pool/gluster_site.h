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

/** Gluster pools on a volume in a directory (tests/gluster), through the checked dispatch. */

/** The pool "p" on the directory "/d" of the volume "gv0", whose servers are "one" and "two". */
extern CstPoolState *site_pool;
/** The volume, as this host sees it. */
extern char *site_volume;

int site_set_up(void **unused);
/** Waits until no file and no connection is open; a test that leaves one aborts. */
int site_tear_down(void **unused);

/** A definition's state; NULL with @error. */
CstPoolState *site_open_xml(const char *xml, GError **error);
/** The pool on directory @dir, with @options, elements of our namespace, or "". */
CstPoolState *site_open(const char *dir, const char *options);
/** A path on this host in the pool's directory; g_free() it. */
char *site_path(const char *name);
/** Puts @text there. */
void site_put(const char *name, const char *text);
/** Makes a volume of @format, as the service does; its draft has the token @name. */
gboolean site_make(const char *name, const char *format, GError **error);
/** "NAME TYPE FORMAT CAPACITY BACKING PROBLEM", a line each, in order. */
char *site_scan(GError **error);
/** The same for one volume; "none" where there is none. */
char *site_scan_one(const char *name, GError **error);
/** @done is what a call gave that should have failed with @error, which is cleared. */
void site_assert_failed(gboolean done, GError **error, int code, const char *words);
