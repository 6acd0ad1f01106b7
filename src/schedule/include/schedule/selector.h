/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** A selector of the volumes that a schedule works on. */
typedef enum {
    CST_SELECT_POOL,    /**< pool:POOL, or POOL: all volumes of a pool */
    CST_SELECT_VOLUME,  /**< volume:POOL/PATTERN, or POOL/PATTERN; '*' and '?' match characters */
    CST_SELECT_MACHINE, /**< machine:DOMAIN: all disks of a domain of libvirt */
    CST_SELECT_TAG,     /**< tag:TAG: the volumes of all active pools with this tag */
    CST_SELECT_LAST
} CstSelectorKind;

typedef struct {
    CstSelectorKind kind;
    char *pool;    /**< of POOL and VOLUME */
    char *pattern; /**< of VOLUME; the domain of MACHINE; the tag of TAG */
} CstSelector;

/** Parses a selector. Fails with INVALID. */
CstSelector *cst_selector_parse(const char *text, GError **error);
/** NULL is accepted. */
void cst_selector_free(CstSelector *selector);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSelector, cst_selector_free)
/** Returns the text with its kind, "pool:images"; the caller frees it. */
char *cst_selector_format(const CstSelector *selector);
