// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The XDP program on frames, one by one: what comes back to the byte, and what is counted.
 *
 * Needs the rights to load a BPF program; without them every test is skipped. It is attached to
 * nothing, and nothing is left behind.
 */
#include <limits.h>
#include <sys/stat.h>

#include "chain_support.h"
#include "kernel_pins.h"
#include "program.h"

/*
 * What the verifier may look at. It gives up at a million; it takes more of them for the same text
 * with another compiler or kernel, and other programs share the time of a load.
 */
#define INSTRUCTIONS_MAX 100000

static struct program program;

static const uint8_t our_mac[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };
static const uint8_t no_mac[6];
static const uint8_t our_v4[4] = { 192, 0, 2, 1 };
static const uint8_t loopback_v4[4] = { 127, 0, 0, 1 };
static const uint8_t broadcast_v4[4] = { 192, 0, 2, 255 };
static const uint8_t our_v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
static const uint8_t loopback_v6[16] = { [15] = 1 };
static const uint8_t link_local_v6[16] = { 0xfe, 0x80, [15] = 1 };

/* A query from another host; all that an answer must not take over is there. */
static struct envelope envelope_v4(void)
{
	struct envelope envelope = {
		.to_mac = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 },
		.from_mac = { 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee },
		.from = { 192, 0, 2, 77 },
		.to = { 192, 0, 2, 1 },
		.from_port = 43210,
		.to_port = 3130,
		.ttl = 57,
		.tos = 0x2a,
		.id = 0xbeef,
		.fragment = 0x4000,
		.flow = 0xabcde,
	};

	return envelope;
}

static struct envelope envelope_v6(void)
{
	struct envelope envelope = envelope_v4();

	envelope.v6 = true;
	memcpy(envelope.to, our_v6, 16);
	memcpy(envelope.from, our_v6, 16);
	envelope.from[15] = 0x77;
	return envelope;
}

static struct envelope envelope_of(bool v6)
{
	return v6 ? envelope_v6() : envelope_v4();
}

static void tag(struct envelope *envelope, uint16_t type, uint16_t value)
{
	envelope->tag_type[envelope->tags] = type;
	envelope->tag[envelope->tags++] = value;
}

static void put_v4(const uint8_t address[4], uint16_t port, const uint8_t mac[6])
{
	uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };

	memcpy(mapped + 12, address, 4);
	program_put_destination(&program, mapped, port, mac);
}

/* Our addresses, the table's rules, and a chain. */
static void prepare(const char *config, bool answer_request_zero)
{
	struct compiled *compiled;
	struct chain *chain;
	struct error error;

	program_needed(&program);
	program_clear(&program);
	put_v4(our_v4, 3130, our_mac);
	put_v4(loopback_v4, 3130, no_mac);
	put_v4(broadcast_v4, 0, NULL);
	program_put_destination(&program, our_v6, 3130, our_mac);
	program_put_destination(&program, link_local_v6, 3130, our_mac);
	program_put_destination(&program, loopback_v6, 3130, no_mac);
	for (size_t i = 0; i < TABLE_RULES; i++)
		program_put_rule(&program, table_rules[i].prefix, table_rules[i].verdict);
	chain = make_chain(config);
	assert_int_equal(chain_compile(chain, &compiled, &error), 0);
	program_set_chain(&program, compiled, answer_request_zero);
	compiled_free(compiled);
	chain_free(chain);
}

/* Puts the datagram into the envelope, and looks at what becomes of it. */
static void check_in(const struct envelope *envelope, const struct datagram *datagram)
{
	static struct bytes message, frame, answer;
	struct envelope back = envelope_back(envelope);

	message_build(&message, datagram);
	frame_build(&frame, envelope, &message);
	answer_build(&message, datagram);
	frame_build(&answer, &back, &message);
	assert_outcome(&program, datagram->name, &frame, datagram->kernel, &answer);
}

static void check(const struct datagram *datagram)
{
	struct envelope v4 = envelope_v4(), v6 = envelope_v6();

	check_in(&v4, datagram);
	check_in(&v6, datagram);
}

/* A URL of any bytes and its verdict; 0: it passes for `counter`. */
static void check_bytes(const char *what, const char *url, size_t length, uint8_t verdict,
			enum icp_counter counter)
{
	char text[1024];
	struct datagram datagram = { .name = what, .url = text, .url_size = length + 1 };

	memcpy(text, url, length);
	text[length] = '\0';
	datagram.kernel = counter;
	datagram.verdict = verdict;
	check(&datagram);
}

static void check_url(const char *url, uint8_t verdict)
{
	check_bytes(url, url, strlen(url), verdict, ICP_COUNT_ANSWERED);
}

static void check_url_passes(const char *url, enum icp_counter reason)
{
	check_bytes(url, url, strlen(url), 0, reason);
}

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

static void set_mapped(uint8_t address[16], const uint8_t v4[4])
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 12, v4, 4);
}

static void to_loopback(struct envelope *e)
{
	memset(e->to_mac, 0, 6);
	memset(e->from_mac, 0, 6);
	memcpy(e->to, e->v6 ? loopback_v6 : loopback_v4, e->v6 ? 16 : 4);
}

