/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/secrets.h>
#include <service/volumes.h>

/** A service with its own root, and a directory for pools. The teardown removes both. */
typedef struct {
    char *root;
    char *images;
    CstPaths *paths;
    CstService *service;
    const CstSecretPolicy *policy; /**< policy of restarted services; NULL: not set */
} Fixture;

int fixture_setup(void **state);
int fixture_teardown(void **state);

/** Ends the service and starts a new one on the same root. */
void fixture_restart(Fixture *f, CstServiceMode mode);

/** Defines, builds and starts a pool on the directory @name below the images directory. */
CstPool *fixture_pool(Fixture *f, const char *name);
char *fixture_pool_xml(Fixture *f, const char *name);
void fixture_write(Fixture *f, const char *pool, const char *name, const char *content);
/** Writes an image of version 1 of 1 MiB. This version cannot store the format of the base. */
void fixture_write_qcow(Fixture *f, const char *pool, const char *name, const char *base);
/** Creates the volume that @xml describes. Fails the test on failure. */
void fixture_create_xml(CstPool *pool, const char *xml);
/** Creates a volume of 1 MiB. @more: further elements of <volume>. */
void fixture_create(CstPool *pool, const char *name, const char *format, const char *more);
gboolean fixture_exists(Fixture *f, const char *pool, const char *name);

/** Fails the test with the error's text if @error is set. */
void assert_no_error(GError *error);
/** Clears @error, which must have @code. */
void assert_error(GError **error, int code);
