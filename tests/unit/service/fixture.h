/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/secrets.h>
#include <service/volumes.h>

/** A service on a root of its own, and a directory for pools, both removed at the end. */
typedef struct {
    char *root;
    char *images;
    CstPaths *paths;
    CstService *service;
    const CstSecretPolicy *policy; /**< of services that are restarted; NULL: none is set */
} Fixture;

int fixture_setup(void **state);
int fixture_teardown(void **state);

/** Ends the service and starts another on the same root, as a restart does. */
void fixture_restart(Fixture *f, CstServiceMode mode);

/** Defines, builds and starts a pool on the images directory's child @name. */
CstPool *fixture_pool(Fixture *f, const char *name);
char *fixture_pool_xml(Fixture *f, const char *name);
void fixture_write(Fixture *f, const char *pool, const char *name, const char *content);
/**
 * An image of the first version, 1 MiB, which has no place for the format of what it is based on.
 */
void fixture_write_qcow(Fixture *f, const char *pool, const char *name, const char *base);
/** Creates the volume that @xml describes; fails the test when it can't be. */
void fixture_create_xml(CstPool *pool, const char *xml);
/** The same of a volume of 1 MiB; @more: further elements of <volume>. */
void fixture_create(CstPool *pool, const char *name, const char *format, const char *more);
gboolean fixture_exists(Fixture *f, const char *pool, const char *name);

/** Fails the test with the error's text when @error is set. */
void assert_no_error(GError *error);
/** Clears @error, which must have @code. */
void assert_error(GError **error, int code);
