/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * The volumes of the connection in memory: the arguments of the calls, and the failures to
 * simulate. Each volume is in one of the fake pools. The list is empty until a test adds a volume.
 */
typedef struct {
    char *pool, *name, *path;
    CstVolInfo info;
    char *format, *problem;
    const char *backing, *holder; /**< NULL: absent */
    int64_t snapshots;
    gboolean is_protected;
} FakeVol;

typedef struct {
    GPtrArray *vols; /**< of FakeVol; NULL: empty */
    char *last_xml;  /**< of the last creation */
    char *last_source;
    unsigned last_flags;
    uint64_t last_size, last_offset, last_length;
    unsigned last_algorithm;
    guint changes;
    char *fail;          /**< message: changes and transfers fail; NULL: they work */
    uint64_t fail_after; /**< bytes moved before a transfer fails */
    const char *content; /**< content of a download */
    gboolean rots;       /**< the data sent differs from the data received */
    GString *uploaded;   /**< content of the uploads */
    uint64_t last_rate;
    uint64_t detach_as;   /**< a wipe continues as this job; 0: it ends */
    unsigned wants;       /**< additional fields that the last list requested */
    const char *no_names; /**< the pool where lookups by name fail; NULL: no pool */
    const char *no_lists; /**< the pool whose volumes cannot be listed; NULL: all can */
} FakeVols;

extern FakeVols fake_vols;

/** Path is /POOL/NAME, and the key too. */
FakeVol *fake_vols_add(const char *pool, const char *name, uint64_t capacity, uint64_t allocation);
void fake_vols_clear(void);
