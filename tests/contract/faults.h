/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"

/** For a ground whose callbacks fail and hang at will (pool/memory.h). */
extern const ContractTest fault_tests[];
