// SPDX-License-Identifier: GPL-2.0-or-later
/* Chains with policies that wait: decisions, what may be remembered, lifetimes. */

#include "support/chains.h"
#include "lib/clock.h"
#include "counters.h"
#include "chain/evaluation.h"
#include "server/listener.h"
#include "server/responder.h"
#include "lib/sockaddr.h"

#define NS 1000000000ull /* of a second */

/*
 * A kind that replaces that of an existing policy: it waits or returns a result, as the test sets.
 */
struct puppet {
	struct policy_kind kind;
	const struct policy_kind *played; /* whose state is in the policy */
	struct policy *policy;
	bool waits;
	struct policy_match word;
	size_t asked, matched;
	struct policy_request *open[32768];
	size_t open_count;
};

static struct puppet puppets[4];

static struct puppet *puppet_of(const struct policy *policy)
{
	return (struct puppet *)((char *)policy->kind - offsetof(struct puppet, kind));
}

static bool puppet_ask(const struct policy *policy, const struct query *query,
		       struct policy_request *request)
{
	struct puppet *puppet = puppet_of(policy);

	puppet->asked++;
	if (puppet->waits)
		puppet->open[puppet->open_count++] = request;
	return puppet->waits;
}

static struct policy_match puppet_match(const struct policy *policy, const struct query *query)
{
	puppet_of(policy)->matched++;
	return puppet_of(policy)->word;
}

static void puppet_destroy(struct policy *policy)
{
	const struct policy_match nothing = { .verdict = ICP_OP_INVALID };
	struct puppet *puppet = puppet_of(policy);

	puppet->policy = NULL;
	while (puppet->open_count) {
		struct policy_request *request = puppet->open[--puppet->open_count];

		request->done(request, nothing);
	}
	puppet->played->destroy(policy);
}

/* Replace the kind of the policy of that rank, with that basis. */
static struct puppet *play(struct chain *chain, size_t rank, enum policy_basis basis, bool waits)
{
	struct policy *policy = (struct policy *)chain_policy(chain, rank);
	struct puppet *puppet = &puppets[rank];

	*puppet = (struct puppet){
		.kind = { .name = "puppet",
			  .basis = basis,
			  .destroy = puppet_destroy,
			  .match = puppet_match,
			  .ask = waits ? puppet_ask : NULL },
		.played = policy->kind,
		.policy = policy,
		.waits = waits,
		.word = { .verdict = ICP_OP_INVALID },
	};
	policy->kind = &puppet->kind;
	return puppet;
}

static void puppet_answer(struct puppet *puppet, enum icp_opcode verdict)
{
	const struct policy_match match = { .verdict = verdict };
	struct policy_request *request = puppet->open[0];

	assert_true(puppet->open_count > 0);
	puppet->open_count--;
	memmove(puppet->open, puppet->open + 1, puppet->open_count * sizeof(puppet->open[0]));
	request->done(request, match);
}

static struct chain *four_policies(void)
{
	return make_chain("policy a { kind = exact verdict = hit url = a cost = 7 }"
			  "policy b { kind = exact verdict = denied url = b }"
			  "policy c { kind = exact verdict = err url = c }"
			  "policy d { kind = exact verdict = miss_nofetch url = d not = true }");
}

/* The result passed to the callback of an evaluation. */
struct told {
	int times;
	bool ended;
	char url[64];
	struct chain_decision decision;
	char policy[16];
};

static void tell(void *context, const struct query *query, const struct chain_decision *decision)
{
	struct told *told = context;

	told->times++;
	told->ended = !decision;
	assert_int_equal(query->url[query->length], '\0');
	strcpy(told->url, query->url);
	if (!decision)
		return;
	told->decision = *decision;
	strcpy(told->policy, decision->policy ? decision->policy->name : "-");
}

static struct evaluation *begin(struct chain *chain, const char *url, struct told *told)
{
	char copy[64];
	struct query query = { .url = copy, .length = strlen(url) };
	struct evaluation *evaluation;
	struct chain_decision decision;

