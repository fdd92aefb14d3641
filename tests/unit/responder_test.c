// SPDX-License-Identifier: GPL-2.0-or-later
/* From a datagram to its reply without a socket: protocol.md, R1 to R8. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "support/chains.h"
#include "support/datagrams.h"
#include "xdp/pins.h"
#include "server/responder.h"

static struct responder responder;
static struct sockaddr_in querier;

static void open_with(const char *config)
{
	responder = (struct responder){ .chain = make_chain(config), .rules = table_rules_local() };
	querier = (struct sockaddr_in){ .sin_family = AF_INET,
					.sin_port = htons(3130),
					.sin_addr = { htonl(0xc0000207) } };
}

FIXTURE(open_table)
{
	open_with(TABLE_CHAIN TABLE_HORIZON);
	return 0;
}

FIXTURE(close_all)
{
	chain_free((struct chain *)responder.chain);
	rules_free((struct rules *)responder.rules);
	return 0;
}

TEST_EACH(open_table, close_all)

/* Reply, or return false; exactly this counter rises by one. */
static bool ask_from(const char *what, struct bytes *query, const void *source,
		     enum icp_counter counter, struct bytes *reply)
{
	uint64_t before[ICP_COUNTER_MAX];
	struct reply sent;
	bool answered;

	memcpy(before, responder.counters, sizeof(before));
	memset(query->at + query->size, 0, ICP_WORD);
	answered = responder_reply(&responder, query->at, query->size, source, &sent);
	for (unsigned int i = 0; i < ICP_COUNTER_MAX; i++)
		if (responder.counters[i] - before[i] != (i == counter))
			fail_msg("%s: counter %u rose by %d", what, i,
				 (int)(responder.counters[i] - before[i]));
	assert_int_equal(answered, counter == ICP_COUNT_ANSWERED);
	reply->size = 0;
	if (answered) {
		push(reply, &sent.header, sizeof(sent.header));
		push(reply, sent.payload, sent.payload_size);
	}
	return answered;
}

TEST(table)
{
	static struct bytes query, reply, expected;

	for (size_t i = 0; i < datagram_count; i++) {
		message_build(&query, &datagrams[i]);
		if (!ask_from(datagrams[i].name, &query, &querier, datagrams[i].daemon, &reply))
			continue;
		answer_build(&expected, &datagrams[i]);
		assert_int_equal(reply.size, expected.size);
		assert_memory_equal(reply.at, expected.at, expected.size);
		/* R8: no amplification. */
		assert_true(reply.size <= query.size || (reply.size == 21 && query.size == 20));
	}
}

TEST(every_opcode_and_version)
{
	static struct bytes query, reply;
	const struct datagram datagram = { URL("http://hit.example/x") };

	for (int i = 0; i < 256; i++) {
		message_build(&query, &datagram);
		query.at[0] = i;
		ask_from("opcode", &query, &querier,
			 i == 1 ? ICP_COUNT_ANSWERED : ICP_COUNT_SILENT_OPCODE, &reply);
		message_build(&query, &datagram);
		query.at[1] = i;
		ask_from("version", &query, &querier,
			 i == 2 ? ICP_COUNT_ANSWERED : ICP_COUNT_SILENT_VERSION, &reply);
	}
}

TEST(every_size)
{
	static struct bytes query, reply;
	const struct datagram datagram = { URL("http://hit.example/x"), .longer = 16500 };

	for (size_t size = 0; size <= 16500; size++) {
		enum icp_counter expected = ICP_COUNT_ANSWERED;

		if (size < 20)
			expected = ICP_COUNT_SILENT_SHORT;
		else if (size > 16384)
			expected = ICP_COUNT_SILENT_LONG;
		message_build(&query, &datagram);
		query.size = size;
		poke16(&query, 2, size);
		if (size > 24)
			query.at[size - 1] = '\0';
		if (ask_from("a size", &query, &querier, expected, &reply))
			assert_int_equal(reply.size, size < 26 ? 21 : size - 4);
	}
}

TEST(request_number_zero)
{
	static struct bytes query, reply;
	const struct datagram datagram = { .request_zero = true, URL("http://hit.example/x") };

	message_build(&query, &datagram);
	ask_from("0", &query, &querier, ICP_COUNT_SILENT_REQUEST_ZERO, &reply);
	responder.answer_request_zero = true;
	assert_true(ask_from("0", &query, &querier, ICP_COUNT_ANSWERED, &reply));
	assert_memory_equal(reply.at + 4, "\0\0\0", 4);
}

