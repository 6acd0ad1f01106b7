/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake_sysfs.h"

/** A host with iscsiadm, iscsid and a target, which fake-iscsiadm plays below kernel_folder. */

#define IQN      "iqn.2026-01.lab:one"
#define PLAIN    "libvirt-iface-00000000"
#define BY_PATH  "/dev/disk/by-path/ip-127.0.0.1:3260-iscsi-" IQN "-lun-1"
#define ONE_HOST "<host name='127.0.0.1'/>"

/** cmocka's fixtures. The target is offered by 127.0.0.1 and 127.0.0.2. */
int site_set_up(void **state);
int site_tear_down(void **state);

/** Document of a pool, with @more in its <source> and @options behind its <target>. */
char *site_xml(const char *more, const char *options);
/** Opens a pool with @more in its <source>. */
CstPoolState *site_pool(const char *more);
/** Has the tool lie about @operation (see fake-iscsiadm). */
void site_lie(const char *operation, const char *how);
/** Text of a file; empty when there is none. */
char *site_read(const char *path);
/** Names in a folder in order, joined by spaces. */
char *site_list(const char *path);
void assert_list(const char *path, const char *wanted);
/** What the tool was called with since the last time. */
char *site_calls(void);
/** There is no session, no record and no interface but the package's own. */
void assert_nothing_left(void);
/** Starts or stops the pool, which must work. */
void site_start(CstPoolState *pool);
void site_stop(CstPoolState *pool);
void assert_start_fails(CstPoolState *pool, int code, const char *words);
gboolean site_is_active(CstPoolState *pool);
/** Has the kernel say "LOGGED_IN", "FAILED" or "FREE" of a session that the tool made. */
void site_set_state(unsigned sid, const char *state);