	*told = (struct told){ 0 };
	strcpy(copy, url);
	assert_int_equal(evaluation_begin(chain, &query, &decision, &evaluation),
			 EVALUATION_PENDING);
	evaluation_on_done(evaluation, tell, told);
	memset(copy, 'x', sizeof(copy)); /* the query is copied */
	return evaluation;
}

TEST(immediate_decisions)
{
	struct chain *chain = four_policies();
	struct query query = { .url = "b", .length = 1 };
	struct puppet *late = play(chain, 2, POLICY_BASIS_OTHER, true);
	struct evaluation *evaluation;
	struct chain_decision decision;

	assert_int_equal(evaluation_begin(chain, &query, &decision, &evaluation),
			 EVALUATION_DECIDED);
	assert_null(evaluation);
	assert_int_equal(decision.verdict.opcode, ICP_OP_DENIED);
	assert_int_equal(decision.rank, 1);
	assert_int_equal(late->asked, 0);

	/* A policy that could wait but does not: nothing stays allocated. */
	late->waits = false;
	late->word.verdict = ICP_OP_HIT;
	query.url = "x";
	assert_int_equal(evaluation_begin(chain, &query, &decision, &evaluation),
			 EVALUATION_DECIDED);
	assert_null(evaluation);
	assert_int_equal(decision.verdict.opcode, ICP_OP_HIT);
	assert_int_equal(late->asked, 1);
	assert_int_equal(evaluations_pending(), 0);
	chain_free(chain);
}

TEST(pending_decisions)
{
	struct chain *chain = four_policies();
	struct puppet *first = play(chain, 0, POLICY_BASIS_OTHER, true);
	struct puppet *second = play(chain, 2, POLICY_BASIS_OTHER, true);
	struct told one, two, three;

	begin(chain, "b", &one);
	begin(chain, "x", &two);
	begin(chain, "d", &three);
	assert_int_equal(evaluations_pending(), 3);
	assert_int_equal(first->open_count, 3);
	puppet_answer(first, ICP_OP_INVALID); /* one goes on to b, which decides */
	assert_int_equal(one.times, 1);
	assert_string_equal(one.url, "b");
	assert_string_equal(one.policy, "b");
	puppet_answer(first, ICP_OP_INVALID);
	assert_int_equal(two.times, 0);
	assert_int_equal(second->open_count, 1);
	puppet_answer(first, ICP_OP_MISS); /* three */
	assert_int_equal(three.times, 1);
	assert_string_equal(three.policy, "a");
	assert_int_equal(three.decision.verdict.opcode, ICP_OP_MISS);
	assert_int_equal(three.decision.verdict.cost, 7);
	puppet_answer(second, ICP_OP_INVALID);
	assert_int_equal(two.times, 1);
	assert_string_equal(two.policy, "d");
	assert_int_equal(two.decision.verdict.opcode, ICP_OP_MISS_NOFETCH);
	assert_int_equal(evaluations_pending(), 0);

	/* As far as the default. */
	begin(chain, "d", &one);
	puppet_answer(first, ICP_OP_INVALID);
	puppet_answer(second, ICP_OP_INVALID);
	assert_string_equal(one.policy, "-");
	assert_int_equal(one.decision.rank, 4);
	chain_free(chain);
}

TEST(not_inverts_a_late_result)
{
	struct chain *chain = four_policies();
	struct puppet *last = play(chain, 3, POLICY_BASIS_OTHER, true);
	struct told told;

	begin(chain, "x", &told);
	puppet_answer(last, ICP_OP_INVALID);
	assert_string_equal(told.policy, "d");
	assert_int_equal(told.decision.verdict.opcode, ICP_OP_MISS_NOFETCH);
	begin(chain, "x", &told);
	puppet_answer(last, ICP_OP_HIT);
	assert_string_equal(told.policy, "-");
	chain_free(chain);
}

TEST(a_chain_outlives_its_owner)
{
	struct chain *chain = four_policies();
	struct puppet *first = play(chain, 0, POLICY_BASIS_OTHER, true);
	struct told told;

	begin(chain, "c", &told);
	chain_unref(chain);
	assert_non_null(first->policy);
	puppet_answer(first, ICP_OP_INVALID);
	assert_string_equal(told.policy, "c");
	assert_null(first->policy);
}