TEST(sources_that_get_a_reply)
{
	static const struct {
		const char *address;
		uint16_t port;
		bool answered;
	} sources[] = {
		{ "192.0.2.7", 3130, true },
		{ "192.0.2.7", 1, true },
		{ "192.0.2.7", 65535, true },
		{ "192.0.2.7", 0, false },
		{ "127.0.0.1", 3130, true },
		{ "0.0.0.0", 3130, false },
		{ "0.1.2.3", 3130, false },
		{ "1.0.0.0", 3130, true },
		{ "223.255.255.255", 3130, true },
		{ "224.0.0.0", 3130, false },
		{ "239.255.255.255", 3130, false },
		{ "240.0.0.1", 3130, true },
		{ "255.255.255.254", 3130, true },
		{ "255.255.255.255", 3130, false },
		{ "2001:db8::7", 3130, true },
		{ "2001:db8::7", 0, false },
		{ "::1", 3130, true },
		{ "::", 3130, false },
		{ "fe80::7", 3130, true },
		{ "ff02::1", 3130, false },
		{ "ff0e::1", 3130, false },
		{ "feff::1", 3130, true },
	};
	static struct bytes query, reply;
	const struct datagram datagram = { URL("http://hit.example/x") };
	struct sockaddr_un other = { .sun_family = AF_UNIX };

	message_build(&query, &datagram);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
					    .sin6_port = htons(sources[i].port) };
		struct sockaddr_in in = { .sin_family = AF_INET,
					  .sin_port = htons(sources[i].port) };
		bool v6 = strchr(sources[i].address, ':');

		assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, sources[i].address,
					   v6 ? (void *)&in6.sin6_addr : (void *)&in.sin_addr),
				 1);
		ask_from(sources[i].address, &query, v6 ? (void *)&in6 : (void *)&in,
			 sources[i].answered ? ICP_COUNT_ANSWERED : ICP_COUNT_SILENT_SOURCE,
			 &reply);
	}
	ask_from("no address", &query, &other, ICP_COUNT_SILENT_SOURCE, &reply);
	/* The source is checked first; the contents do not matter. */
	query.size = 3;
	querier.sin_port = 0;
	ask_from("a short one", &query, &querier, ICP_COUNT_SILENT_SOURCE, &reply);
}

TEST(outcome_names_the_decider)
{
	struct query query = { .url = "http://rule.example/hit/x", .length = 25 };
	struct responder_outcome outcome = responder_begin(&responder, &query);

	assert_true(outcome.by_rule);
	assert_int_equal(outcome.verdict.opcode, ICP_OP_HIT);
	query.url = "http://behind.example/";
	query.length = 22;
	outcome = responder_begin(&responder, &query);
	assert_false(outcome.by_rule);
	assert_string_equal(outcome.policy->name, "50");
	assert_int_equal(outcome.verdict.cost, 7);
	query.url = "x";
	query.length = 1;
	outcome = responder_begin(&responder, &query);
	assert_false(outcome.by_rule);
	assert_null(outcome.policy);
	assert_int_equal(outcome.verdict.opcode, ICP_OP_MISS);
}

TEST(source_of_ipv4_and_ipv6)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct in6_addr address = query_source((struct sockaddr *)&querier);

	assert_memory_equal(&address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7", 16);
	inet_pton(AF_INET6, "2001:db8::7", &in6.sin6_addr);
	address = query_source((struct sockaddr *)&in6);
	assert_memory_equal(&address, &in6.sin6_addr, 16);
}

/* A rules map that cannot be read: the chain decides, and the failure is counted. */
TEST(unreadable_rules_are_skipped)
{
	struct pinned_rules *pinned = pinned_rules_adopt(-1);
	struct rules *own = (struct rules *)responder.rules;
	struct query query = { .url = "http://rule.example/x", .length = 21 };
	struct responder_outcome outcome;

	assert_non_null(pinned);
	responder.rules = rules_pinned(pinned);
	assert_non_null(responder.rules);
	outcome = responder_begin(&responder, &query);
	assert_false(outcome.by_rule);
	assert_int_equal(outcome.verdict.opcode, ICP_OP_MISS);
	assert_int_equal(responder.counters[ICP_COUNT_FAILED_RULES], 1);
	rules_free((struct rules *)responder.rules);
	pinned_rules_close(pinned);
	responder.rules = own;
}