static void two_tags(struct envelope *e, uint16_t outer, uint16_t inner)
{
	tag(e, outer, 0x6064);
	tag(e, inner, 0x0fff);
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

/* --- what is in the message */

/* Envelopes that have nothing in common but that they are answered. */
static size_t various_envelopes(struct envelope envelopes[16])
{
	size_t count = 0;

	for (int v6 = 0; v6 < 2; v6++) {
		for (int kind = 0; kind < 6; kind++) {
			struct envelope *envelope = &envelopes[count++];

			*envelope = envelope_of(v6);
			if (kind == 1)
				envelope->checksum = CHECKSUM_PARTIAL;
			else if (kind == 2)
				envelope->checksum = v6 ? CHECKSUM_FULL : CHECKSUM_NONE;
			else if (kind == 3)
				tag(envelope, 0x8100, 0x2005);
			else if (kind == 4)
				two_tags(envelope, 0x88a8, 0x8100);
			else if (kind == 5)
				to_loopback(envelope);
			if (kind % 2)
				envelope->padding = 5 + 8 * kind;
		}
	}
	return count;
}

TEST(the_table)
{
	struct envelope envelopes[16];
	size_t count = various_envelopes(envelopes);

	prepare(TABLE_CHAIN TABLE_HORIZON, false);
	for (size_t i = 0; i < DATAGRAM_COUNT; i++) {
		for (size_t j = 0; j < count; j++) {
			check_in(&envelopes[j], &datagrams[i]);
		}
	}
}

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

/* Contents change with each length, and what the last query left behind must not matter. */
TEST(urls_of_every_length)
{
	struct envelope envelopes[16];
	size_t count = various_envelopes(envelopes);
	uint64_t seed = 5;
	char url[400];

	prepare("default = hit", false);
	for (int turn = 0; turn < 3; turn++) {
		for (uint32_t step = 1; step <= 300; step++) {
			uint32_t length = turn == 0   ? step
					  : turn == 1 ? 301 - step
					  : step % 2  ? 255 - step / 2 % 255
						      : 1 + step / 2;
			struct datagram datagram = { .name = "a random URL",
						     .url = url,
						     .url_size = length + 1,
						     .verdict = 2 };

			for (uint32_t i = 0; i < length; i++)
				url[i] = 0x21 + random_below(&seed, 0xdf);
			url[length] = '\0';
			datagram.kernel = length > 255 ? ICP_COUNT_PASSED_LONG : ICP_COUNT_ANSWERED;
			for (size_t i = turn; i < count; i += 3)
				check_in(&envelopes[i], &datagram);
		}
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

/* A driver that splits frames: either all headers are in sight, or the frame passes. */
TEST(frames_in_parts)
{
	static struct bytes message, frame, answer, out;
	const struct datagram datagram = { URL("http://hit.example/x"), .verdict = 2 };
	uint64_t before[ICP_COUNTER_MAX], after[ICP_COUNTER_MAX];

	prepare(TABLE_CHAIN, false);
	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6), back;
		size_t end;

		two_tags(&envelope, 0x88a8, 0x8100);
		back = envelope_back(&envelope);
		end = frame_message_offset(&envelope);
		message_build(&message, &datagram);
		frame_build(&frame, &envelope, &message);
		answer_build(&message, &datagram);
		frame_build(&answer, &back, &message);
		for (size_t linear = 14; linear < frame.size; linear++) {
			enum icp_counter expected = ICP_COUNT_ANSWERED;
			uint32_t action;

			if (linear < end)
				expected = ICP_COUNT_PASSED_FOREIGN;
			else if (linear < end + 24)
				expected = ICP_COUNT_PASSED_FAILED;
			program_counters(&program, before);
			if (program_run_split(&program, &frame, linear, &out, &action)) {
				assert_true(linear == 14 && !v6);
				print_message("# this kernel's test runs cannot split a frame\n");
				skip();
			}
			program_counters(&program, after);
			assert_counted("a frame in parts", before, after, expected);
			assert_int_equal(action,
					 expected == ICP_COUNT_ANSWERED ? XDP_TX : XDP_PASS);
			assert_bytes("a frame in parts", &out,
				     expected == ICP_COUNT_ANSWERED ? &answer : &frame);
		}
	}
}

/* The frame of a query whose message has been changed in one place. */
static void check_changed(const char *what, size_t place, uint8_t value, enum icp_counter counter,
			  uint8_t verdict)
{
	static struct bytes message, frame, answer;
	const struct datagram datagram = { URL("http://hit.example/x"), .verdict = verdict };

	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6), back = envelope_back(&envelope);

		message_build(&message, &datagram);
		message.at[place] = value;
		frame_build(&frame, &envelope, &message);
		answer_build(&message, &datagram);
		if (place >= 4 && place < 8) /* the request number comes back, */
			message.at[place] = value;
		if (place >= 16 && place < 20) /* so does the sender host address, */
			message.at[place] = value;
		if (place >= 24) /* and the URL */
			message.at[place - 4] = value;
		frame_build(&answer, &back, &message);
		assert_outcome(&program, what, &frame, counter, &answer);
	}
}

TEST(every_opcode_and_version)
{
	prepare(TABLE_CHAIN, false);
	for (int i = 0; i < 256; i++) {
		check_changed("opcode", 0, i,
			      i == 1 ? ICP_COUNT_ANSWERED : ICP_COUNT_PASSED_MALFORMED, 2);
		check_changed("version", 1, i,
			      i == 2 ? ICP_COUNT_ANSWERED : ICP_COUNT_PASSED_MALFORMED, 2);
	}
}

TEST(every_length_but_the_right_one)
{
	prepare(TABLE_CHAIN, false);
	for (int i = 0; i < 256; i++) {
		check_changed("length", 3, i,
			      i == 45 ? ICP_COUNT_ANSWERED : ICP_COUNT_PASSED_MALFORMED, 2);
		check_changed("length", 2, i,
			      i == 0 ? ICP_COUNT_ANSWERED : ICP_COUNT_PASSED_MALFORMED, 2);
	}
}

