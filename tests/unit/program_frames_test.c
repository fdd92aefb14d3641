// SPDX-License-Identifier: GPL-2.0-or-later
/* Frames that come to the XDP program: which it answers, and which pass for what reason. */
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>

#include "support/program_check.h"

TEST_ALL(open_program, close_program)

/* --- one frame each: what is done to a good one, and what becomes of it */

enum family {
	V4 = 1,
	V6 = 2,
	BOTH = V4 | V6
};

static void from_v4(struct envelope *e, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	const uint8_t address[4] = { a, b, c, d };

	memcpy(e->from, address, 4);
}

static void to_v4(struct envelope *e, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	const uint8_t address[4] = { a, b, c, d };

	memcpy(e->to, address, 4);
}

static void set_v6(uint8_t address[16], uint16_t first, uint16_t last)
{
	memset(address, 0, 16);
	address[0] = first >> 8;
	address[1] = first & 0xff;
	address[14] = last >> 8;
	address[15] = last & 0xff;
}

static void lengths(struct envelope *e, int ip, int udp, size_t padding)
{
	e->ip_length_off = ip;
	e->udp_length_off = udp;
	e->padding = padding;
}

#define CASES(X)                                                                                   \
	X(untagged, BOTH, ANSWERED, (void)e)                                                       \
	X(a_vlan_tag, BOTH, ANSWERED, tag(e, 0x8100, 0xe00a))                                      \
	X(a_priority_tag, BOTH, ANSWERED, tag(e, 0x8100, 0xa000))                                  \
	X(a_service_tag, BOTH, ANSWERED, tag(e, 0x88a8, 0x0064))                                   \
	X(an_old_service_tag, BOTH, PASSED_FOREIGN, tag(e, 0x9100, 0x0064))                        \
	X(qinq, BOTH, ANSWERED, two_tags(e, 0x88a8, 0x8100))                                       \
	X(qinq_of_the_same, BOTH, ANSWERED, two_tags(e, 0x8100, 0x8100))                           \
	X(qinq_of_old, BOTH, PASSED_FOREIGN, two_tags(e, 0x9100, 0x8100))                          \
	X(three_tags, BOTH, PASSED_VLAN, two_tags(e, 0x88a8, 0x8100), tag(e, 0x8100, 3))           \
	X(three_service_tags, BOTH, PASSED_VLAN, two_tags(e, 0x88a8, 0x88a8), tag(e, 0x88a8, 3))   \
	X(a_tag_and_an_old_one_more, BOTH, PASSED_FOREIGN, two_tags(e, 0x8100, 0x9100))            \
                                                                                                   \
	X(no_checksum_in_ipv4, V4, ANSWERED, e->checksum = CHECKSUM_NONE)                          \
	X(no_checksum_in_ipv6, V6, PASSED_CHECKSUM, e->checksum = CHECKSUM_NONE)                   \
	X(a_partial_checksum, BOTH, ANSWERED, e->checksum = CHECKSUM_PARTIAL)                      \
	X(a_partial_checksum_in_a_vlan, BOTH, ANSWERED, e->checksum = CHECKSUM_PARTIAL,            \
	  tag(e, 0x8100, 10))                                                                      \
	X(a_wrong_checksum, BOTH, PASSED_CHECKSUM, e->checksum = CHECKSUM_WRONG)                   \
	X(a_wrong_checksum_and_padding, BOTH, PASSED_CHECKSUM, e->checksum = CHECKSUM_WRONG,       \
	  e->padding = 18)                                                                         \
	X(a_wrong_ip_checksum, V4, PASSED_CHECKSUM, e->ip_checksum_wrong = true)                   \
	X(a_wrong_ip_checksum_alone, V4, PASSED_CHECKSUM, e->ip_checksum_wrong = true,             \
	  e->checksum = CHECKSUM_NONE)                                                             \
                                                                                                   \
	X(padding_of_a_byte, BOTH, ANSWERED, e->padding = 1)                                       \
	X(padding_of_7_bytes, BOTH, ANSWERED, e->padding = 7)                                      \
	X(padding_of_300_bytes, BOTH, ANSWERED, e->padding = 300)                                  \
	X(padding_with_a_partial_checksum, BOTH, ANSWERED, e->padding = 33,                        \
	  e->checksum = CHECKSUM_PARTIAL)                                                          \
	X(padding_without_a_checksum, V4, ANSWERED, e->padding = 33, e->checksum = CHECKSUM_NONE)  \
	X(padding_in_qinq, BOTH, ANSWERED, e->padding = 12, two_tags(e, 0x88a8, 0x8100))           \
                                                                                                   \
	X(udp_one_shorter_than_ip, BOTH, PASSED_TRUNCATED, lengths(e, 0, -1, 0))                   \
	X(udp_one_longer_than_ip, BOTH, PASSED_TRUNCATED, lengths(e, 0, 1, 0))                     \
	X(udp_one_longer_than_ip_in_padding, BOTH, PASSED_TRUNCATED, lengths(e, 0, 1, 20))         \
	X(ip_one_longer_than_udp, BOTH, PASSED_TRUNCATED, lengths(e, 1, 0, 0))                     \
	X(ip_one_longer_than_udp_in_padding, BOTH, PASSED_TRUNCATED, lengths(e, 1, 0, 20))         \
	X(ip_one_shorter_than_udp, BOTH, PASSED_TRUNCATED, lengths(e, -1, 0, 0))                   \
	X(both_longer_than_the_frame, BOTH, PASSED_TRUNCATED, lengths(e, 1, 1, 0))                 \
	X(both_much_longer_than_the_frame, BOTH, PASSED_TRUNCATED, lengths(e, 200, 200, 0))        \
	X(both_longer_than_a_url, BOTH, PASSED_LONG, lengths(e, 2000, 2000, 0))                    \
	X(udp_length_0, BOTH, PASSED_TRUNCATED, lengths(e, 0, -53, 0))                             \
	X(both_lengths_0, BOTH, PASSED_TRUNCATED, lengths(e, -53, -53, 0))                         \
	X(both_lengths_7, BOTH, PASSED_TRUNCATED, lengths(e, -46, -46, 0))                         \
	X(both_lengths_8, BOTH, PASSED_MALFORMED, lengths(e, -45, -45, 0))                         \
	X(ip_length_0, BOTH, PASSED_TRUNCATED, lengths(e, e->v6 ? -53 : -73, 0, 0))                \
	X(ip_length_below_its_header, V4, PASSED_TRUNCATED, lengths(e, -54, 0, 0))                 \
	X(udp_length_as_ip_length_wraps, V4, PASSED_TRUNCATED, lengths(e, -73, -73, 0))            \
                                                                                                   \
	X(ip_options, V4, PASSED_IP_OPTIONS, e->options = 1)                                       \
	X(most_ip_options, V4, PASSED_IP_OPTIONS, e->options = 10)                                 \
	X(ip_options_in_a_vlan, V4, PASSED_IP_OPTIONS, e->options = 2, tag(e, 0x8100, 1))          \
	X(ip_options_elsewhere, V4, PASSED_FOREIGN, e->options = 1, e->to_port = 53)               \
	X(may_be_fragmented, V4, ANSWERED, e->fragment = 0)                                        \
	X(more_fragments, V4, PASSED_FRAGMENT, e->fragment = 0x2000)                               \
	X(more_fragments_or_not, V4, PASSED_FRAGMENT, e->fragment = 0x6000)                        \
	X(the_reserved_bit, V4, PASSED_FRAGMENT, e->fragment = 0x8000)                             \
	X(the_last_fragment, V4, PASSED_FOREIGN, e->fragment = 1)                                  \
	X(a_fragment_far_off, V4, PASSED_FOREIGN, e->fragment = 0x1000)                            \
	X(a_fragment_in_the_middle, V4, PASSED_FOREIGN, e->fragment = 0x2001)                      \
	X(hop_by_hop_options, V6, PASSED_IPV6_EXTENSION, e->extension = HOP_BY_HOP)                \
	X(destination_options, V6, PASSED_IPV6_EXTENSION, e->extension = 60)                       \
	X(a_routing_header, V6, PASSED_IPV6_EXTENSION, e->extension = 43)                          \
	X(a_fragment_header, V6, PASSED_IPV6_EXTENSION, e->extension = 44)                         \
	X(authentication, V6, PASSED_IPV6_EXTENSION, e->extension = 51)                            \
	X(mobility, V6, PASSED_IPV6_EXTENSION, e->extension = 135)                                 \
	X(encapsulated_security, V6, PASSED_FOREIGN, e->extension = 50)                            \
	X(no_next_header, V6, PASSED_FOREIGN, e->extension = 59)                                   \
                                                                                                   \
	X(time_to_live_1, BOTH, ANSWERED, e->ttl = 1)                                              \
	X(time_to_live_255, BOTH, ANSWERED, e->ttl = 255)                                          \
                                                                                                   \
	X(another_port, BOTH, PASSED_FOREIGN, e->to_port = 3131)                                   \
	X(port_0, BOTH, PASSED_FOREIGN, e->to_port = 0)                                            \
	X(port_0_of_the_broadcast_entry, V4, PASSED_FOREIGN, to_v4(e, 192, 0, 2, 255),             \
	  e->to_port = 0)                                                                          \
	X(another_address, V4, PASSED_FOREIGN, to_v4(e, 192, 0, 2, 2))                             \
	X(another_ipv6_address, V6, PASSED_FOREIGN, set_v6(e->to, 0x2001, 2))                      \
	X(the_subnets_broadcast, V4, PASSED_FOREIGN, to_v4(e, 192, 0, 2, 255))                     \
	X(everybodys_broadcast, V4, PASSED_FOREIGN, to_v4(e, 255, 255, 255, 255))                  \
	X(a_group, V4, PASSED_FOREIGN, to_v4(e, 224, 0, 0, 1))                                     \
	X(an_ipv6_group, V6, PASSED_FOREIGN, set_v6(e->to, 0xff02, 1))                             \
	X(ipv4_in_an_ipv6_destination, V6, PASSED_FOREIGN, set_mapped(e->to, our_v4))              \
	X(ipv4_in_both_ipv6_addresses, V6, PASSED_FOREIGN, set_mapped(e->to, our_v4),              \
	  set_mapped(e->from, broadcast_v4))                                                       \
	X(a_link_local_address, V6, ANSWERED, set_v6(e->to, 0xfe80, 1),                            \
	  set_v6(e->from, 0xfe80, 2))                                                              \
                                                                                                   \
	X(another_station, BOTH, PASSED_MAC, e->to_mac[5] ^= 1)                                    \
	X(another_vendor, BOTH, PASSED_MAC, e->to_mac[0] ^= 4)                                     \
	X(another_in_the_middle, BOTH, PASSED_MAC, e->to_mac[2] ^= 0x80)                           \
	X(a_group_of_stations, BOTH, PASSED_MAC, e->to_mac[0] |= 1)                                \
	X(all_stations, BOTH, PASSED_MAC, memset(e->to_mac, 0xff, 6))                              \
	X(no_station, BOTH, PASSED_MAC, memset(e->to_mac, 0, 6))                                   \
	X(another_station_and_another_port, BOTH, PASSED_FOREIGN, e->to_mac[5] ^= 1,               \
	  e->to_port = 80)                                                                         \
                                                                                                   \
	X(from_port_0, BOTH, PASSED_SOURCE, e->from_port = 0)                                      \
	X(from_port_1, BOTH, ANSWERED, e->from_port = 1)                                           \
	X(from_port_3130, BOTH, ANSWERED, e->from_port = 3130)                                     \
	X(from_port_65535, BOTH, ANSWERED, e->from_port = 65535)                                   \
	X(from_nowhere, V4, PASSED_SOURCE, from_v4(e, 0, 0, 0, 0))                                 \
	X(from_this_network, V4, PASSED_SOURCE, from_v4(e, 0, 1, 2, 3))                            \
	X(from_a_group, V4, PASSED_SOURCE, from_v4(e, 224, 0, 0, 1))                               \
	X(from_the_last_group, V4, PASSED_SOURCE, from_v4(e, 239, 255, 255, 250))                  \
	X(from_all, V4, PASSED_SOURCE, from_v4(e, 255, 255, 255, 255))                             \
	X(from_the_subnets_broadcast, V4, PASSED_SOURCE, from_v4(e, 192, 0, 2, 255))               \
	X(from_another_subnets_broadcast, V4, ANSWERED, from_v4(e, 198, 51, 100, 255))             \
	X(from_before_the_groups, V4, ANSWERED, from_v4(e, 223, 255, 255, 1))                      \
	X(from_loopback, V4, PASSED_SOURCE, from_v4(e, 127, 0, 0, 1))                              \
	X(from_elsewhere_in_loopback, V4, PASSED_SOURCE, from_v4(e, 127, 9, 8, 7))                 \
	X(from_ipv6_nowhere, V6, PASSED_SOURCE, set_v6(e->from, 0, 0))                             \
	X(from_ipv6_loopback, V6, PASSED_SOURCE, set_v6(e->from, 0, 1))                            \
	X(from_an_ipv6_group, V6, PASSED_SOURCE, set_v6(e->from, 0xff02, 1))                       \
	X(from_a_wide_ipv6_group, V6, PASSED_SOURCE, set_v6(e->from, 0xff0e, 1))                   \
	X(from_ipv4_in_ipv6, V6, PASSED_SOURCE, set_mapped(e->from, our_v4))                       \
	X(from_a_group_of_stations, BOTH, PASSED_SOURCE, e->from_mac[0] |= 1)                      \
	X(from_all_stations, BOTH, PASSED_SOURCE, memset(e->from_mac, 0xff, 6))                    \
	X(loopback_to_itself, BOTH, ANSWERED, to_loopback(e), memcpy(e->from, e->to, 16))          \
	X(loopback_from_its_own_address, BOTH, ANSWERED, to_loopback(e))                           \
	X(loopback_from_nowhere, BOTH, PASSED_SOURCE, to_loopback(e), memset(e->from, 0, 16))      \
	X(loopback_with_a_station, BOTH, PASSED_MAC, to_loopback(e),                               \
	  memcpy(e->to_mac, our_mac, 6))                                                           \
                                                                                                   \
	X(arp, V4, PASSED_FOREIGN, e->ethertype = 0x0806)                                          \
	X(arp_in_a_vlan, V4, PASSED_FOREIGN, e->ethertype = 0x0806, tag(e, 0x8100, 1))             \
	X(a_length_for_a_type, BOTH, PASSED_FOREIGN, e->ethertype = 0x0064)                        \
	X(mpls, BOTH, PASSED_FOREIGN, e->ethertype = 0x8847)                                       \
	X(pppoe, BOTH, PASSED_FOREIGN, e->ethertype = 0x8864)                                      \
	X(macsec, BOTH, PASSED_FOREIGN, e->ethertype = 0x88e5)                                     \
	X(type_0, BOTH, PASSED_FOREIGN, e->ethertype = 0x0001)                                     \
	X(ipv6_called_ipv4, V6, PASSED_FOREIGN, e->ethertype = 0x0800)                             \
	X(ipv4_called_ipv6, V4, PASSED_FOREIGN, e->ethertype = 0x86dd)                             \
	X(no_version_of_ip, BOTH, PASSED_FOREIGN, e->version = 5)                                  \
	X(version_6_in_ipv4, V4, PASSED_FOREIGN, e->version = 6)                                   \
	X(version_4_in_ipv6, V6, PASSED_FOREIGN, e->version = 4)                                   \
	X(a_short_ip_header, V4, PASSED_FOREIGN, e->header_off = -1)                               \
	X(an_ip_header_beyond_the_frame, V4, PASSED_FOREIGN, e->header_off = 10,                   \
	  lengths(e, -33, -33, 0))                                                                 \
	X(tcp, BOTH, PASSED_FOREIGN, e->protocol = 6)                                              \
	X(icmp, BOTH, PASSED_FOREIGN, e->protocol = e->v6 ? 58 : 1)                                \
	X(udp_lite, BOTH, PASSED_FOREIGN, e->protocol = 136)

