/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake_sysfs.h"

/** A host with iscsiadm, iscsid and a target, simulated by fake-iscsiadm below kernel_folder. */

#define IQN      "iqn.2026-01.lab:one"
#define PLAIN    "libvirt-iface-00000000"
#define BY_PATH  "/dev/disk/by-path/ip-127.0.0.1:3260-iscsi-" IQN "-lun-1"
#define ONE_HOST "<host name='127.0.0.1'/>"

/** cmocka's fixtures. The target is offered by 127.0.0.1 and 127.0.0.2. */
int site_set_up(void **state);
int site_tear_down(void **state);

/** Returns the document of a pool, with @more in <source> and @options after <target>. */
char *site_xml(const char *more, const char *options);
/** Opens a pool with @more in its <source>. */
CstPoolState *site_pool(const char *more);
/** Makes the tool misbehave at @operation (see fake-iscsiadm). */
void site_lie(const char *operation, const char *how);
/** Returns the text of a file, or an empty string if it does not exist. */
char *site_read(const char *path);
/** Returns the sorted names in a directory, joined by spaces. */
char *site_list(const char *path);
void assert_list(const char *path, const char *wanted);
/** Returns the calls of the tool since the last call of this function. */
char *site_calls(void);
/** Checks that no session, no record and no interface is left, except the package's own. */
void assert_nothing_left(void);
/** Start or stop the pool, and fail the test on failure. */
void site_start(CstPoolState *pool);
void site_stop(CstPoolState *pool);
void assert_start_fails(CstPoolState *pool, int code, const char *words);
gboolean site_is_active(CstPoolState *pool);
/** Makes the kernel report "LOGGED_IN", "FAILED" or "FREE" for a session of the tool. */
void site_set_state(unsigned sid, const char *state);
