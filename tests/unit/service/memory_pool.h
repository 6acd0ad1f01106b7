/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/memory.h>

#include "fixture.h"

/**
 * Pools of the example backend (pool/memory.h), which replaces the product's backends. A test may
 * set further callbacks in test_backend before its first pool starts.
 */
extern CstBackend test_backend;

/** Setup of a test: a service (fixture.h) with empty stores and cst_memory_backend's callbacks. */
int memory_setup(void **state);
int memory_teardown(void **state);

/** Returns the definition of a pool @name on the store @name. */
char *memory_pool_xml(const char *name);
/** Defines a pool on the store @name, builds the store, and starts the pool. */
CstPool *memory_pool(Fixture *f, const char *name);
/** Makes volume @volume of @len bytes in the store, like another program. */
void memory_put(const char *store, const char *volume, size_t len);
/** Waits until a call of @callback hangs (cst_memory_hang()). Fails the test after a minute. */
void memory_await_hang(const char *callback);