struct frame_case {
	const char *name;
	void (*change)(struct envelope *e);
	enum family family;
	enum icp_counter counter;
};

#define X(id, families, outcome, ...)                                                              \
	static void change_##id(struct envelope *e)                                                \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}
CASES(X)
#undef X

#define X(id, families, outcome, ...) { #id, change_##id, families, ICP_COUNT_##outcome },
static struct frame_case cases[] = { CASES(X) };
#undef X

#define CASE_COUNT (sizeof(cases) / sizeof(cases[0]))

static void frame_case(void **state)
{
	const struct frame_case *one = *state;

	prepare(TABLE_CHAIN, false);
	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6);
		/* 45 bytes of a message: 53 with UDP's header */
		const struct datagram datagram = { .name = v6 ? "IPv6" : "IPv4",
						   URL("http://hit.example/x"),
						   .verdict = ICP_OP_HIT,
						   .kernel = one->counter };

		if (!(one->family & (v6 ? V6 : V4)))
			continue;
		one->change(&envelope);
		check_in(&envelope, &datagram);
	}
}

__attribute__((constructor)) static void add_cases(void)
{
	for (size_t i = 0; i < CASE_COUNT; i++)
		test_add(cases[i].name, frame_case, &cases[i]);
}

/* --- the builder of all these, against bytes from elsewhere */

