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

/** RBD pools on a Ceph in memory (tests/ceph), through the checking dispatcher. */

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))
#define assert_says(error, words)  assert_non_null(strstr((error)->message, words))

/** The environment of most tests: a new cluster, its open pool, and volumes of one size. */
#define SITE_SIZE (8 * CST_MIB)
extern CstPoolState *site_pool;
int site_set_up(void **unused);
int site_tear_down(void **unused);
/** Makes a volume of SITE_SIZE bytes in site_pool. */
void site_make_plain(const char *name);

/** Opens the pool "p", which is Ceph's pool "libvirt"; @config: rbd:option elements, or "". */
CstPoolState *site_open(const char *config);
/** Returns the <volume> with that name; @options: elements of the type's namespace, or "". */
CstVolDef *site_vol_def(const char *name, uint64_t size, const char *options);
/** Makes a volume, like the service. Its draft has the token @name. */
gboolean site_make(CstPoolState *state, const char *name, uint64_t size, const char *options,
                   GError **error);
/** Makes a clone in the same way; @snapshot NULL: of the present content of @source. */
gboolean site_clone(CstPoolState *state, const char *name, uint64_t size, const char *source,
                    const char *snapshot, GError **error);
/** Writes @text to the start of a volume. */
void site_write(CstPoolState *state, const char *name, const char *text);
void site_snap(CstPoolState *state, const char *name, const char *snapshot);
/** Returns "NAME CAPACITY ALLOCATION BACKING PROBLEM", one line per volume, sorted. */
char *site_scan(CstPoolState *state, GError **error);
/** Like site_scan(), for one volume; "none" if it does not exist. */
char *site_scan_one(CstPoolState *state, const char *name, GError **error);
/** Checks the content of the cluster's pool, in the form of fake_ceph_dump(). */
void site_assert_dump(const char *expected);
/** Checks that @done is FALSE, and that @error has @code and contains @words. Clears @error. */
void site_assert_failed(gboolean done, GError **error, int code, const char *words);
/** Opens an image like another client. The caller closes it. */
rbd_image_t site_open_elsewhere(RbdConn *conn, const char *name);
RbdConn *site_another_client(CstPoolState **ret_other);
