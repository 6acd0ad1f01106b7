/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/socket.h>

/**
 * Whether the address of family @family, whose bytes are in network order at @bytes (4 of AF_INET,
 * 16 of AF_INET6), is not one of the public Internet: loopback, link-local, private, shared
 * (RFC 6598), multicast, reserved, or an IPv6 form of such an IPv4 address. An address of another
 * family counts as private.
 */
gboolean import_address_is_private(int family, const void *bytes);
