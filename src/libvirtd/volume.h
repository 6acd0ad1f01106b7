/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/** Sets the functions of @driver for volumes, except for upload and download. */
void volume_fill_driver(StorageDriver *driver);
