/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <fake_ceph.h>
#include <pool/pool.h>
#include <works.h>

#include "rbd/rbd.h"

/** RBD pools on a Ceph in memory (tests/ceph), through the checked dispatch. */

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))
#define assert_says(error, words)  assert_non_null(strstr((error)->message, words))

/** What most tests have: a new cluster, its pool open, and volumes of one size. */
#define SITE_SIZE (8 * CST_MIB)
extern CstPoolState *site_pool;
int site_set_up(void **unused);
int site_tear_down(void **unused);
/** A volume of SITE_SIZE bytes in site_pool. */
void site_make_plain(const char *name);

/** The pool "p", which is Ceph's pool "libvirt"; @config: rbd:option elements, or "". */
CstPoolState *site_open(const char *config);
/** <volume> of that name with @options, elements of the type's namespace, or "". */
CstVolDef *site_vol_def(const char *name, uint64_t size, const char *options);
/** Makes a volume, as the service does; its draft has the token @name. */
gboolean site_make(CstPoolState *state, const char *name, uint64_t size, const char *options,
                   GError **error);
/** The same for a clone; @snapshot NULL: of what @source is now. */
gboolean site_clone(CstPoolState *state, const char *name, uint64_t size, const char *source,
                    const char *snapshot, GError **error);
/** Writes @text at the beginning. */
void site_write(CstPoolState *state, const char *name, const char *text);
void site_snap(CstPoolState *state, const char *name, const char *snapshot);
/** "NAME CAPACITY ALLOCATION BACKING PROBLEM", a line each, in order. */
char *site_scan(CstPoolState *state, GError **error);
/** The same for one volume; "none" where there is none. */
char *site_scan_one(CstPoolState *state, const char *name, GError **error);
/** The cluster's pool is as fake_ceph_dump() has it. */
void site_assert_dump(const char *expected);
/** @done is what a call gave that should have failed with @error, which is cleared. */
void site_assert_failed(gboolean done, GError **error, int code, const char *words);
/** Has it open as another client does; the caller closes it. */
rbd_image_t site_open_elsewhere(RbdConn *conn, const char *name);
RbdConn *site_another_client(CstPoolState **ret_other);
