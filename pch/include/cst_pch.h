/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The headers of the system that most sources include, compiled once for each kind of object (see
 * ../meson.build). The compiler includes this file before each source. A source still includes each
 * header that it uses, because clang-tidy reads it without this file. GCC warns about #pragma once
 * in a file that it compiles itself, so there is none here.
 */
#ifndef CST_PCH_H
#define CST_PCH_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <glib.h>

#endif