/* Written by scapy: a query and its answer in IPv4, and in IPv6 with two tags. */
static const uint8_t query_v4[] = {
	0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x08, 0x00, 0x45,
	0x2a, 0x00, 0x49, 0xbe, 0xef, 0x40, 0x00, 0x39, 0x11, 0xfe, 0x3b, 0xc0, 0x00, 0x02, 0x4d,
	0xc0, 0x00, 0x02, 0x01, 0xa8, 0xca, 0x0c, 0x3a, 0x00, 0x35, 0x87, 0x11, 0x01, 0x02, 0x00,
	0x2d, 0xde, 0xad, 0xbe, 0xef, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x0b,
	0x0c, 0x0d, 0xc6, 0x33, 0x64, 0x01, 0x68, 0x74, 0x74, 0x70, 0x3a, 0x2f, 0x2f, 0x68, 0x69,
	0x74, 0x2e, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2f, 0x78, 0x00,
};

static const uint8_t answer_v4[] = {
	0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x08, 0x00,
	0x45, 0x00, 0x00, 0x45, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb6, 0x59, 0xc0, 0x00,
	0x02, 0x01, 0xc0, 0x00, 0x02, 0x4d, 0x0c, 0x3a, 0xa8, 0xca, 0x00, 0x31, 0xb0, 0x52,
	0x02, 0x02, 0x00, 0x29, 0xde, 0xad, 0xbe, 0xef, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x0a, 0x0b, 0x0c, 0x0d, 0x68, 0x74, 0x74, 0x70, 0x3a, 0x2f, 0x2f, 0x68,
	0x69, 0x74, 0x2e, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2f, 0x78, 0x00,
};