TEST(all_other_fields_may_hold_anything)
{
	prepare(TABLE_CHAIN, false);
	for (size_t place = 4; place < 24; place++)
		for (int i = 0; i < 256; i += 5)
			check_changed("a field", place, i, ICP_COUNT_ANSWERED, 2);
}

TEST(every_byte_at_every_place_of_a_url)
{
	prepare("default = hit", false);
	for (int place = 24; place < 44; place++) {
		for (int i = 0; i < 256; i++) {
			if (i == 0)
				check_changed("a NUL", place, i, ICP_COUNT_PASSED_MALFORMED, 0);
			else if (i == ' ' || (i >= 9 && i <= 13))
				check_changed("white space", place, i, ICP_COUNT_ANSWERED, 4);
			else
				check_changed("a byte", place, i, ICP_COUNT_ANSWERED, 2);
		}
	}
	for (int i = 0; i < 256; i++)
		check_changed("the last byte", 44, i,
			      i == 0 ? ICP_COUNT_ANSWERED : ICP_COUNT_PASSED_MALFORMED, 2);
}

/* At the edges of words, for URLs that end around the edges of words. */
TEST(white_space_at_the_edges)
{
	char url[256];

	prepare("default = hit", false);
	for (size_t length = 1; length <= 255; length += length == 26 ? 214 : 1) {
		for (size_t place = 0; place < length; place++) {
			if (place % 8 > 1 && place % 8 < 6 && place + 1 < length)
				continue;
			memset(url, 'x', length);
			url[place] = "\t\n\v\f\r "[place % 6];
			check_bytes("white space", url, length, 4, ICP_COUNT_ANSWERED);
			url[place] = '\0';
			check_bytes("a NUL", url, length, 0, ICP_COUNT_PASSED_MALFORMED);
			if (place + 1 < length) {
				url[place + 1] = ' ';
				check_bytes("a NUL and a space", url, length, 0,
					    ICP_COUNT_PASSED_MALFORMED);
			}
		}
	}
}

TEST(request_number_zero)
{
	struct datagram datagram = { "number 0", .request_zero = true, URL("http://hit.example/x"),
				     .verdict = 2, .kernel = ICP_COUNT_PASSED_MALFORMED };

	prepare(TABLE_CHAIN, false);
	check(&datagram);
	prepare(TABLE_CHAIN, true);
	datagram.kernel = ICP_COUNT_ANSWERED;
	check(&datagram);
	check_url("http://hit.example/x", 2);
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

/* --- rules, chain and horizon */

TEST(the_default)
{
	prepare("default = denied", false);
	check_url("http://e.org/", 22);
	prepare("default = hit policy 1 { kind = prefix verdict = miss url = 'http://e.org/' }",
		false);
	check_url("http://e.org/", 3);
	check_url("http://e.net/", 2);
	check_url("x", 2);
	prepare("default = hit policy 1 { kind = prefix verdict = miss url = 'http://e.org/' }"
		"policy 2 { kind = substring verdict = miss text = z }",
		false);
	check_url("http://e.org/", 3);
	check_url_passes("http://e.net/", ICP_COUNT_PASSED_HORIZON);
	prepare("default = hit policy 1 { kind = substring verdict = miss text = z }"
		"policy 2 { kind = prefix verdict = miss url = 'http://e.org/' }",
		false);
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("http://e.net/", ICP_COUNT_PASSED_HORIZON);
}

TEST(a_chain_that_nobody_filled)
{
	prepare("default = hit", false);
	program_clear(&program);
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_FOREIGN);
	put_v4(our_v4, 3130, our_mac);
	program_put_destination(&program, our_v6, 3130, our_mac);
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_HORIZON);
	program_put_rule(&program, "http://e.org/", ICP_OP_HIT);
	check_url("http://e.org/a", 2);
	check_url_passes("http://e.net/", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("x", ICP_COUNT_PASSED_HORIZON);
}

TEST(a_closed_chain)
{
	struct map_chain closed = { .generation = PROGRAM_GENERATION + 1, .first_gate = RANK_NONE };

	prepare(TABLE_CHAIN, false);
	check_url("http://hit.example/x", 2);
	program_put_chain(&program, &closed);
	check_url_passes("http://hit.example/x", ICP_COUNT_PASSED_HORIZON);
	check_url("http://rule.example/x", 22);
	check_url("http://hit.example/ ", 4);
}

TEST(no_such_chain)
{
	prepare(TABLE_CHAIN, false);
	program_control(&program, 2);
	check_url_passes("http://hit.example/x", ICP_COUNT_PASSED_FAILED);
	check_url_passes("http://rule.example/x", ICP_COUNT_PASSED_FAILED);
}

TEST(the_longest_of_nested_prefixes)
{
	prepare("default = miss\n"
		"policy 1 { kind = prefix verdict = hit urls = { a, abcdefgh, abcdefghi } }\n"
		"policy 2 { kind = exact verdict = denied urls = { a, b, abcdefghij } }\n"
		"policy 3 { kind = prefix verdict = err urls = { abc, b } }\n"
		"policy 4 { kind = prefix verdict = miss_nofetch urls = { '', abcd, ba } }\n",
		false);
	check_url("a", 2);
	check_url("abc", 2);
	check_url("abcdefghij", 2);
	check_url("b", 22);
	check_url("ba", 4);
	check_url("c", 21);
	check_url("zzzzzzzzzzzzzzzzzzzzzzzz", 21);
}

