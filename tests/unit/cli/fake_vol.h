/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * The volumes of the connection in memory: what the calls were asked to do and how they fail. The
 * world's own pools hold them; there are none until a test adds some.
 */
typedef struct {
    char *pool, *name, *path;
    CstVolInfo info;
    char *format, *problem;
    const char *backing, *holder; /**< NULL: none */
    int64_t snapshots;
    gboolean is_protected;
} FakeVol;

typedef struct {
    GPtrArray *vols; /**< of FakeVol; NULL: none */
    char *last_xml;  /**< of the last creation */
    char *last_source;
    unsigned last_flags;
    uint64_t last_size, last_offset, last_length;
    unsigned last_algorithm;
    guint changes;
    char *fail;          /**< message: changes and transfers fail; NULL: they work */
    uint64_t fail_after; /**< bytes moved before a transfer fails */
    const char *content; /**< what a download gives */
    gboolean rots;       /**< what is sent is not quite what was received */
    GString *uploaded;   /**< what uploads gave */
    uint64_t last_rate;
    uint64_t detach_as;   /**< a wipe goes on as this job; 0: it ends */
    unsigned wants;       /**< what the last list asked besides */
    const char *no_names; /**< the pool where lookups by name fail; NULL: none */
    const char *no_lists; /**< the pool whose volumes can't be listed; NULL: none */
} FakeVols;

extern FakeVols fake_vols;

/** Path is /POOL/NAME, and the key too. */
FakeVol *fake_vols_add(const char *pool, const char *name, uint64_t capacity, uint64_t allocation);
void fake_vols_clear(void);