static const uint8_t query_v6[] = {
	0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x88, 0xa8, 0x60,
	0x64, 0x81, 0x00, 0x0f, 0xff, 0x86, 0xdd, 0x62, 0xaa, 0xbc, 0xde, 0x00, 0x35, 0x11, 0x39,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x77, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x01, 0xa8, 0xca, 0x0c, 0x3a, 0x00, 0x35, 0xaf, 0x76, 0x01, 0x02, 0x00, 0x2d, 0xde,
	0xad, 0xbe, 0xef, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x0b, 0x0c, 0x0d,
	0xc6, 0x33, 0x64, 0x01, 0x68, 0x74, 0x74, 0x70, 0x3a, 0x2f, 0x2f, 0x68, 0x69, 0x74, 0x2e,
	0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2f, 0x78, 0x00,
};

static const uint8_t answer_v6[] = {
	0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x88, 0xa8,
	0x60, 0x64, 0x81, 0x00, 0x0f, 0xff, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00, 0x00, 0x31,
	0x11, 0x40, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x01, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x77, 0x0c, 0x3a, 0xa8, 0xca, 0x00, 0x31, 0xd8, 0xb7,
	0x02, 0x02, 0x00, 0x29, 0xde, 0xad, 0xbe, 0xef, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x0a, 0x0b, 0x0c, 0x0d, 0x68, 0x74, 0x74, 0x70, 0x3a, 0x2f, 0x2f, 0x68,
	0x69, 0x74, 0x2e, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2f, 0x78, 0x00,
};

