/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/paths.h>

#include "provider.h"

/** The provider that runs the service in this process. */
extern const CstConnOps cst_local_ops;
gpointer cst_local_open(const CstPaths *paths, GError **error);