TEST(verdicts_of_nested_prefixes)
{
	char path[LIST_PATH_SIZE], config[256];
	const char list[] = "\tdenied\nabcdefgh\thit\nabcdefg\tmiss\nabcdefghi\terr\n"
			    "abcdefghabcdefgh\tmiss_nofetch\n";

	program_needed(&program);
	write_list(path, list, strlen(list));
	snprintf(config, sizeof(config), "policy 1 { kind = prefix file = '%s' }", path);
	prepare(config, false);
	unlink(path);
	check_url("abcdef", 22);
	check_url("abcdefg", 3);
	check_url("abcdefgz", 3);
	check_url("abcdefgh", 2);
	check_url("abcdefghz", 2);
	check_url("abcdefghi", 4);
	check_url("abcdefghabcdefg", 2);
	check_url("abcdefghabcdefgh", 21);
	check_url("abcdefghabcdefghabcdefgh", 21);
	check_url("a", 22);
}

/* The longest texts: 255 bytes, and 255 bytes with their NUL. */
TEST(the_longest_prefixes)
{
	char url[257], config[1024];

	memset(url, 'u', 256);
	url[255] = '\0';
	snprintf(config, sizeof(config),
		 "default = err\n"
		 "policy 1 { kind = exact verdict = hit url = '%s' }\n"
		 "policy 2 { kind = prefix verdict = denied url = '%.*s' }\n",
		 url, 254, url);
	prepare(config, false);
	check_url(url, 2);
	url[254] = 'v';
	check_url(url, 22);
	url[254] = '\0';
	check_url(url, 22);
	url[253] = '\0';
	check_url(url, 4);
}

TEST(rules_before_all)
{
	char longest[256];

	prepare("policy 1 { kind = exact verdict = miss url = 'http://e.org/a' }", false);
	check_url("http://e.org/a", 3);
	program_put_rule(&program, "http://e.org", ICP_OP_ERR);
	check_url("http://e.org/a", 4);
	program_put_rule(&program, "http://e.org/a", ICP_OP_HIT);
	check_url("http://e.org/a", 2);
	check_url("http://e.org/ab", 2);
	check_url("http://e.org/b", 4);
	program_put_rule(&program, "http://e.org/ab", ICP_OP_DENIED);
	check_url("http://e.org/ab", 22);
	check_url("http://e.org/a", 2);
	check_url("http://e.net/", 3);
	program_put_rule(&program, "", ICP_OP_MISS_NOFETCH);
	check_url("http://e.net/", 21);
	check_url("http://e.org/ab", 22);

	memset(longest, 'u', 255);
	longest[255] = '\0';
	program_put_rule(&program, longest, ICP_OP_HIT);
	check_url(longest, 2);
	longest[254] = 'v';
	check_url(longest, 21);
	longest[254] = '\0';
	check_url(longest, 21);

	/* With its NUL a text is longer than any URL that it could match. */
	program_put_rule_bits(&program, "http://e.net/x\0", 8 * 15, ICP_OP_HIT);
	check_url("http://e.net/x", 21);
}

TEST(rules_without_a_verdict)
{
	static const unsigned int none[] = { 0, 1, 5, 10, 11, 20, 23, 255, 256, 258, 0x80000002 };

	prepare("default = hit", false);
	program_put_rule(&program, "http://e.org/", ICP_OP_DENIED);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		program_put_rule(&program, "http://e.org/a", none[i]);
		check_url_passes("http://e.org/a", ICP_COUNT_PASSED_RULE);
		check_url_passes("http://e.org/ab", ICP_COUNT_PASSED_RULE);
		check_url("http://e.org/b", 22);
	}
	check_url("http://e.org/a ", 4);
}

/* What bpftool may do and icpctl does not: a rule of so many bits. */
TEST(rules_of_bits)
{
	const char text[] = "http://e.org/abc";
	char url[sizeof(text)];

	for (size_t bits = 0; bits <= 8 * strlen(text); bits++) {
		prepare("default = hit", false);
		program_put_rule_bits(&program, text, bits, ICP_OP_DENIED);
		check_url(text, 22);
		strcpy(url, text);
		if (bits < 8 * strlen(text)) {
			url[bits / 8] ^= 0x80 >> bits % 8;
			check_url(url, 22);
		}
		strcpy(url, text);
		if (bits > 0) {
			url[(bits - 1) / 8] ^= 0x80 >> (bits - 1) % 8;
			check_url(url, 2);
			url[(bits + 7) / 8 - 1] = '\0'; /* a URL that ends before the rule does */
			if (url[0])
				check_url(url, 2);
		}
	}
}

/* Other bytes under the hash of "http://e.org/abcd"; a shorter prefix and a longer are there, too. */
TEST(collisions)
{
	const char url[] = "http://e.org/abcdef";
	const struct prefix_entry entries[] = { { url, 13, 1 }, { url, 17, 2 }, { url, 19, 3 } };
	const struct prefix_answer answers[] = { { 0, ICP_OP_HIT, ICP_NO_COST },
						 { 0, ICP_OP_DENIED, ICP_NO_COST },
						 { 0, ICP_OP_MISS_NOFETCH, ICP_NO_COST } };
	struct map_chain chain = { .first_gate = RANK_NONE,
				   .generation = PROGRAM_GENERATION,
				   .horizon = RANK_NONE,
				   .default_rank = 1,
				   .default_verdict = ICP_OP_MISS };
	struct prefix_line *line;

	prepare("default = err", false);
	program_put_prefixes(&program, &chain, entries, 3, answers, 3);
	program_put_chain(&program, &chain);
	check_url("http://e.org/ab", 2);
	check_url("http://e.org/abcd", 22);
	check_url(url, 21);
	line = program_lines(&program) + 1;
	assert_memory_equal(line->text, url, 19);
	for (size_t place = 0; place < 64; place++) {
		line->text[place] ^= 0x20;
		check_url("http://e.org/ab", 2);
		if (place < 17)
			check_url_passes(url, ICP_COUNT_PASSED_COLLISION);
		else
			check_url(url, place < 19 ? 22 : 21);
		line->text[place] ^= 0x20;
	}
	check_url(url, 21);
}