static void assert_frame(const struct bytes *frame, const uint8_t *expected, size_t size)
{
	assert_int_equal(frame->size, size);
	assert_memory_equal(frame->at, expected, size);
}

TEST(the_builder)
{
	static struct bytes query, answer, frame;
	const struct datagram datagram = { URL("http://hit.example/x"), .verdict = 2 };
	struct envelope envelope = envelope_v4(), back = envelope_back(&envelope);

	message_build(&query, &datagram);
	answer_build(&answer, &datagram);
	frame_build(&frame, &envelope, &query);
	assert_frame(&frame, query_v4, sizeof(query_v4));
	frame_build(&frame, &back, &answer);
	assert_frame(&frame, answer_v4, sizeof(answer_v4));

	envelope = envelope_v6();
	two_tags(&envelope, 0x88a8, 0x8100);
	back = envelope_back(&envelope);
	frame_build(&frame, &envelope, &query);
	assert_frame(&frame, query_v6, sizeof(query_v6));
	frame_build(&frame, &back, &answer);
	assert_frame(&frame, answer_v6, sizeof(answer_v6));
}

/* --- many frames each */

TEST(an_empty_datagram)
{
	static struct bytes frame, nothing;

	prepare(TABLE_CHAIN, false);
	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6);

		frame_build(&frame, &envelope, &nothing);
		assert_outcome(&program, "no message", &frame, ICP_COUNT_PASSED_MALFORMED, NULL);
	}
}

