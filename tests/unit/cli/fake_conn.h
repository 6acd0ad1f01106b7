/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * A connection for the tests of the command line: it has conn/conn.h's functions, keeps a few pools
 * in memory and counts what would have changed them. There is one world per process.
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
    char *last_xml;   /**< what define or create got last */
    unsigned last_flags;
    const char *health; /**< the state of the storage of "images"; NULL: it can't tell */
    char *fail_open;    /**< message: cst_conn_open() fails; NULL: it works */
} FakeWorld;

extern FakeWorld fake_world;

/** Empties the world and puts two pools in: "images" (running) and "backup" (inactive). */
void fake_world_reset(void);
void fake_world_clear(void);
FakePool *fake_world_add_pool(const char *name, const char *uuid, gboolean active);
