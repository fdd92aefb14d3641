// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/evaluations.h"

#include <arpa/inet.h>
#include <sys/wait.h>

struct event_base *base;

int open_base(void **state)
{
	base = event_base_new();
	return base ? 0 : -1;
}

int close_base(void **state)
{
	helper_children_finish(base);
	event_base_free(base);
	/* No child is left, not even a zombie. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return 0;
}

static void take(void *context, const struct query *query, const struct chain_decision *decision)
{
	struct verdict *verdict = context;

	verdict->times++;
	verdict->opcode = !decision || !decision->policy ? NOTHING : decision->verdict.opcode;
	verdict->gave_up = decision && decision->gave_up;
	verdict->cacheable = decision && decision->cacheable;
}

void ask(struct chain *chain, const char *url, struct verdict *verdict)
{
	struct query query = { .url = url, .length = strlen(url) };
	struct evaluation *evaluation;
	struct chain_decision decision;

	inet_pton(AF_INET6, strchr(url, '6') ? "2001:db8::6" : "::ffff:192.0.2.4", &query.source);
	*verdict = (struct verdict){ 0 };
	if (evaluation_begin(chain, &query, &decision, &evaluation) == EVALUATION_PENDING)
		evaluation_on_done(evaluation, take, verdict);
	else
		take(verdict, &query, &decision);
}

enum icp_opcode wait_for(const struct verdict *verdict)
{
	while (!verdict->times)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_int_equal(verdict->times, 1);
	return verdict->opcode;
}

enum icp_opcode decide(struct chain *chain, const char *url)
{
	struct verdict verdict;

	ask(chain, url, &verdict);
	return wait_for(&verdict);
}
