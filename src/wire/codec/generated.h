/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/** Included at the start of the generated code, to replace its calls of xdr_string(). */

#include "text.h"

#undef xdr_string
#define xdr_string cst_xdr_string
