/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/**
 * Reads all definition and state files of pools and updates the tables. Definitions are entered, or
 * the service is being made. Files that can't be read are logged and skipped.
 */
void pools_load(CstService *service);