TEST(chain_stopped_while_pending)
{
	struct chain *chain = four_policies();
	struct told one, two;

	play(chain, 0, POLICY_BASIS_OTHER, true);
	play(chain, 1, POLICY_BASIS_OTHER, true);
	begin(chain, "a", &one);
	begin(chain, "b", &two);
	puppet_answer(&puppets[0], ICP_OP_INVALID);
	evaluations_stop();
	assert_int_equal(evaluations_pending(), 0);
	assert_true(one.times == 1 && one.ended);
	assert_true(two.times == 1 && two.ended);
	assert_true(chain_stopped(chain));
	chain_unref(chain);
}

TEST(cancelled_evaluations)
{
	struct chain *chain = four_policies();
	struct puppet *first = play(chain, 0, POLICY_BASIS_OTHER, true);
	struct puppet *second = play(chain, 1, POLICY_BASIS_OTHER, true);
	struct told told;

	evaluation_cancel(begin(chain, "a", &told));
	assert_int_equal(evaluations_pending(), 1);
	puppet_answer(first, ICP_OP_INVALID);
	assert_int_equal(second->asked, 0);
	assert_int_equal(told.times, 0);
	assert_int_equal(evaluations_pending(), 0);
	chain_free(chain);
}

TEST(bound_of_pending)
{
	static char url[16360];

	memset(url, 'x', sizeof(url) - 1);
	for (size_t length = 1; length < sizeof(url); length += sizeof(url) - 2) {
		struct query query = { .url = url, .length = length };
		struct chain *chain = four_policies();
		struct puppet *first = play(chain, 0, POLICY_BASIS_OTHER, true);
		struct evaluation *evaluation;
		struct chain_decision decision;
		size_t count = 0;

		while (evaluation_begin(chain, &query, &decision, &evaluation) !=
		       EVALUATION_DROPPED) {
			evaluation_cancel(evaluation);
			count++;
		}
		assert_in_range(count * (length + EVALUATION_CONTEXT_MAX), 1, EVALUATION_BYTES_MAX);
		assert_in_range(count * (length + EVALUATION_CONTEXT_MAX + 512),
				EVALUATION_BYTES_MAX, 2 * EVALUATION_BYTES_MAX);
		assert_int_equal(evaluations_pending(), count);
		/* One less, and there is room for one. */
		puppet_answer(first, ICP_OP_HIT);
		assert_int_equal(evaluation_begin(chain, &query, &decision, &evaluation),
				 EVALUATION_PENDING);
		evaluation_cancel(evaluation);
		chain_free(chain);
		assert_int_equal(evaluations_pending(), 0);
	}
}

/* --- what may be remembered */

struct role {
	enum policy_basis basis;
	unsigned int ttl;
	bool decides, gave_up;
};