/* What the map of chains says lies beyond the arrays. */
TEST(arrays_too_short)
{
	const struct prefix_entry entries[] = { { "a", 1, 1 }, { "bc", 2, 1 } };
	const struct prefix_answer answers[] = { { 0, ICP_OP_HIT, ICP_NO_COST } };
	struct map_chain chain = { .first_gate = RANK_NONE,
				   .generation = PROGRAM_GENERATION,
				   .horizon = RANK_NONE,
				   .default_rank = 1,
				   .default_verdict = ICP_OP_MISS };
	struct map_chain broken;

	prepare("default = err", false);
	program_put_prefixes(&program, &chain, entries, 2, answers, 1);
	program_put_chain(&program, &chain);
	check_url("bcd", 2);
	broken = chain;
	broken.prefixes.first_bucket = 0x7fffffff;
	program_put_chain(&program, &broken);
	check_url_passes("bcd", ICP_COUNT_PASSED_COLLISION);
	broken = chain;
	broken.prefixes.first_line = 0xffffffff;
	program_put_chain(&program, &broken);
	check_url_passes("ab", ICP_COUNT_PASSED_COLLISION);
	broken = chain;
	broken.first_answer = 2 * ANSWERS_MAX;
	program_put_chain(&program, &broken);
	check_url_passes("bcd", ICP_COUNT_PASSED_FAILED);
	check_url("x", 3);
}

