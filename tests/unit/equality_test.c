// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The same datagrams for the XDP program and for the daemon's socket, with the same rules and the
 * same chain: where the kernel answers, the daemon would send the very same bytes. What the kernel
 * passes the daemon answers as protocol.md has it, or meets with silence and the right counter.
 *
 * The program's part needs the rights to load it; the daemon's is tested without them, too.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "support/chains.h"
#include "server/listener.h"
#include "support/program.h"

#define PATIENCE 20000 /* milliseconds; only so that a failure ends */

static struct program program;

/* The daemon's answering part, on a port of the loopback interface, and its one client. */
struct server {
	struct chain *chain;
	struct rules *rules;
	struct responder responder;
	struct event_base *base;
	struct listener *listener;
	struct sockaddr_storage address;
	int client;
	uint16_t port, client_port;
	bool v6;
};

static void loopback_address(struct sockaddr_storage *address, bool v6, uint16_t port)
{
	memset(address, 0, sizeof(*address));
	if (v6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

		in6->sin6_family = AF_INET6;
		in6->sin6_addr = in6addr_loopback;
		in6->sin6_port = htons(port);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)address;

		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = htons(port);
	}
}

static socklen_t address_size(bool v6)
{
	return v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* A socket on a port that the system has chosen, or -1. */
static int any_socket(bool v6, uint16_t *port)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	loopback_address(&address, v6, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, address_size(v6)) ||
	    getsockname(fd, (struct sockaddr *)&address, &size)) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*port = ntohs(v6 ? ((struct sockaddr_in6 *)&address)->sin6_port
			 : ((struct sockaddr_in *)&address)->sin_port);
	return fd;
}

static void server_open(struct server *server, bool v6, const char *config)
{
	struct error error;
	int probe;

	*server = (struct server){ .v6 = v6 };
	server->client = any_socket(v6, &server->client_port);
	if (server->client < 0) {
		print_message("# no loopback address of IPv%d: %s\n", v6 ? 6 : 4, strerror(errno));
		skip();
	}
	server->chain = make_chain(config);
	server->rules = table_rules_local();
	server->responder = (struct responder){ .chain = server->chain, .rules = server->rules };
	server->base = event_base_new();
	assert_non_null(server->base);
	/* Whoever takes the port between the two lines takes the next one, too, not ten times. */
	for (int tries = 0; tries < 10 && !server->listener; tries++) {
		probe = any_socket(v6, &server->port);
		assert_true(probe >= 0);
		close(probe);
		loopback_address(&server->address, v6, server->port);
		server->listener = listener_open(&server->address, false, &error);
	}
	if (!server->listener)
		fail_msg("%s", error.text);
	assert_int_equal(listener_start(server->listener, server->base, &server->responder), 0);
}

static void server_close(struct server *server)
{
	listener_close(server->listener);
	event_base_free(server->base);
	close(server->client);
	rules_free(server->rules);
	chain_free(server->chain);
}

/* Sends a datagram and lets the daemon work until it has counted it. */
static void server_feed(struct server *server, const struct bytes *query)
{
	uint64_t before[ICP_COUNTER_MAX];

	memcpy(before, server->responder.counters, sizeof(before));
	assert_int_equal(sendto(server->client, query->at, query->size, 0,
				(struct sockaddr *)&server->address, address_size(server->v6)),
			 query->size);
	for (int tries = 0; tries < PATIENCE; tries++) {
		assert_true(event_base_loop(server->base, EVLOOP_NONBLOCK) >= 0);
		if (memcmp(before, server->responder.counters, sizeof(before)))
			return;
		usleep(1000);
	}
	fail_msg("the daemon has counted nothing");
}

/* What has come to the client; it must come from where it was asked. */
static void client_receive(struct server *server, struct bytes *answer)
{
	struct pollfd ready = { server->client, POLLIN, 0 };
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof(from);
	ssize_t received;

	if (poll(&ready, 1, PATIENCE) != 1)
		fail_msg("no answer");
	received = recvfrom(server->client, answer->at, sizeof(answer->at), 0,
			    (struct sockaddr *)&from, &size);
	assert_true(received >= 0);
	assert_int_equal(size, address_size(server->v6));
	assert_memory_equal(&from, &server->address, size);
	answer->size = received;
}