TEST(what_may_be_remembered)
{
	static const struct {
		struct role roles[3]; /* the last one that is not zero ends the row */
		size_t count;
		bool cacheable;
		unsigned int ttl;
		bool by_source;
	} rows[] = {
#define URL_BASED { POLICY_BASIS_URL }
#define DECIDES .decides = true
#define OTHER(seconds) POLICY_BASIS_OTHER, .ttl = seconds
		{ { URL_BASED }, 1, true, 0, false },
		{ { { POLICY_BASIS_URL, DECIDES } }, 1, true, 0, false },
		{ { { POLICY_BASIS_URL, .gave_up = true } }, 1, false, 0, false },
		{ { { POLICY_BASIS_URL, .gave_up = true }, { POLICY_BASIS_URL, DECIDES } },
		  2,
		  false,
		  0,
		  false },
		{ { { POLICY_BASIS_SOURCE } }, 1, true, 0, false },
		{ { { POLICY_BASIS_SOURCE, DECIDES } }, 1, false, 0, false },
		{ { { POLICY_BASIS_HOST } }, 1, true, 0, false },
		{ { { POLICY_BASIS_HOST, DECIDES } }, 1, false, 0, false },
		{ { { POLICY_BASIS_HOST }, { POLICY_BASIS_SOURCE }, { POLICY_BASIS_URL, DECIDES } },
		  3,
		  true,
		  0,
		  false },
		{ { { OTHER(0) } }, 1, false, 0, true },
		{ { { OTHER(0), DECIDES } }, 1, false, 0, true },
		{ { { OTHER(5) } }, 1, true, 5, true },
		{ { { OTHER(5), DECIDES } }, 1, true, 5, true },
		{ { { OTHER(5), .gave_up = true } }, 1, false, 5, true },
		{ { { OTHER(5) }, { OTHER(3) }, { OTHER(9), DECIDES } }, 3, true, 3, true },
		{ { { OTHER(5) }, { OTHER(0) }, { POLICY_BASIS_URL, DECIDES } },
		  3,
		  false,
		  5,
		  true },
		{ { { OTHER(5) }, { POLICY_BASIS_HOST, DECIDES } }, 2, false, 5, true },
		/* Policies after the one that decides are not asked. */
		{ { { POLICY_BASIS_URL, DECIDES }, { OTHER(0) } }, 2, true, 0, false },
		{ { { OTHER(POLICY_TTL_URL), DECIDES } }, 1, true, 0, false },
		{ { { OTHER(POLICY_TTL_URL) }, { OTHER(4), DECIDES } }, 2, true, 4, true },
#undef URL_BASED
#undef DECIDES
#undef OTHER
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int waits = 0; waits < 2; waits++) {
			struct chain *chain = four_policies();
			struct query query = { .url = "d", .length = 1 };
			struct evaluation *evaluation;
			struct chain_decision decision;
			struct told told = { 0 };
			uint64_t ttl = rows[i].ttl * NS, earliest = clock_kernel_ns() + ttl;
			size_t k = 0;

			for (k = 0; k < rows[i].count; k++) {
				const struct role *role = &rows[i].roles[k];
				struct puppet *puppet = play(chain, k, role->basis, waits);

				puppet->policy->ttl = role->ttl;
				puppet->word.gave_up = role->gave_up;
				if (role->decides)
					puppet->word.verdict = ICP_OP_HIT;
			}
			if (evaluation_begin(chain, &query, &decision, &evaluation) ==
			    EVALUATION_PENDING) {
				evaluation_on_done(evaluation, tell, &told);
				for (k = 0; k < rows[i].count && !told.times; k++) {
					struct policy_request *request = puppets[k].open[0];

					assert_int_equal(puppets[k].open_count, 1);
					puppets[k].open_count = 0;
					request->done(request, puppets[k].word);
				}
				decision = told.decision;
			}
			if (decision.cacheable != rows[i].cacheable ||
			    decision.by_source != rows[i].by_source)
				fail_msg("row %zu: %d %d", i, decision.cacheable,
					 decision.by_source);
			if (ttl)
				assert_in_range(decision.expires, earliest,
						clock_kernel_ns() + ttl);
			else
				assert_int_equal(decision.expires, 0);
			chain_free(chain);
		}
	}
}

/* A result expires by the time its policy was asked, however long later policies take. */
TEST(the_first_to_expire)
{
	static const struct {
		unsigned int first, second; /* their ttl, in seconds */
		bool by_first;
	} rows[] = { { 5, 9, true }, { 5, 5, true }, { 9, 5, false }, { 5, POLICY_TTL_URL, true } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chain *chain = four_policies();
		struct puppet *first = play(chain, 0, POLICY_BASIS_OTHER, true);
		struct puppet *second = play(chain, 1, POLICY_BASIS_OTHER, true);
		uint64_t begun = clock_kernel_ns(), asked_first, asked_second;
		struct told told;

		first->policy->ttl = rows[i].first;
		second->policy->ttl = rows[i].second;
		begin(chain, "x", &told);
		asked_first = clock_kernel_ns();
		usleep(2000);
		puppet_answer(first, ICP_OP_INVALID);
		asked_second = clock_kernel_ns();
		usleep(2000);
		puppet_answer(second, ICP_OP_HIT);
		if (rows[i].by_first)
			assert_in_range(told.decision.expires, begun + rows[i].first * NS,
					asked_first + rows[i].first * NS);
		else
			assert_in_range(told.decision.expires, asked_first + rows[i].second * NS,
					asked_second + rows[i].second * NS);
		chain_free(chain);
	}
}