/* A frame that ends early, byte by byte: it passes, as long as it is. */
TEST(truncated_frames)
{
	static struct bytes message, frame;
	struct envelope envelopes[16];
	size_t count = various_envelopes(envelopes);
	const struct datagram datagram = { URL("http://hit.example/x") };

	prepare(TABLE_CHAIN, false);
	message_build(&message, &datagram);
	for (size_t i = 0; i < count; i++) {
		size_t end = frame_message_offset(&envelopes[i]);

		envelopes[i].padding = 0;
		frame_build(&frame, &envelopes[i], &message);
		while (--frame.size >= 14)
			assert_outcome(&program, "a cut frame", &frame,
				       frame.size < end ? ICP_COUNT_PASSED_FOREIGN
							: ICP_COUNT_PASSED_TRUNCATED,
				       NULL);
	}
}

/* Build a frame behind `metadata` bytes. */
static void frame_behind(struct bytes *frame, uint32_t metadata, const struct envelope *envelope,
			 const struct bytes *message)
{
	static struct bytes alone;

	frame_build(&alone, envelope, message);
	frame->size = 0;
	for (uint32_t i = 0; i < metadata; i++)
		push8(frame, 0xe0 + i);
	push(frame, alone.at, alone.size);
}

/* All ways to split a frame into what is in sight and a fragment. False: this kernel cannot. */
static bool check_parts(const struct envelope *envelope, const struct datagram *datagram,
			uint32_t metadata)
{
	static struct bytes message, frame, answer, out;
	uint64_t before[ICP_COUNTER_MAX], after[ICP_COUNTER_MAX];
	struct envelope back = envelope_back(envelope);
	size_t begin = frame_message_offset(envelope);

	message_build(&message, datagram);
	frame_behind(&frame, metadata, envelope, &message);
	answer_build(&message, datagram);
	frame_behind(&answer, metadata, &back, &message);
	for (size_t linear = 14; linear < frame.size - metadata; linear++) {
		enum icp_counter expected = ICP_COUNT_ANSWERED;
		uint32_t action;

		if (linear < begin)
			expected = ICP_COUNT_PASSED_FOREIGN;
		else if (linear < begin + 24)
			expected = ICP_COUNT_PASSED_FAILED;
		program_counters(&program, before);
		if (program_run_split(&program, &frame, metadata, linear, &out, &action)) {
			assert_int_equal(linear, 14);
			return false;
		}
		program_counters(&program, after);
		assert_counted(datagram->name, before, after, expected);
		assert_int_equal(action, expected == ICP_COUNT_ANSWERED ? XDP_TX : XDP_PASS);
		assert_bytes(datagram->name, &out,
			     expected == ICP_COUNT_ANSWERED ? &answer : &frame);
	}
	return true;
}

/*
 * A driver that splits frames: either all headers are in sight, or the frame passes, and what another
 * program has put before it is not moved into it.
 */
TEST(frames_in_parts)
{
	static const struct datagram parted[] = {
		{ "255 bytes", URL("http://hit.example/"), .longer = 236, .verdict = 2 },
		{ "20 bytes", URL("http://hit.example/x"), .verdict = 2 },
		{ "23 bytes", URL("http://denied.example/x"), .verdict = 22 },
		{ "one byte", URL("x"), .verdict = 3 },
		{ "white space", URL("http://hit.example/ "), .verdict = 4 },
	};

	prepare(TABLE_CHAIN, false);
	for (int kind = 0; kind < 4; kind++) {
		struct envelope envelope = envelope_of(kind & 1);

		two_tags(&envelope, 0x88a8, 0x8100);
		envelope.padding = kind & 2 ? 11 : 0;
		for (size_t i = 0; i < sizeof(parted) / sizeof(*parted); i++) {
			if (!check_parts(&envelope, &parted[i], kind & 2 ? 12 : 0)) {
				print_message("# this kernel's test runs cannot split a frame\n");
				skip();
			}
		}
	}
}

