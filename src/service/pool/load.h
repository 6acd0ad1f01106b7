/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/** Reads all definition and state files of pools and brings the tables in line with them. */
void pools_load(CstService *service);