TEST(entries_before_and_behind_the_horizon)
{
	const struct prefix_entry entry = { "a", 1, 1 };
	struct prefix_answer answer = { 4, ICP_OP_HIT, ICP_NO_COST };
	struct map_chain chain = { .first_gate = RANK_NONE,
				   .generation = PROGRAM_GENERATION,
				   .horizon = 5,
				   .default_rank = 9,
				   .default_verdict = ICP_OP_MISS };

	prepare("default = err", false);
	program_put_prefixes(&program, &chain, &entry, 1, &answer, 1);
	program_put_chain(&program, &chain);
	check_url("ax", 2);
	answer.rank = 5;
	program_put_prefixes(&program, &chain, &entry, 1, &answer, 1);
	program_put_chain(&program, &chain);
	check_url_passes("ax", ICP_COUNT_PASSED_HORIZON);
	answer.rank = 6;
	program_put_prefixes(&program, &chain, &entry, 1, &answer, 1);
	program_put_chain(&program, &chain);
	check_url_passes("ax", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("b", ICP_COUNT_PASSED_HORIZON);
	chain.default_rank = 4;
	program_put_chain(&program, &chain);
	check_url("b", 3);
}

/* --- random chains, put into the kernel by the daemon's own code */

struct random_entry {
	char text[264];
	size_t length;
	enum icp_opcode verdict;
};

struct random_policy {
	enum {
		PREFIX,
		EXACT,
		OPAQUE
	} kind;
	int cost;
	size_t count;
	struct random_entry entries[16];
};

struct random_chain {
	size_t count;
	struct random_policy policies[8];
	enum icp_opcode default_verdict;
};

static size_t random_url(uint64_t *seed, char url[264])
{
	static const char *const begins[] = { "", "http://a.b/", "http://a.b/aa/b",
					      "http://a.bb/" };
	size_t length;

	strcpy(url, begins[random_below(seed, 4)]);
	length = strlen(url) + random_below(seed, 12);
	if (random_below(seed, 12) == 0)
		length = 246 + random_below(seed, 14);
	if (length == 0)
		length = 1;
	for (size_t i = strlen(url); i < length; i++)
		url[i] = random_below(seed, 7) ? 'a' : "b/"[random_below(seed, 2)];
	url[length] = '\0';
	return length;
}

static bool policy_has(const struct random_policy *policy, const char *url)
{
	for (size_t i = 0; i < policy->count; i++)
		if (strcmp(policy->entries[i].text, url) == 0)
			return true;
	return false;
}

static void random_policy(uint64_t *seed, struct random_policy *policy)
{
	*policy = (struct random_policy){ .kind = random_below(seed, 3) ? PREFIX : EXACT,
					  .cost = ICP_NO_COST };
	if (random_below(seed, 8) == 0)
		policy->kind = OPAQUE;
	if (random_below(seed, 2))
		policy->cost = random_below(seed, 65536);
	for (uint32_t i = 1 + random_below(seed, 15); i; i--) {
		struct random_entry *entry = &policy->entries[policy->count];
		char url[264];
		size_t length = random_url(seed, url);

		if (policy->kind == PREFIX && random_below(seed, 40) == 0)
			url[length = 0] = '\0';
		if (policy_has(policy, url))
			continue;
		strcpy(entry->text, url);
		entry->length = length;
		entry->verdict = random_verdict(seed);
		policy->count++;
	}
}

static const char *const verdict_names[] = {
	[ICP_OP_HIT] = "hit",	    [ICP_OP_MISS] = "miss",
	[ICP_OP_ERR] = "err",	    [ICP_OP_MISS_NOFETCH] = "miss_nofetch",
	[ICP_OP_DENIED] = "denied",
};

static struct chain *make_random_chain(uint64_t *seed, struct random_chain *random)
{
	char *text = NULL, paths[8][LIST_PATH_SIZE];
	struct chain *chain;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	*random = (struct random_chain){ .count = random_below(seed, 8),
					 .default_verdict = random_verdict(seed) };
	fprintf(stream, "default = %s\n", verdict_names[random->default_verdict]);
	/* The file names the last policy first: the chain has them by their names. */
	for (size_t i = random->count; i-- > 0;) {
		struct random_policy *policy = &random->policies[i];
		char *list = NULL;
		size_t list_size;
		FILE *lines = open_memstream(&list, &list_size);

		random_policy(seed, policy);
		for (size_t j = 0; j < policy->count; j++) {
			fprintf(lines, "%s\t%s\n", policy->entries[j].text,
				verdict_names[policy->entries[j].verdict]);
		}
		fclose(lines);
		write_list(paths[i], list, list_size);
		free(list);
		fprintf(stream, "policy p%zu { kind = %s file = '%s'", i,
			policy->kind == PREFIX	? "prefix"
			: policy->kind == EXACT ? "exact"
						: "substring",
			paths[i]);
		if (policy->cost != ICP_NO_COST)
			fprintf(stream, " cost = %d", policy->cost);
		fprintf(stream, " }\n");
	}
	fclose(stream);
	chain = make_chain(text);
	free(text);
	for (size_t i = 0; i < random->count; i++)
		unlink(paths[i]);
	return chain;
}

/* Policy by policy, entry by entry; what an opaque policy says nobody knows. */
static void decide_slowly(const struct random_chain *random, const char *url, size_t length,
			  struct datagram *datagram)
{
	datagram->kernel = ICP_COUNT_ANSWERED;
	if (length > 255) {
		datagram->kernel = ICP_COUNT_PASSED_LONG;
		return;
	}
	for (size_t i = 0; i < random->count; i++) {
		const struct random_policy *policy = &random->policies[i];
		const struct random_entry *longest = NULL;

		if (policy->kind == OPAQUE) {
			datagram->kernel = ICP_COUNT_PASSED_HORIZON;
			return;
		}
		for (size_t j = 0; j < policy->count; j++) {
			const struct random_entry *entry = &policy->entries[j];

			if (policy->kind == EXACT ? strcmp(entry->text, url) != 0
						  : strncmp(entry->text, url, entry->length) != 0)
				continue;
			if (!longest || entry->length > longest->length)
				longest = entry;
		}
		if (longest) {
			datagram->verdict = longest->verdict;
			datagram->tells_cost =
				policy->cost != ICP_NO_COST && (datagram->options & SRC_RTT);
			datagram->cost = policy->cost;
			return;
		}
	}
	datagram->verdict = random->default_verdict;
}

static const struct in6_addr somebody = { 0 };

#define RANDOM_CHAINS 200
#define RANDOM_URLS 100

TEST(random_chains)
{
	static struct random_chain random;
	uint64_t counters[ICP_COUNTER_MAX], kernels[ICP_COUNTER_MAX] = { 0 };
	struct envelope envelopes[16];
	size_t count = various_envelopes(envelopes), answered = 0, horizon = 0;
	struct kernel *kernel;
	uint64_t seed = 4711;
	struct error error;

	prepare("default = hit", false);
	program_empty_map(program.skeleton->maps.rules);
	kernel = program_kernel(&program);
	for (int round = 0; round < RANDOM_CHAINS; round++) {
		struct chain *chain = make_random_chain(&seed, &random);
		struct compiled *compiled;

		assert_int_equal(chain_compile(chain, &compiled, &error), 0);
		if (kernel_set_chain(kernel, compiled, false, 3000, NULL, &error))
			fail_msg("%s", error.text);
		kernel_watch(kernel, chain_gate(chain));
		for (int i = 0; i < RANDOM_URLS; i++) {
			char url[264];
			size_t length = random_url(&seed, url);
			struct datagram datagram = { .name = url,
						     .url = url,
						     .url_size = length + 1 };
			struct decision decision;

			if (random_below(&seed, 2))
				datagram.options = SRC_RTT;
			decide_slowly(&random, url, length, &datagram);
			check_in(&envelopes[random_below(&seed, count)], &datagram);
			answered += datagram.kernel == ICP_COUNT_ANSWERED;
			horizon += datagram.kernel == ICP_COUNT_PASSED_HORIZON;
			/* `icpctl check` says the same. */
			assert_int_equal(
				kernel_decide(kernel, url, length, &somebody, &decision, &error),
				0);
			assert_int_equal(decision.counter, datagram.kernel);
			if (datagram.kernel == ICP_COUNT_ANSWERED)
				assert_int_equal(decision.verdict.opcode, datagram.verdict);
		}
		compiled_free(compiled);
		chain_free(chain);
	}
	program_counters(&program, counters);
	assert_int_equal(kernel_counters(kernel, kernels), 0);
	assert_memory_equal(kernels, counters, sizeof(counters));
	kernel_close(kernel);
	/* The test would be of no use if one of both hardly happened. */
	assert_true(answered > RANDOM_CHAINS * RANDOM_URLS / 4);
	assert_true(horizon > RANDOM_CHAINS * RANDOM_URLS / 20);
}

static struct compiled *compile(struct chain *chain)
{
	struct compiled *compiled;
	struct error error;

	assert_int_equal(chain_compile(chain, &compiled, &error), 0);
	return compiled;
}

static struct chain *chain_of(size_t prefixes)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	struct chain *chain;

	fprintf(stream, "default = denied policy 1 { kind = prefix verdict = hit urls = { 'u0000'");
	for (size_t i = 1; i < prefixes; i++)
		fprintf(stream, ", 'u%04zu'", i);
	fprintf(stream, " } }");
	fclose(stream);
	chain = make_chain(text);
	free(text);
	return chain;
}