/* A destination that was found does not stand for one that differs in one bit. */
TEST(one_bit_of_the_destination)
{
	struct datagram datagram = { .name = "ours", URL("http://hit.example/x"), .verdict = 2 };

	prepare(TABLE_CHAIN, false);
	for (int v6 = 0; v6 < 2; v6++) {
		const struct envelope ours = envelope_of(v6);

		for (size_t bit = 0; bit < (v6 ? 128 : 32) + 16; bit++) {
			struct envelope other = ours;

			datagram.kernel = ICP_COUNT_ANSWERED;
			check_in(&ours, &datagram);
			if (bit < 16)
				other.to_port ^= 1 << bit;
			else
				other.to[(bit - 16) / 8] ^= 1 << bit % 8;
			datagram.kernel = ICP_COUNT_PASSED_FOREIGN;
			check_in(&other, &datagram);
		}
	}
}

/* Nor does what came in on another interface, in a network of this test's own. */
TEST(the_destination_on_another_interface)
{
	static struct bytes message, frame, out;
	const struct datagram datagram = { URL("http://hit.example/x"), .verdict = 2 };
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct envelope envelope = envelope_v4();
	struct xdp_md context = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .data_in = frame.at, .data_out = out.at);

	prepare(TABLE_CHAIN, false);
	assert_true(home >= 0);
	if (unshare(CLONE_NEWNET) || system("ip link add icp-other type veth peer icp-peer")) {
		print_message("# no second interface can be made\n");
		assert_int_equal(setns(home, CLONE_NEWNET), 0);
		skip();
	}
	message_build(&message, &datagram);
	frame_build(&frame, &envelope, &message);
	context.data_end = options.data_size_in = frame.size;
	for (int turn = 0; turn < 4; turn++) {
		context.ingress_ifindex = turn % 2 ? if_nametoindex("icp-other") : program.ifindex;
		options.data_size_out = sizeof(out.at);
		assert_int_equal(bpf_prog_test_run_opts(program.fd, &options), 0);
		assert_int_equal(options.retval, turn % 2 ? XDP_PASS : XDP_TX);
	}
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
}

/* A sum that comes out as 0 is sent as ffff, and is taken as that. */
TEST(checksums_of_zero)
{
	static struct bytes message, frame, answer;
	const struct datagram datagram = { URL("http://hit.example/x"), .verdict = 2 };

	prepare(TABLE_CHAIN, false);
	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6), back = envelope_back(&envelope);
		size_t field = frame_message_offset(&envelope) - 2;
		unsigned int queries = 0, answers = 0;

		for (unsigned int i = 0; i < 0x10000; i++) {
			bool query, reply;

			message_build(&message, &datagram);
			poke16(&message, 6, i);
			frame_build(&frame, &envelope, &message);
			answer_build(&message, &datagram);
			poke16(&message, 6, i);
			frame_build(&answer, &back, &message);
			query = frame.at[field] == 0xff && frame.at[field + 1] == 0xff;
			reply = answer.at[field] == 0xff && answer.at[field + 1] == 0xff;
			queries += query;
			answers += reply;
			if (query || reply)
				assert_outcome(&program, "a sum of 0", &frame, ICP_COUNT_ANSWERED,
					       &answer);
		}
		assert_true(queries > 0);
		assert_true(answers > 0);
	}
}

/* A wrong byte anywhere is found, whatever it is. */
TEST(wrong_bytes_anywhere)
{
	static struct bytes message, frame;
	const struct datagram datagram = { URL("http://hit.example/xy") };

	prepare(TABLE_CHAIN, false);
	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6);
		size_t begin = frame_message_offset(&envelope);

		message_build(&message, &datagram);
		frame_build(&frame, &envelope, &message);
		for (size_t place = begin; place < frame.size; place++) {
			for (int bit = 0; bit < 8; bit++) {
				frame.at[place] ^= 1 << bit;
				assert_outcome(&program, "a wrong bit", &frame,
					       ICP_COUNT_PASSED_CHECKSUM, NULL);
				frame.at[place] ^= 1 << bit;
			}
		}
	}
}
