/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/schedules.h>

#include "database.h"

struct CstSchedules {
    Database database;
};