TEST(maps_as_the_daemon_writes_them)
{
	struct kernel_destination list[2] = {
		{ .key = { .ifindex = program.ifindex, .port = host_to_be16(3130) } },
		{ .key = { .ifindex = program.ifindex, .port = host_to_be16(3130) } },
	};
	struct compiled *small_compiled, *large_compiled;
	struct chain *small, *large;
	struct datagram zero = { "number 0", .request_zero = true, URL("u0000"), .verdict = 2,
				 .kernel = ICP_COUNT_ANSWERED };
	struct kernel *kernel;
	struct error error;

	prepare("default = miss", false);
	program_empty_map(program.skeleton->maps.rules);
	kernel = program_kernel(&program);
	small = chain_of(3);
	small_compiled = compile(small);
	large = chain_of(PROGRAM_PREFIXES + 1);
	large_compiled = compile(large);
	assert_int_equal(kernel_sizes(kernel).prefixes, PROGRAM_PREFIXES);
	assert_int_equal(kernel_sizes(kernel).rules, PROGRAM_RULES);

	/* A list replaces what was there. */
	set_mapped(list[0].key.address, our_v4);
	memcpy(list[1].key.address, our_v6, 16);
	memcpy(list[0].value.mac, our_mac, 6);
	memcpy(list[1].value.mac, our_mac, 6);
	assert_int_equal(kernel_set_destinations(kernel, list, 0, &error), 0);
	check_url_passes("x", ICP_COUNT_PASSED_FOREIGN);
	assert_int_equal(kernel_set_destinations(kernel, list, 2, &error), 0);
	check_url("x", 3);
	assert_int_equal(kernel_set_destinations(kernel, list, 0, &error), 0);
	check_url_passes("x", ICP_COUNT_PASSED_FOREIGN);
	list[0].value.mac[5] ^= 1;
	list[1].value.mac[5] ^= 1;
	assert_int_equal(kernel_set_destinations(kernel, list, 2, &error), 0);
	check_url_passes("x", ICP_COUNT_PASSED_MAC);
	list[0].value.mac[5] ^= 1;
	list[1].value.mac[5] ^= 1;
	assert_int_equal(kernel_set_destinations(kernel, list, 2, &error), 0);
	check_url("x", 3);

	assert_int_equal(kernel_set_chain(kernel, small_compiled, false, 3000, NULL, &error), 0);
	check_url("x", 22);
	check_url("u0000", 2);
	/* Where the new does not fit, the former stays. */
	assert_int_equal(kernel_set_chain(kernel, large_compiled, true, 3000, NULL, &error), -1);
	check_url("u0000", 2);
	check_url("u0002", 2);
	check_url("u0003", 22);
	zero.kernel = ICP_COUNT_PASSED_MALFORMED;
	check(&zero);
	assert_int_equal(kernel_set_chain(kernel, small_compiled, true, 3000, NULL, &error), 0);
	zero.kernel = ICP_COUNT_ANSWERED;
	check(&zero);

	program_put_rule(&program, "u0000", ICP_OP_ERR);
	assert_int_equal(kernel_close_chain(kernel, &error), 0);
	check_url("u0000", 4);
	check_url_passes("u0001", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("x", ICP_COUNT_PASSED_HORIZON);
	kernel_close(kernel);
	compiled_free(small_compiled);
	compiled_free(large_compiled);
	chain_free(small);
	chain_free(large);
}

/* --- what icpctl trace is shown */

struct shown {
	struct trace_record last;
	unsigned int count;
};

static int show(void *context, void *record, size_t size)
{
	struct shown *shown = context;

	assert_true(size >= sizeof(shown->last));
	shown->last = *(struct trace_record *)record;
	shown->count++;
	return 0;
}

static void trace_until(uint64_t until)
{
	int fd = bpf_map__fd(program.skeleton->maps.control);
	struct map_control control;
	uint32_t key = 0;

	assert_int_equal(bpf_map_lookup_elem(fd, &key, &control), 0);
	control.trace_until = until;
	assert_int_equal(bpf_map_update_elem(fd, &key, &control, 0), 0);
}

TEST(traces)
{
	static struct bytes message, frame, out;
	static const struct datagram answered = { URL("http://hit.example/x"), .verdict = 2 };
	uint64_t before[ICP_COUNTER_MAX], after[ICP_COUNTER_MAX];
	struct shown shown = { .count = 0 };
	struct ring_buffer *ring;
	uint32_t action;

	prepare(TABLE_CHAIN, false);
	ring = ring_buffer__new(bpf_map__fd(program.skeleton->maps.trace), show, &shown, NULL);
	assert_non_null(ring);
	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6);
		const struct trace_record *record = &shown.last;

		message_build(&message, &answered);
		frame_build(&frame, &envelope, &message);

		/* Nobody traces, or who did has died. */
		for (uint64_t until = 0; until < 2; until++) {
			trace_until(until);
			program_run(&program, &frame, &out, &action);
			assert_int_equal(ring_buffer__consume(ring), 0);
		}
		trace_until(UINT64_MAX);
		program_run(&program, &frame, &out, &action);
		assert_int_equal(action, XDP_TX);
		assert_int_equal(ring_buffer__consume(ring), 1);
		assert_int_equal(record->counter, ICP_COUNT_ANSWERED);
		assert_int_equal(record->verdict, ICP_OP_HIT);
		assert_memory_equal(record->source + (v6 ? 0 : 12), envelope.from, v6 ? 16 : 4);
		assert_memory_equal(record->destination + (v6 ? 0 : 12), envelope.to, v6 ? 16 : 4);
		assert_int_equal(be16toh(record->source_port), envelope.from_port);
		assert_int_equal(be16toh(record->destination_port), envelope.to_port);
		assert_memory_equal(&record->request_number, message.at + 4, 4);
		assert_int_equal(record->url_length, strlen("http://hit.example/x"));
		assert_memory_equal(record->url, "http://hit.example/x", record->url_length + 1);

		/* What was not read of a message is not shown. */
		envelope.checksum = CHECKSUM_WRONG;
		frame_build(&frame, &envelope, &message);
		program_run(&program, &frame, &out, &action);
		assert_int_equal(action, XDP_PASS);
		assert_int_equal(ring_buffer__consume(ring), 1);
		assert_int_equal(record->counter, ICP_COUNT_PASSED_CHECKSUM);
		assert_int_equal(record->verdict, ICP_OP_INVALID);
		assert_int_equal(record->url_length, 0);
		assert_int_equal(record->request_number, 0);
	}

	/* So many and no more, and the others are counted. */
	shown.count = 0;
	program_counters(&program, before);
	for (int i = 0; i < 5000; i++)
		program_run(&program, &frame, &out, &action);
	assert_true(ring_buffer__consume(ring) >= 0);
	program_counters(&program, after);
	assert_true(shown.count > 0);
	assert_int_equal(
		shown.count + after[ICP_COUNT_FAILED_TRACE] - before[ICP_COUNT_FAILED_TRACE], 5000);
	assert_true(after[ICP_COUNT_FAILED_TRACE] > before[ICP_COUNT_FAILED_TRACE]);
	trace_until(0);
	ring_buffer__free(ring);
}

