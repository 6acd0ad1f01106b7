/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * A Ceph cluster in memory, behind libraries that are called as Ceph's are: a program that is
 * linked with them finds them when the product loads "librados.so.2" and "librbd.so.1". Pools,
 * namespaces, images with snapshots and clones behave as rados/librados.h and rbd/librbd.h document
 * them, and OSDs answer the methods of the class "rbd". Each call can be made to fail, or to hang.
 *
 * A whole program finds it by LD_LIBRARY_PATH: an empty cluster, which lets "libvirt" in with the
 * key $FAKE_CEPH_KEY.
 */

/** An empty cluster: the pool "libvirt" (5), no authentication, clients since Mimic, no faults. */
void fake_ceph_reset(void);
/** @user NULL: nobody has to prove anything. */
void fake_ceph_require(const char *user, const char *key);
/** Lets "admin" in with @key (base64), who may change the user's key; NULL: nobody may. */
void fake_ceph_require_admin(const char *key);
/** A cluster that goes on accepting the keys that were replaced. */
void fake_ceph_keep_old_keys(gboolean keep);
/** The user's section of the keyring, as "auth get" prints it; the caller frees it. */
char *fake_ceph_keyring(void);
/** Which clients the cluster puts up with: Ceph's number of a release, 13 for Mimic. */
void fake_ceph_require_release(int release);
void fake_ceph_add_pool(const char *pool);
void fake_ceph_add_namespace(const char *pool, const char *namespace);
/** With all that is in it; nothing there may be open. */
void fake_ceph_drop_namespace(const char *pool, const char *namespace);

/** After @skip more calls, the next @times calls of @function do nothing and return @result. */
void fake_ceph_fail(const char *function, guint skip, guint times, int result);
/** Calls of @function wait until fake_ceph_resume(). */
void fake_ceph_hang(const char *function);
void fake_ceph_resume(void);
/** Waits until @count calls of @function hang. */
void fake_ceph_wait_hanging(const char *function, guint count);
/** How often @function has been called since the reset. */
guint fake_ceph_calls(const char *function);

/**
 * Waits until @count clients are connected, because one whose call is done already may leave after
 * it.
 */
void fake_ceph_await_clients(guint count);
/** Open handles. */
guint fake_ceph_open_images(void);
/** Pools that were opened (rados_ioctx_create) and not closed. */
guint fake_ceph_open_pools(void);
/** Completions that somebody has not released yet, the cluster itself among them. */
guint fake_ceph_completions(void);

/* Objects in the cluster. @namespace "": the default namespace. */

/** "image" and "image@snapshot", in order; without what is in the trash. Freed by the caller. */
char **fake_ceph_list(const char *pool, const char *namespace);
/**
 * All that there is, as text in order: the metadata of the pool, each image with its size, where it
 * comes from and how its content begins, and its snapshots. What differs from run to run (ids,
 * times) is left out. Freed by the caller.
 */
char *fake_ceph_dump(const char *pool, const char *namespace);
/** The image was made @seconds ago. */
void fake_ceph_set_age(const char *pool, const char *namespace, const char *image, guint seconds);
void fake_ceph_set_flags(const char *pool, const char *namespace, const char *image, guint64 flags);
/** Of the old format: no id, no features. */
void fake_ceph_set_old(const char *pool, const char *namespace, const char *image);
/** Option of the connection that was made last; NULL: not set. */
const char *fake_ceph_option(const char *key);
