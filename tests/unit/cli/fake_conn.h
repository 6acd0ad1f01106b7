/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * A connection for the tests of the command line. It implements the functions of conn/conn.h,
 * keeps a few pools in memory and counts changes. There is one instance per process.
 */
typedef struct {
    CstPoolRef ref;
    gboolean active, persistent, autostart;
    CstPoolInfo info;
    char *xml;
} FakePool;

typedef struct {
    GPtrArray *pools; /**< of FakePool */
    guint changes;    /**< calls that change something */
    char *last_xml;   /**< XML of the last define or create */
    unsigned last_flags;
    const char *health; /**< the state of the storage of "images"; NULL: unknown */
    char *fail_open;    /**< message: cst_conn_open() fails; NULL: it works */
} FakeWorld;

extern FakeWorld fake_world;

/** Empties the connection and adds two pools: "images" (running) and "backup" (inactive). */
void fake_world_reset(void);
void fake_world_clear(void);
FakePool *fake_world_add_pool(const char *name, const char *uuid, gboolean active);
