/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/** Sets registration and deregistration of events of @driver. */
void events_fill_driver(StorageDriver *driver);
