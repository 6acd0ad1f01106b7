/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/socket.h>

/**
 * Returns whether an address is not public: loopback, link-local, private, shared (RFC 6598),
 * multicast, reserved, or an IPv6 form of such an IPv4 address. @bytes are in network order, 4 for
 * AF_INET and 16 for AF_INET6. An address of another @family counts as private.
 */
gboolean import_address_is_private(int family, const void *bytes);
