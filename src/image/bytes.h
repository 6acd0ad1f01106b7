/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Images use the integer functions for all files. */
#include <base/bytes.h>
