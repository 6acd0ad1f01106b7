/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Integers of images, which are what they are of any file. */
#include <base/bytes.h>
