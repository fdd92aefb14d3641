// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind health, against an origin in the same event loop. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "support/policies.h"
#include "policy/kinds.h"

#define UNPRESSED "interval = 10ms timeout = 60s" /* no check times out on a busy machine */

struct origin {
	struct evconnlistener *listener;
	char address[64];
	const char *answer; /* response to a request; NULL: none, "": close the connection */
	unsigned int other; /* every so many requests get the other response; 0: none */
	const char *other_answer;
	unsigned int taken; /* connections */
	char request[256];  /* the last one */
	struct bufferevent *streams[64];
	unsigned int open;
};

static void origin_event(struct bufferevent *stream, short what, void *context)
{
	struct origin *origin = context;

	for (unsigned int i = 0; i < origin->open; i++)
		if (origin->streams[i] == stream)
			origin->streams[i] = origin->streams[--origin->open];
	bufferevent_free(stream);
}

static void origin_readable(struct bufferevent *stream, void *context)
{
	struct origin *origin = context;
	struct evbuffer *input = bufferevent_get_input(stream);
	size_t length = evbuffer_get_length(input);

	assert_true(length < sizeof(origin->request));
	evbuffer_copyout(input, origin->request, length);
	origin->request[length] = '\0';
	if (!strstr(origin->request, "\r\n\r\n") || !origin->answer)
		return;
	if (origin->other && origin->taken % origin->other == 0)
		bufferevent_write(stream, origin->other_answer, strlen(origin->other_answer));
	else if (*origin->answer)
		bufferevent_write(stream, origin->answer, strlen(origin->answer));
	else
		origin_event(stream, 0, origin);
}

static void origin_accepted(struct evconnlistener *listener, evutil_socket_t fd,
			    struct sockaddr *address, int length, void *context)
{
	struct origin *origin = context;
	struct bufferevent *stream;

	origin->taken++;
	stream = bufferevent_socket_new(evconnlistener_get_base(listener), fd,
					BEV_OPT_CLOSE_ON_FREE);
	assert_non_null(stream);
	assert_true(origin->open < 64);
	origin->streams[origin->open++] = stream;
	bufferevent_setcb(stream, origin_readable, NULL, origin_event, origin);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
}

static void origin_listen(struct origin *origin, struct event_base *base, unsigned int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t length = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	origin->listener = evconnlistener_new_bind(base, origin_accepted, origin,
						   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 16,
						   (struct sockaddr *)&address, sizeof(address));
	assert_non_null(origin->listener);
	getsockname(evconnlistener_get_fd(origin->listener), (struct sockaddr *)&address, &length);
	snprintf(origin->address, sizeof(origin->address), "127.0.0.1:%u", ntohs(address.sin_port));
}

static void origin_close(struct origin *origin)
{
	while (origin->open)
		bufferevent_free(origin->streams[--origin->open]);
	if (origin->listener)
		evconnlistener_free(origin->listener);
	origin->listener = NULL;
}

/* Create an origin and a policy that checks it; its address is inserted between the settings. */
static struct policy *watch_origin(struct origin *origin, struct witness *witness,
				   const char *answer, const char *before, const char *after)
{
	struct policy *policy;
	struct error error;

	*origin = (struct origin){ .answer = answer };
	*witness = (struct witness){ .base = event_base_new() };
	origin_listen(origin, witness->base, 0);
	policy = make_policy(
		formatted("kind = health verdict = denied %s%s%s", before, origin->address, after));
	assert_int_equal(ask_host(policy), NOTHING);
	if (policy->kind->start(policy, witness->base, witness_changed, witness, &error))
		fail_msg("%s", error.text);
	return policy;
}

static void end(struct origin *origin, struct witness *witness, struct policy *policy)
{
	policy_free(policy);
	origin_close(origin);
	event_base_free(witness->base);
}

/* Run the event loop until the origin has accepted so many connections. */
static void run_checks(const struct origin *origin, const struct witness *witness,
		       unsigned int taken)
{
	while (origin->taken < taken)
		assert_int_equal(event_base_loop(witness->base, EVLOOP_ONCE), 0);
}

#define HTTP "http = 'http://", "/a?b#c' " UNPRESSED

