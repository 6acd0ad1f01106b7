/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/**
 * Reads all definition and state files of pools and updates the tables. Called inside
 * definitions_enter(), or while the service is created. Unreadable files are logged and skipped.
 */
void pools_load(CstService *service);
