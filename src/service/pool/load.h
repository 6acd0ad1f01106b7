/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/**
 * Reads all definition and state files of pools and updates the tables. Called inside
 * definitions_enter(), or while the service is created. Damaged files are logged and skipped. Fails
 * if a file exists and cannot be read.
 */
gboolean pools_load(CstService *service, GError **error);