TEST(statuses)
{
	struct origin origin;
	struct witness witness;
	struct policy *policy = watch_origin(&origin, &witness, "HTTP/1.1 399 Fine\r\n", HTTP);

	assert_int_equal(policy->kind->basis, POLICY_BASIS_HOST);
	run_checks(&origin, &witness, 6);
	assert_int_equal(witness.told, 0);
	assert_string_equal(
		origin.request,
		formatted("GET /a?b HTTP/1.0\r\nHost: %s\r\nUser-Agent: xdp-icp/" XDP_ICP_VERSION
			  "\r\nConnection: close\r\n\r\n",
			  origin.address));
	origin.answer = "HTTP/1.0 404 Not Found\r\n";
	origin.taken = 0;
	witness_wait(&witness, 1);
	assert_ptr_equal(witness.policy, policy);
	assert_int_equal(witness.said, ICP_OP_DENIED);
	/* The sixth check may still have been in progress. */
	assert_in_range(origin.taken, 2, 3);
	run_checks(&origin, &witness, 8);
	assert_int_equal(witness.told, 1);
	origin.answer = "HTTP/1.1 200 OK\r\n\r\n";
	origin.taken = 0;
	witness_wait(&witness, 2);
	assert_int_equal(witness.said, NOTHING);
	assert_in_range(origin.taken, 1, 2);
	end(&origin, &witness, policy);
}

/* Two failures and a success, repeated, are never three consecutive failures; nor the reverse. */
TEST(consecutive_checks)
{
	static const char good[] = "HTTP/1.1 200 OK\r\n", bad[] = "HTTP/1.1 500 ?\r\n";
	struct origin origin;
	struct witness witness;
	struct policy *policy = watch_origin(&origin, &witness, bad, HTTP);

	origin.other = 3;
	origin.other_answer = good;
	run_checks(&origin, &witness, 15);
	assert_int_equal(witness.told, 0);
	origin.other = 0;
	witness_wait(&witness, 1);
	origin.other = 2;
	run_checks(&origin, &witness, origin.taken + 10);
	assert_int_equal(witness.told, 1);
	end(&origin, &witness, policy);
}

