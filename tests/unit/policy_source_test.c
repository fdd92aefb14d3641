// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind source and the sets of networks that it is made of. */
#include <arpa/inet.h>

#include "lib/netset.h"
#include "support/policies.h"

static struct in6_addr address_of(const char *text)
{
	struct in6_addr address = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	if (inet_pton(AF_INET, text, address.s6_addr + 12) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

static enum icp_opcode ask_from(const struct policy *policy, const char *source)
{
	struct query query = { .url = "x", .length = 1, .source = address_of(source) };

	return policy_match(policy, &query).verdict;
}

TEST(networks_and_addresses)
{
	struct policy *policy = MAKE_LISTED(
		"kind = source verdict = hit from = { '192.0.2.1', '10.0.0.0/8', '2001:db8::1' }",
		"# ours\n198.51.100.0/25\r\n2001:db8:1::/48\thit\n");

	assert_int_equal(policy->kind->basis, POLICY_BASIS_SOURCE);
	assert_int_equal(ask_from(policy, "192.0.2.1"), ICP_OP_HIT);
	assert_int_equal(ask_from(policy, "192.0.2.2"), NOTHING);
	assert_int_equal(ask_from(policy, "192.0.2.0"), NOTHING);
	assert_int_equal(ask_from(policy, "10.255.255.255"), ICP_OP_HIT);
	assert_int_equal(ask_from(policy, "11.0.0.0"), NOTHING);
	assert_int_equal(ask_from(policy, "9.255.255.255"), NOTHING);
	assert_int_equal(ask_from(policy, "198.51.100.127"), ICP_OP_HIT);
	assert_int_equal(ask_from(policy, "198.51.100.128"), NOTHING);
	assert_int_equal(ask_from(policy, "2001:db8::1"), ICP_OP_HIT);
	assert_int_equal(ask_from(policy, "2001:db8::2"), NOTHING);
	assert_int_equal(ask_from(policy, "2001:db8:1:ffff::"), ICP_OP_HIT);
	assert_int_equal(ask_from(policy, "2001:db8:2::"), NOTHING);
	/* the same bits elsewhere in the address */
	assert_int_equal(ask_from(policy, "::192.0.2.1"), NOTHING);
	assert_int_equal(ask_from(policy, "a00::"), NOTHING);
	assert_int_equal(netset_count(policy->kind->sources(policy)), 5);
	policy_free(policy);
	policy = make_policy("kind = source verdict = denied not = true from = '10.0.0.0/8'");
	assert_int_equal(ask_from(policy, "10.0.0.1"), NOTHING);
	assert_int_equal(ask_from(policy, "::1"), ICP_OP_DENIED);
	policy_free(policy);
}

TEST(all_of_one_family)
{
	struct policy *four = make_policy("kind = source verdict = hit from = '0.0.0.0/0'");
	struct policy *six = make_policy("kind = source verdict = hit from = '::/0'");
	struct policy *half = make_policy("kind = source verdict = hit from = '::fff0:0:0/92'");
	struct netset_network first = netset_get(six->kind->sources(six), 0);

	assert_int_equal(ask_from(four, "0.0.0.0"), ICP_OP_HIT);
	assert_int_equal(ask_from(four, "255.255.255.255"), ICP_OP_HIT);
	assert_int_equal(ask_from(four, "::"), NOTHING);
	assert_int_equal(ask_from(four, "::fffe:ffff:ffff"), NOTHING);
	assert_int_equal(ask_from(four, "::1:0:0:0"), NOTHING);
	assert_int_equal(netset_count(four->kind->sources(four)), 1);

	assert_int_equal(ask_from(six, "0.0.0.0"), NOTHING);
	assert_int_equal(ask_from(six, "192.0.2.1"), NOTHING);
	assert_int_equal(ask_from(six, "255.255.255.255"), NOTHING);
	assert_int_equal(ask_from(six, "::"), ICP_OP_HIT);
	assert_int_equal(ask_from(six, "::fffe:ffff:ffff"), ICP_OP_HIT);
	assert_int_equal(ask_from(six, "::1:0:0:0"), ICP_OP_HIT);
	assert_int_equal(ask_from(six, "ffff::"), ICP_OP_HIT);
	assert_int_equal(netset_count(six->kind->sources(six)), 96);
	assert_int_equal(first.bits, 81);

	assert_int_equal(ask_from(half, "::fff0:0:0"), ICP_OP_HIT);
	assert_int_equal(ask_from(half, "::fffe:ffff:ffff"), ICP_OP_HIT);
	assert_int_equal(ask_from(half, "::ffef:ffff:ffff"), NOTHING);
	assert_int_equal(ask_from(half, "1.2.3.4"), NOTHING);
	policy_free(four);
	policy_free(six);
	policy_free(half);
}

/* Random networks that lie within one another, against a walk over all of them. */
TEST(networks_within_networks)
{
	enum {
		NETWORKS = 200,
		ROUNDS = 50,
		ADDRESSES = 200
	};
	uint64_t seed = 11;
	size_t inside = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct netset_network networks[NETWORKS];
		struct netset *set = netset_new();
		size_t count = random_below(&seed, NETWORKS + 1);

		assert_non_null(set);
		for (size_t i = 0; i < count; i++) {
			struct error error;
			const char *text;
			uint32_t bits = 18 + random_below(&seed, 15);
			uint32_t host = random_next(&seed) & 0xffff & ~0ULL << (32 - bits);

			text = formatted("10.9.%u.%u/%u", host >> 8, host & 255, bits);
			assert_int_equal(netset_network_parse(text, &networks[i], &error), 0);
			assert_int_equal(networks[i].bits, bits + 96);
			assert_int_equal(netset_add(set, &networks[i]), 0);
		}
		netset_finish(set);
		assert_true(netset_count(set) <= count);
		for (size_t i = 0; i < ADDRESSES; i++) {
			struct in6_addr address = address_of("10.9.0.0");
			bool held = false;

			address.s6_addr[14] = random_next(&seed);
			address.s6_addr[15] = random_next(&seed);
			for (size_t j = 0; j < count && !held; j++) {
				unsigned int low = networks[j].address.s6_addr[14] << 8 |
						   networks[j].address.s6_addr[15];
				unsigned int own = address.s6_addr[14] << 8 | address.s6_addr[15];

				held = (low ^ own) >> (128 - networks[j].bits) == 0;
			}
			inside += held;
			assert_int_equal(netset_contains(set, &address), held);
		}
		netset_free(set);
	}
	assert_in_range(inside, ROUNDS * ADDRESSES / 10, ROUNDS * ADDRESSES * 9 / 10);
}

TEST(configuration_errors)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "e.org",
		  "'e.org' is neither an address nor a network; write 192.0.2.1, 192.0.2.0/24 or "
		  "2001:db8::/32, with numbers, not names" },
		{ "", "'' is neither an address nor a network; write 192.0.2.1, 192.0.2.0/24 or "
		      "2001:db8::/32, with numbers, not names" },
		{ "10.0.0/8", "'10.0.0/8' is neither an address nor a network; write 192.0.2.1, "
			      "192.0.2.0/24 or 2001:db8::/32, with numbers, not names" },
		{ "10.0.0.0/33", "'10.0.0.0/33': after the slash must be a number from 0 to 32" },
		{ "10.0.0.0/", "'10.0.0.0/': after the slash must be a number from 0 to 32" },
		{ "10.0.0.0/-1", "'10.0.0.0/-1': after the slash must be a number from 0 to 32" },
		{ "::/129", "'::/129': after the slash must be a number from 0 to 128" },
		{ "10.1.2.3/8", "'10.1.2.3/8' has bits set after the first 8; write 10.0.0.0/8 "
				"for the network or 10.1.2.3 for the single address" },
		{ "2001:db8::1/32", "'2001:db8::1/32' has bits set after the first 32; write "
				    "2001:db8::/32 for the network or 2001:db8::1 for the single "
				    "address" },
		{ "192.0.2.1/31", "'192.0.2.1/31' has bits set after the first 31; write "
				  "192.0.2.0/31 for the network or 192.0.2.1 for the single "
				  "address" },
		{ "::ffff:1.2.3.4", "'::ffff:1.2.3.4' is an IPv4-mapped IPv6 address; "
				    "write it as 192.0.2.1 or 192.0.2.0/24" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_policy_error(
			formatted("kind = source verdict = hit from = { '10.0.0.0/8',\n'%s' }",
				  cases[i].text),
			formatted("c:2: policy 'p': %s", cases[i].error));
	}
	assert_policy_error("kind = source from = '::1'",
			    "c:1: policy 'p': 'verdict' is missing; it can be hit, miss, "
			    "miss_nofetch, denied or err");
	assert_policy_error("kind = source verdict = hit",
			    "c:1: policy 'p': 'from' or 'file' is missing");
}

TEST(entry_with_a_verdict)
{
	LIST_ERROR(
		"kind = source verdict = hit", "::1\n10.0.0.0/8\tmiss\n",
		"FILE:2: policy 'p': '10.0.0.0/8' has a verdict of its own, which this kind does "
		"not take; write another policy for it");
	LIST_ERROR("kind = source verdict = hit", "::1\0x\n",
		   "FILE:1: policy 'p': there is a NUL behind '::1'; leave it out");
}
