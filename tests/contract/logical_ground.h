/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"

extern const Ground logical_ground, logical_thin_ground;