TEST(failed_checks)
{
	static const struct {
		const char *answer, *failure;
	} cases[] = {
		{ "HTTP/1.1 199 ?\r\n", "HTTP status 199" },
		{ "HTTP/1.1 400 ?\r\n", "HTTP status 400" },
		{ "HTTP/1.1 500 ?\r\n", "HTTP status 500" },
		{ "SSH-2.0-x 200\r\n", "the response is not HTTP/1" },
		{ "HTTP/1.1 20", "not complete within 10 ms" },
		{ "", "connection closed before a response" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool silent = strlen(cases[i].answer) == 11;
		struct origin origin;
		struct witness witness;
		struct policy *policy =
			watch_origin(&origin, &witness, cases[i].answer, "http = 'http://",
				     silent ? "' fall = 2 interval = 10ms timeout = 10ms"
					    : "' fall = 2 " UNPRESSED);

		witness_wait(&witness, 1);
		assert_int_equal(witness.said, ICP_OP_DENIED);
		assert_true(silent || origin.taken == 2);
		assert_state(policy, "down",
			     formatted("2 checks in a row failed, the last: %s", cases[i].failure));
		end(&origin, &witness, policy);
	}
}

/* Connected without a response: the timeout ends a check, and the next one begins. */
TEST(no_response)
{
	struct origin origin;
	struct witness witness;
	struct policy *policy = watch_origin(&origin, &witness, NULL, "http = 'http://",
					     "' fall = 2 interval = 10ms timeout = 10ms");

	witness_wait(&witness, 1);
	assert_int_equal(witness.said, ICP_OP_DENIED);
	end(&origin, &witness, policy);
}

/* Observations are inherited from a policy with the same settings, but from no other. */
TEST(inheritance)
{
	static const struct {
		const char *end;
		enum icp_opcode expected;
	} cases[] = {
		{ "' fall = 2 rise = 2 " UNPRESSED, ICP_OP_DENIED },
		{ "/other' fall = 2 rise = 2 " UNPRESSED, NOTHING },
		{ "' fall = 3 rise = 2 " UNPRESSED, NOTHING },
		{ "' fall = 2 rise = 3 " UNPRESSED, NOTHING },
		{ "' fall = 2 rise = 2 interval = 11ms timeout = 60s", NOTHING },
		{ "' fall = 2 rise = 2 interval = 10ms timeout = 59s", NOTHING },
	};
	struct origin origin;
	struct witness witness;
	struct policy *former = watch_origin(&origin, &witness, "HTTP/1.1 500 ?\r\n",
					     "http = 'http://", cases[0].end);

	witness_wait(&witness, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy *policy =
			make_policy(formatted("kind = health verdict = denied http = 'http://%s%s",
					      origin.address, cases[i].end));

		assert_int_equal(ask_host(policy), NOTHING);
		policy_health.inherit(policy, former);
		assert_int_equal(ask_host(policy), cases[i].expected);
		if (cases[i].expected == ICP_OP_DENIED)
			assert_state(policy, "down", "2 checks*: HTTP status 500");
		else
			assert_state(policy, "up", "not checked yet");
		policy_free(policy);
	}
	end(&origin, &witness, former);
}

/* No check starts while another waits. */
TEST(one_check_at_a_time)
{
	struct origin origin;
	struct witness witness;
	struct policy *policy = watch_origin(&origin, &witness, NULL, HTTP);

	while (!*origin.request)
		assert_int_equal(event_base_loop(witness.base, EVLOOP_ONCE), 0);
	for (int i = 0; i < 5; i++)
		event_base_loop(witness.base, EVLOOP_ONCE);
	assert_int_equal(origin.taken, 1);
	assert_int_equal(witness.told, 0);
	end(&origin, &witness, policy);
}

TEST(connections)
{
	struct origin origin;
	struct witness witness;
	struct policy *policy =
		watch_origin(&origin, &witness, NULL, "tcp = '", "' fall = 1 rise = 3 " UNPRESSED);
	unsigned int port = strtoul(strchr(origin.address, ':') + 1, NULL, 10);

	run_checks(&origin, &witness, 3);
	assert_int_equal(witness.told, 0);
	assert_state(policy, "up", "the last check succeeded");
	origin_close(&origin);
	witness_wait(&witness, 1);
	assert_int_equal(witness.said, ICP_OP_DENIED);
	assert_state(policy, "down", "1 check in a row failed, the last: Connection refused");
	origin_listen(&origin, witness.base, port);
	origin.taken = 0;
	witness_wait(&witness, 2);
	assert_int_equal(witness.said, NOTHING);
	assert_in_range(origin.taken, 2, 3);
	end(&origin, &witness, policy);
}

/* Freed with a check in progress, and before the first one. */
TEST(freed_at_any_time)
{
	struct origin origin;
	struct witness witness;
	struct policy *policy = watch_origin(&origin, &witness, NULL, HTTP);

	run_checks(&origin, &witness, 1);
	end(&origin, &witness, policy);
	policy = watch_origin(&origin, &witness, NULL, HTTP);
	end(&origin, &witness, policy);
}

TEST(configuration_errors)
{
	static const struct {
		const char *settings, *error;
	} cases[] = {
		{ "", "c:1: policy 'p': neither 'tcp' nor 'http' is set; 'tcp' = ADDRESS:PORT or "
		      "'http' = http://ADDRESS:PORT/PATH gives what to check" },
		{ "tcp = '127.0.0.1:1' http = 'http://127.0.0.1/'",
		  "c:1: policy 'p': both 'tcp' and 'http' are set, write two policies; 'tcp' = "
		  "ADDRESS:PORT or 'http' = http://ADDRESS:PORT/PATH gives what to check" },
		{ "\ntcp = '127.0.0.1'",
		  "c:2: policy 'p': tcp: bad address '127.0.0.1'; write it as 192.0.2.1:80 or "
		  "[2001:db8::1]:80, with numbers, not names" },
		{ "\nhttp = 'http://e.org:80/'",
		  "c:2: policy 'p': http: bad address 'e.org:80'; write it as 192.0.2.1:80 or "
		  "[2001:db8::1]:80, with numbers, not names" },
		{ "\nhttp = 'https://127.0.0.1/'",
		  "c:2: policy 'p': http: 'https://127.0.0.1/' does not begin with http://; for "
		  "other protocols use tcp" },
		{ "\nhttp = 'http://127.0.0.1/a b'",
		  "c:2: policy 'p': http: there is white space in the URL; write it as %20" },
		{ "tcp = '[::1]:80'\nfall = 0",
		  "c:2: policy 'p': fall: '0' is not a number from 1 to 1000" },
		{ "tcp = '[::1]:80'\nrise = x",
		  "c:2: policy 'p': rise: 'x' is not a number from 1 to 1000" },
		{ "tcp = '[::1]:80'\ntimeout = 1ms",
		  "c:2: policy 'p': timeout: '1ms' is not a duration from 10ms to 1h; write "
		  "a number and ms, s, m or h" },
		{ "tcp = '[::1]:80'\ninterval = 2h",
		  "c:2: policy 'p': interval: '2h' is not a duration from 10ms to 1h; write "
		  "a number and ms, s, m or h" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_policy_error(formatted("kind = health verdict = hit %s", cases[i].settings),
				    cases[i].error);
	}
	assert_policy_error("kind = health tcp = '127.0.0.1:1'",
			    "c:1: policy 'p': 'verdict' is missing; it can be hit, miss, "
			    "miss_nofetch, denied or err");
}