/* --- what the verifier makes of it */

TEST(the_verifiers_budget)
{
	static char log[16384];
	const char *processed, *stack;
	struct xdp_icp *skeleton;
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	unsigned int instructions;

	program_needed(&program);
	skeleton = xdp_icp__open();
	assert_non_null(skeleton);
	bpf_program__set_log_level(skeleton->progs.xdp_icp, 4); /* statistics alone */
	bpf_program__set_log_buf(skeleton->progs.xdp_icp, log, sizeof(log));
	assert_int_equal(xdp_icp__load(skeleton), 0);
	processed = strstr(log, "processed ");
	assert_non_null(processed);
	assert_int_equal(sscanf(processed, "processed %u insns", &instructions), 1);
	assert_int_equal(
		bpf_obj_get_info_by_fd(bpf_program__fd(skeleton->progs.xdp_icp), &info, &size), 0);
	stack = strstr(log, "stack depth ");
	print_message("# the verifier looked at %u instructions; stack depth %d; %u bytes of BPF, "
		      "%u of machine code\n",
		      instructions, stack ? atoi(stack + strlen("stack depth ")) : -1,
		      info.xlated_prog_len, info.jited_prog_len);
	xdp_icp__destroy(skeleton);
	assert_true(instructions <= INSTRUCTIONS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_builder),
		cmocka_unit_test(the_table),
		cmocka_unit_test(an_empty_datagram),
		cmocka_unit_test(urls_of_every_length),
		cmocka_unit_test(truncated_frames),
		cmocka_unit_test(frames_in_parts),
		cmocka_unit_test(every_opcode_and_version),
		cmocka_unit_test(every_length_but_the_right_one),
		cmocka_unit_test(all_other_fields_may_hold_anything),
		cmocka_unit_test(every_byte_at_every_place_of_a_url),
		cmocka_unit_test(white_space_at_the_edges),
		cmocka_unit_test(request_number_zero),
		cmocka_unit_test(checksums_of_zero),
		cmocka_unit_test(wrong_bytes_anywhere),
		cmocka_unit_test(the_default),
		cmocka_unit_test(a_chain_that_nobody_filled),
		cmocka_unit_test(a_closed_chain),
		cmocka_unit_test(no_such_chain),
		cmocka_unit_test(the_longest_of_nested_prefixes),
		cmocka_unit_test(verdicts_of_nested_prefixes),
		cmocka_unit_test(the_longest_prefixes),
		cmocka_unit_test(rules_before_all),
		cmocka_unit_test(rules_without_a_verdict),
		cmocka_unit_test(rules_of_bits),
		cmocka_unit_test(collisions),
		cmocka_unit_test(arrays_too_short),
		cmocka_unit_test(entries_before_and_behind_the_horizon),
		cmocka_unit_test(random_chains),
		cmocka_unit_test(maps_as_the_daemon_writes_them),
		cmocka_unit_test(traces),
		cmocka_unit_test(the_verifiers_budget),
	};
	struct CMUnitTest frames[CASE_COUNT];
	int failed;

	for (size_t i = 0; i < CASE_COUNT; i++)
		frames[i] = (struct CMUnitTest){ cases[i].name, frame_case, NULL, NULL, &cases[i] };
	program_open(&program);
	failed = cmocka_run_group_tests_name("frames", frames, NULL, NULL);
	failed += cmocka_run_group_tests_name("messages", tests, NULL, NULL);
	program_close(&program);
	return failed;
}
