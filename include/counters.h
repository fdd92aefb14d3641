/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The list of all counters. The enum, the names in `icpctl stats` and `icpctl status --json`
 * (group.name), and the manual's table are made from it.
 *
 * X(identifier, group, name, help). The kernel and the daemon count separately with the same enum:
 * `answered` is shown for both, `passed` is the kernel's, `silent` and `failed` are the daemon's.
 */
#ifndef XDP_ICP_COUNTERS_H
#define XDP_ICP_COUNTERS_H

#define ICP_COUNTERS(X)                                                                            \
	X(ANSWERED, "answered", "", "queries answered")                                            \
	X(PASSED_FOREIGN, "passed", "foreign",                                                     \
	  "not UDP to an address and port that the daemon listens on")                             \
	X(PASSED_VLAN, "passed", "vlan", "more than two VLAN tags")                                \
	X(PASSED_MAC, "passed", "mac", "the frame is addressed to another station, or to many")    \
	X(PASSED_IP_OPTIONS, "passed", "ip_options", "an IPv4 header with options")                \
	X(PASSED_IPV6_EXTENSION, "passed", "ipv6_extension",                                       \
	  "an IPv6 header with extensions; whether ICP follows is not looked up")                  \
	X(PASSED_FRAGMENT, "passed", "fragment", "a fragment")                                     \
	X(PASSED_SOURCE, "passed", "source", "a source that must not get a reply")                 \
	X(PASSED_TRUNCATED, "passed", "truncated", "lengths of frame, IP and UDP disagree")        \
	X(PASSED_CHECKSUM, "passed", "checksum", "a wrong checksum of IPv4 or UDP")                \
	X(PASSED_OFFLOAD, "passed", "offload",                                                     \
	  "generic mode: whether the checksum was left to an offload cannot be told")              \
	X(PASSED_LONG, "passed", "long", "the URL is longer than 255 bytes")                       \
	X(PASSED_MALFORMED, "passed", "malformed",                                                 \
	  "not a well-formed query; the daemon handles it")                                        \
	X(PASSED_RULE, "passed", "rule",                                                           \
	  "the longest rule has a value, inserted by hand, that is no verdict")                    \
	X(PASSED_COLLISION, "passed", "collision",                                                 \
	  "the hash of the URL's beginning is that of another prefix")                             \
	X(PASSED_HORIZON, "passed", "horizon",                                                     \
	  "the verdict depends on a policy that the kernel cannot evaluate")                       \
	X(PASSED_LEASE_EXPIRED, "passed", "lease_expired",                                         \
	  "it may depend on a gate or a remembered verdict, and the lease has expired")            \
	X(PASSED_DRAIN, "passed", "drain", "the host is drained in silence")                       \
	X(PASSED_FAILED, "passed", "failed", "a BPF helper failed")                                \
	X(SILENT_SHORT, "silent", "short", "less than an ICP header")                              \
	X(SILENT_LONG, "silent", "long", "more than 16384 bytes")                                  \
	X(SILENT_LENGTH, "silent", "length", "the length field is not the datagram's length")      \
	X(SILENT_VERSION, "silent", "version", "not version 2")                                    \
	X(SILENT_OPCODE, "silent", "opcode", "not a query")                                        \
	X(SILENT_REQUEST_ZERO, "silent", "request_zero",                                           \
	  "request number 0 (see answer_request_zero)")                                            \
	X(SILENT_SOURCE, "silent", "source", "source port 0, or an address that names no host")    \
	X(SILENT_BROADCAST, "silent", "broadcast", "a query to a broadcast address")               \
	X(SILENT_DRAIN, "silent", "drain", "the host is drained in silence")                       \
	X(FAILED_SEND, "failed", "send", "replies that the socket did not accept")                 \
	X(FAILED_RECEIVE, "failed", "receive", "errors while receiving")                           \
	X(FAILED_RULES, "failed", "rules",                                                         \
	  "queries decided without rules: the map was unreadable, or its rule no verdict")         \
	X(FAILED_LIMIT, "failed", "limit",                                                         \
	  "policies that gave up: a match at its limit, a script or a helper without a reply")     \
	X(FAILED_PENDING, "failed", "pending",                                                     \
	  "queries dropped unanswered: too many waited for policies, or the daemon ended")         \
	X(FAILED_TRACE, "failed", "trace",                                                         \
	  "queries that were not shown to `icpctl trace`: too many at once")

enum icp_counter {
#define X(identifier, group, name, help) ICP_COUNT_##identifier,
	ICP_COUNTERS(X)
#undef X
	ICP_COUNTER_MAX
};

#endif