/*
 * Gives a datagram to the daemon. Returns false for silence: then the answer to a query behind it
 * comes first.
 */
static bool server_ask(struct server *server, const char *what, const struct bytes *query,
		       enum icp_counter counter, struct bytes *answer)
{
	const struct datagram behind = { URL("http://behind.it/") };
	static struct bytes other;
	uint64_t before[ICP_COUNTER_MAX];

	memcpy(before, server->responder.counters, sizeof(before));
	server_feed(server, query);
	assert_counted(what, before, server->responder.counters, counter);

	message_build(&other, &behind);
	poke16(&other, 6, 0x4711);
	server_feed(server, &other);
	client_receive(server, answer);
	if (answer->size == other.size - 4 && answer->at[6] == 0x47 && answer->at[7] == 0x11)
		return false;
	client_receive(server, &other);
	assert_int_equal(other.at[6] << 8 | other.at[7], 0x4711);
	return true;
}

static struct envelope loopback_envelope(bool v6, uint16_t from, uint16_t to)
{
	static const uint8_t v6_loopback[16] = { [15] = 1 }, v4_loopback[16] = { 127, 0, 0, 1 };
	struct envelope envelope = {
		.v6 = v6,
		.from_port = from,
		.to_port = to,
		.ttl = 64,
		.checksum = CHECKSUM_PARTIAL, /* as the loopback interface has it */
	};

	memcpy(envelope.from, v6 ? v6_loopback : v4_loopback, 16);
	memcpy(envelope.to, v6 ? v6_loopback : v4_loopback, 16);
	return envelope;
}