/* --- through a responder and its socket */

static int client;
static struct listener *listener;
static struct responder responder;
static struct event_base *base;
static struct sockaddr_storage address;

FIXTURE(open_server)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(any);
	struct error error;
	int probe;

	client = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(client, (struct sockaddr *)&any, sizeof(any)), 0);
	responder = (struct responder){ .chain = four_policies(), .rules = rules_local(1) };
	base = event_base_new();
	listener = NULL;
	for (int tries = 0; tries < 10 && !listener; tries++) {
		any.sin_port = 0;
		probe = socket(AF_INET, SOCK_DGRAM, 0);
		assert_int_equal(bind(probe, (struct sockaddr *)&any, sizeof(any)), 0);
		getsockname(probe, (struct sockaddr *)&any, &size);
		close(probe);
		memcpy(&address, &any, sizeof(any));
		listener = listener_open(&address, false, &error);
	}
	assert_non_null(listener);
	assert_int_equal(listener_start(listener, base, &responder), 0);
	return 0;
}

FIXTURE(close_server)
{
	listener_close(listener);
	evaluations_stop();
	chain_unref(responder.chain);
	rules_free((struct rules *)responder.rules);
	event_base_free(base);
	close(client);
	return 0;
}

TEST_EACH(open_server, close_server)

/* Send a query and have it received. */
static void query_server(const char *url, uint8_t number, size_t pending)
{
	uint8_t query[64] = { 1, 2, 0, 24 + strlen(url) + 1, [7] = number };

	memcpy(query + 24, url, strlen(url));
	assert_int_equal(sendto(client, query, query[3], 0, (struct sockaddr *)&address,
				sizeof(struct sockaddr_in)),
			 query[3]);
	while (evaluations_pending() != pending)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
}

static void expect_answer(const char *url, uint8_t number, enum icp_opcode opcode)
{
	uint8_t answer[128];
	ssize_t size = recv(client, answer, sizeof(answer), 0);

	assert_int_equal(size, 20 + strlen(url) + 1);
	assert_int_equal(answer[0], opcode);
	assert_int_equal(answer[7], number);
	assert_string_equal((char *)answer + 20, url);
}

TEST(late_replies)
{
	struct puppet *first = play(responder.chain, 0, POLICY_BASIS_OTHER, true);

	query_server("http://one/", 1, 1);
	query_server("http://two.two/", 2, 2);
	/* Queries that need no waiting overtake. */
	first->waits = false;
	first->word.verdict = ICP_OP_MISS;
	query_server("x", 3, 2);
	while (responder.counters[ICP_COUNT_ANSWERED] == 0)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	expect_answer("x", 3, ICP_OP_MISS);
	puppet_answer(first, ICP_OP_HIT);
	puppet_answer(first, ICP_OP_INVALID);
	expect_answer("http://one/", 1, ICP_OP_HIT);
	expect_answer("http://two.two/", 2, ICP_OP_MISS_NOFETCH);
	assert_int_equal(responder.counters[ICP_COUNT_ANSWERED], 3);
	for (int i = 0; i < ICP_COUNTER_MAX; i++)
		if (i != ICP_COUNT_ANSWERED)
			assert_int_equal(responder.counters[i], 0);
}

TEST(listener_closed_meanwhile)
{
	struct puppet *first = play(responder.chain, 0, POLICY_BASIS_OTHER, true);

	query_server("http://one/", 1, 1);
	query_server("http://two/", 2, 2);
	listener_close(listener);
	listener = NULL;
	assert_int_equal(responder.counters[ICP_COUNT_FAILED_PENDING], 2);
	puppet_answer(first, ICP_OP_HIT);
	assert_int_equal(evaluations_pending(), 1);
}

TEST(chain_stopped_meanwhile)
{
	play(responder.chain, 0, POLICY_BASIS_OTHER, true);
	query_server("http://one/", 1, 1);
	evaluations_stop();
	assert_int_equal(responder.counters[ICP_COUNT_FAILED_PENDING], 1);
	assert_int_equal(responder.counters[ICP_COUNT_ANSWERED], 0);
}
