/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#define CST_KIB (UINT64_C(1) << 10)
#define CST_MIB (UINT64_C(1) << 20)
#define CST_GIB (UINT64_C(1) << 30)
#define CST_TIB (UINT64_C(1) << 40)

/** Returns the number of pieces of @piece bytes that hold @bytes, rounded up. Cannot overflow. */
static inline uint64_t cst_div_up(uint64_t bytes, uint64_t piece)
{
    return bytes / piece + (bytes % piece != 0);
}

/** Rounds up to a multiple of @piece. The caller ensures that the result does not overflow. */
static inline uint64_t cst_round_up(uint64_t bytes, uint64_t piece)
{
    return cst_div_up(bytes, piece) * piece;
}

/** Whether @value is a power of two from @least to @most. */
static inline gboolean cst_is_power_of_two(uint64_t value, uint64_t least, uint64_t most)
{
    return value >= least && value <= most && value != 0 && (value & (value - 1)) == 0;
}

/**
 * Multiplies @value by the unit @suffix, as in libvirt's <capacity unit='…'> and virsh's sizes.
 * "b"/"bytes" is 1. "k"…"e", with or without "iB"/"ib", are powers of 1024. "KB"…"EB" are powers of
 * 1000. Case does not matter. NULL or "" means @default_scale. Fails with INVALID (unknown suffix)
 * or OVERFLOW (the result exceeds @limit).
 */
gboolean cst_units_scale(uint64_t *value, const char *suffix, uint64_t default_scale,
                         uint64_t limit, GError **error);

/**
 * Parses "10G", "1.5G", "0x10000", "1024", "5 MiB" into bytes. A number without a suffix is a
 * multiple of @default_scale bytes. A fraction needs a unit above one byte, and is rounded down to
 * bytes as in qemu-img. Fails with INVALID or OVERFLOW.
 */
gboolean cst_units_parse(const char *text, uint64_t default_scale, uint64_t *ret_bytes,
                         GError **error);

/**
 * Divides @bytes by the largest power of 1024 that leaves at least 1, as virsh prints sizes.
 * *ret_unit is "B", "KiB", … (virsh prints "%.2lf %s").
 */
double cst_units_pretty(uint64_t bytes, const char **ret_unit);
/** Returns the size with its unit, as virsh prints it: "1.50 GiB". The caller frees it. */
char *cst_units_text(uint64_t bytes);

/**
 * Parses a duration, "90", "15m", "2h", "7d", "4w" or "2y" (years of 365 days), in seconds. Return:
 * FALSE if @text is not a duration.
 */
gboolean cst_units_parse_seconds(const char *text, uint64_t *ret_seconds);