/* The program as the daemon would set it up. */
static void program_prepare(const struct chain *chain, uint16_t port)
{
	const uint8_t v6_loopback[16] = { [15] = 1 };
	const uint8_t v4_loopback[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
	struct compiled *compiled = compile(chain);

	program_clear(&program);
	program_put_destination(&program, v6_loopback, port, NULL);
	program_put_destination(&program, v4_loopback, port, NULL);
	for (size_t i = 0; i < table_rule_count; i++)
		program_put_rule(&program, table_rules[i].prefix, table_rules[i].verdict);
	program_set_chain(&program, compiled, false);
	compiled_free(compiled);
}

/*
 * Gives the datagram to the program. Returns whether it was answered, and then the UDP payload; the
 * frame around it is program_frames_test's matter.
 */
static bool program_ask(const char *what, const struct envelope *envelope,
			const struct bytes *query, enum icp_counter *counter, struct bytes *answer)
{
	static struct bytes frame, out;
	uint64_t before[ICP_COUNTER_MAX], after[ICP_COUNTER_MAX];
	size_t begin = frame_message_offset(envelope);
	uint32_t action;

	frame_build(&frame, envelope, query);
	program_counters(&program, before);
	program_run(&program, &frame, &out, &action);
	program_counters(&program, after);
	for (*counter = 0; *counter < ICP_COUNTER_MAX - 1; (*counter)++)
		if (after[*counter] != before[*counter])
			break;
	assert_counted(what, before, after, *counter);
	if (*counter != ICP_COUNT_ANSWERED) {
		assert_int_equal(action, XDP_PASS);
		assert_bytes(what, &out, &frame);
		return false;
	}
	assert_int_equal(action, XDP_TX);
	answer->size = 0;
	push(answer, out.at + begin, out.size - begin);
	return true;
}

static void ask_daemon(bool v6)
{
	static struct bytes query, answer, expected;
	struct server server;

	server_open(&server, v6, TABLE_CHAIN TABLE_HORIZON);
	for (size_t i = 0; i < datagram_count; i++) {
		bool answered;

		message_build(&query, &datagrams[i]);
		answered = server_ask(&server, datagrams[i].name, &query, datagrams[i].daemon,
				      &answer);
		assert_int_equal(answered, datagrams[i].daemon == ICP_COUNT_ANSWERED);
		if (!answered)
			continue;
		answer_build(&expected, &datagrams[i]);
		assert_bytes(datagrams[i].name, &answer, &expected);
	}
	query.size = 0;
	assert_false(server_ask(&server, "nothing", &query, ICP_COUNT_SILENT_SHORT, &answer));
	server_close(&server);
}

TEST(the_daemon_by_ipv4)
{
	ask_daemon(false);
}

TEST(the_daemon_by_ipv6)
{
	ask_daemon(true);
}

/* More than a batch of datagrams, of all kinds, that wait when the daemon looks. */
static void ask_at_once(bool v6)
{
	static struct bytes query, answer, expected;
	uint64_t counted = 0, answers = 0, expected_counters[ICP_COUNTER_MAX] = { 0 };
	const size_t count = 150;
	struct server server;

	server_open(&server, v6, TABLE_CHAIN TABLE_HORIZON);
	for (size_t i = 0; i < count; i++) {
		const struct datagram *row = &datagrams[i % datagram_count];

		if (row->longer > 4000)
			continue;
		message_build(&query, row);
		assert_int_equal(sendto(server.client, query.at, query.size, 0,
					(struct sockaddr *)&server.address, address_size(v6)),
				 query.size);
		expected_counters[row->daemon]++;
		answers++;
	}
	for (int tries = 0; tries < PATIENCE && counted < answers; tries++) {
		assert_true(event_base_loop(server.base, EVLOOP_NONBLOCK) >= 0);
		counted = 0;
		for (size_t i = 0; i < ICP_COUNTER_MAX; i++)
			counted += server.responder.counters[i];
		if (counted < answers)
			usleep(1000);
	}
	for (size_t i = 0; i < ICP_COUNTER_MAX; i++)
		assert_int_equal(server.responder.counters[i], expected_counters[i]);
	for (size_t i = 0; i < count; i++) {
		const struct datagram *row = &datagrams[i % datagram_count];

		if (row->longer > 4000 || row->daemon != ICP_COUNT_ANSWERED)
			continue;
		client_receive(&server, &answer);
		answer_build(&expected, row);
		assert_bytes(row->name, &answer, &expected);
	}
	server_close(&server);
}

TEST(the_daemon_at_once_by_ipv4)
{
	ask_at_once(false);
}

TEST(the_daemon_at_once_by_ipv6)
{
	ask_at_once(true);
}

static void ask_both(bool v6, const char *config, bool as_in_table)
{
	static struct bytes query, kernels, daemons, expected;
	struct envelope envelope;
	struct server server;

	program_needed(&program);
	server_open(&server, v6, config);
	program_prepare(server.chain, server.port);
	envelope = loopback_envelope(v6, server.client_port, server.port);
	for (size_t i = 0; i < datagram_count; i++) {
		const char *what = datagrams[i].name;
		bool by_kernel, by_daemon;
		enum icp_counter counter;

		message_build(&query, &datagrams[i]);
		by_kernel = program_ask(what, &envelope, &query, &counter, &kernels);
		by_daemon = server_ask(&server, what, &query, datagrams[i].daemon, &daemons);
		assert_int_equal(by_daemon, datagrams[i].daemon == ICP_COUNT_ANSWERED);
		if (by_kernel) {
			assert_true(by_daemon);
			assert_bytes(what, &kernels, &daemons);
		}
		if (as_in_table) {
			assert_int_equal(counter, datagrams[i].kernel);
			answer_build(&expected, &datagrams[i]);
			if (by_daemon)
				assert_bytes(what, &daemons, &expected);
		} else if (datagrams[i].kernel == ICP_COUNT_PASSED_HORIZON) {
			assert_true(by_kernel);
		}
	}
	server_close(&server);
}

TEST(both_by_ipv4)
{
	ask_both(false, TABLE_CHAIN TABLE_HORIZON, true);
}

TEST(both_by_ipv6)
{
	ask_both(true, TABLE_CHAIN TABLE_HORIZON, true);
}

/* Then the kernel has an answer to every query in good form. */
TEST(both_without_a_horizon)
{
	ask_both(false, TABLE_CHAIN, false);
	ask_both(true, "default = miss_nofetch\n" TABLE_CHAIN, false);
}

/* Rows of the table with a few bytes changed, cut off, put in. */
static void random_datagram(uint64_t *seed, struct bytes *query)
{
	static const uint8_t likely[] = { 0, 1, 2, ' ', '\n', '/', 0x7f, 0x80, 0xff };
	uint32_t changes = random_below(seed, 4);
	bool repair = random_below(seed, 4) != 0;
	const struct datagram *row;

	do {
		row = &datagrams[random_below(seed, datagram_count)];
	} while (row->longer > 300);
	message_build(query, row);
	while (changes--) {
		size_t place = random_below(seed, query->size);
		uint8_t value = random_below(seed, 3) ? likely[random_below(seed, sizeof(likely))]
						      : random_below(seed, 256);

		switch (random_below(seed, 4)) {
		case 0: /* cut off, but not to nothing */
			if (query->size - place > 1)
				query->size = place + 1;
			break;
		case 1:
			memmove(query->at + place + 1, query->at + place, query->size - place);
			query->at[place] = value;
			query->size++;
			break;
		default:
			query->at[place] = value;
		}
	}
	if (repair)
		poke16(query, 2, query->size);
}

#define RANDOM_DATAGRAMS 20000

TEST(both_with_random_datagrams)
{
	static struct bytes query, kernels, daemons;
	struct responder responder = { 0 };
	struct sockaddr_storage source;
	size_t answered = 0, malformed = 0;
	uint64_t seed = 2186;
	struct rules *rules;
	struct chain *chain;

	program_needed(&program);
	responder.chain = chain = make_chain(TABLE_CHAIN TABLE_HORIZON);
	responder.rules = rules = table_rules_local();
	program_prepare(chain, 3130);
	for (int i = 0; i < RANDOM_DATAGRAMS; i++) {
		bool v6 = random_below(&seed, 2), by_kernel, by_daemon;
		struct envelope envelope = loopback_envelope(v6, 12345, 3130);
		enum icp_counter counter;
		struct reply sent;

		envelope.checksum = CHECKSUM_FULL;
		random_datagram(&seed, &query);
		by_kernel = program_ask("random", &envelope, &query, &counter, &kernels);
		memset(query.at + query.size, '/', ICP_WORD); /* not to be read */
		loopback_address(&source, v6, 12345);
		by_daemon = responder_reply(&responder, query.at, query.size,
					    (struct sockaddr *)&source, &sent);
		if (by_kernel) {
			assert_true(by_daemon);
			daemons.size = 0;
			push(&daemons, &sent.header, sizeof(sent.header));
			push(&daemons, sent.payload, sent.payload_size);
			assert_bytes("random", &kernels, &daemons);
			answered++;
			continue;
		}
		/* The kernel must not give up where it could have known. */
		if (counter == ICP_COUNT_PASSED_MALFORMED) {
			malformed++;
			assert_true(!by_daemon ||
				    (sent.header.opcode == ICP_OP_ERR && sent.payload_size == 1));
		} else if (counter != ICP_COUNT_PASSED_LONG) {
			assert_int_equal(counter, ICP_COUNT_PASSED_HORIZON);
			assert_true(by_daemon);
		}
	}
	rules_free(rules);
	chain_free(chain);
	/* The test would be of no use if one of both hardly happened. */
	assert_true(answered > RANDOM_DATAGRAMS / 10);
	assert_true(malformed > RANDOM_DATAGRAMS / 10);
}

FIXTURE(open_once)
{
	program_open(&program, PROGRAM_VERDICTS);
	return 0;
}

FIXTURE(close_at_last)
{
	program_close(&program);
	return 0;
}

TEST_ALL(open_once, close_at_last)
