/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/** Sets upload and download of @driver. */
void stream_fill_driver(StorageDriver *driver);
