// SPDX-License-Identifier: GPL-2.0-or-later
/* Queries to the kernel, to the daemon and to `check`, and what is right. */
#include <stdlib.h>
#include <string.h>

#include "lately.h"
#include "subject_state.h"

#define CHECK_ONE_OF 8 /* queries; it takes many system calls */

/* Right is what is expected, or, of the kernel, what a decision that it remembers comes to. */
static bool is_right(const struct subject *subject, const struct setup *setup,
		     const struct step *ask, const uint8_t *reply, size_t size,
		     const struct expected *expected, enum fault fault, struct report *report)
{
	const char *query = subject->packet.datagram;
	struct expected remembered;
	char got[256];
	size_t place = 0;

	if (is_reply(ask, query, reply, size, expected))
		return true;
	while (fault != FAULT_DAEMON &&
	       memory_next(&subject->memory, &place, setup, ask, &remembered))
		if (is_reply(ask, query, reply, size, &remembered))
			return true;
	reply_describe(got, sizeof(got), reply, size);
	return wrong(report, fault, expected, got);
}

enum outcome {
	PASSED,
	ANSWERED,
	WRONG
};

static enum outcome ask_kernel(struct subject *subject, const struct setup *setup,
			       const struct step *ask, const struct expected *expected,
			       enum fault fault, struct report *report)
{
	const struct query_packet *packet = &subject->packet;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet->frame.at,
		    .data_size_in = packet->frame.size, .data_out = subject->out.at,
		    .data_size_out = sizeof(subject->out.at));
	int err = bpf_prog_test_run_opts(subject->program.fd, &options);

	if (err)
		fail_msg("BPF_PROG_TEST_RUN with %zu bytes: %s", packet->frame.size,
			 strerror(-err));
	subject->out.size = options.data_size_out;
	if (options.retval == XDP_PASS) {
		if (subject->out.size == packet->frame.size &&
		    memcmp(subject->out.at, packet->frame.at, subject->out.size) == 0)
			return PASSED;
		wrong(report, FAULT_TOUCHED, expected, "");
		return WRONG;
	}
	if (options.retval != XDP_TX || subject->out.size + 4 != packet->frame.size ||
	    expected->verdict == VERDICT_SILENCE) {
		wrong(report, fault, expected,
		      options.retval == XDP_TX ? "at all" : "with neither pass nor an answer");
		return WRONG;
	}
	return is_right(subject, setup, ask, subject->out.at + packet->headers, packet->size - 4,
			expected, fault, report)
		       ? ANSWERED
		       : WRONG;
}

static bool check_reply(const struct flight *flight, enum fault fault, struct report *report)
{
	const struct expected *expected = &flight->walk.expected;
	char got[256];

	if (!flight->replied)
		return expected->verdict == VERDICT_SILENCE ||
		       wrong(report, fault, expected, "nothing");
	if (expected->verdict == VERDICT_SILENCE)
		return wrong(report, fault, expected, "at all");
	if (is_reply(flight->walk.ask, (const char *)flight->query, flight->reply, flight->size,
		     expected))
		return true;
	reply_describe(got, sizeof(got), flight->reply, flight->size);
	return wrong(report, fault, expected, got);
}

/* A regex that takes too long says nothing; that is no matter of fidelity. */
static bool gave_up(struct subject *subject, uint64_t limits, struct report *report)
{
	if (subject->responder.counters[ICP_COUNT_FAILED_LIMIT] == limits)
		return false;
	subject->tally->gave_up++;
	report->fault = FAULT_NONE;
	return true;
}

/*
 * The query is answered: compares the reply. If it was to be remembered, the kernel has to know it
 * from now on.
 */
static bool finish(struct subject *subject, const struct setup *setup, struct flight *flight,
		   bool in_flight, bool ask_again, struct report *report)
{
	const struct expected expected = flight->walk.expected;
	const struct step *ask = flight->walk.ask;
	enum outcome outcome;

	if (!check_reply(flight, in_flight ? FAULT_FLIGHT : FAULT_DAEMON, report))
		return gave_up(subject, flight->limits + flight->walk.lost, report);
	if (in_flight)
		subject->tally->flights++;
	else
		subject->tally->daemon++;
	memory_add(&subject->memory, setup, &flight->walk);
	if (!ask_again || !subject->remembered)
		return true;
	if (in_flight) {
		const struct walk now = oracle_ask(setup, ask);

		packet_build(&subject->packet, ask, ++subject->number);
		outcome = ask_kernel(subject, setup, ask, &now.expected, FAULT_WARM, report);
		subject->tally->warm += outcome == ANSWERED;
		return outcome != WRONG;
	}
	outcome = ask_kernel(subject, setup, ask, &expected, FAULT_WARM, report);
	if (outcome == PASSED && subject->watched && !subject->responder.drain &&
	    !expected.sent_up && lately_fits(setup, ask->text))
		return wrong(report, FAULT_FORGOT, &expected, "");
	subject->tally->warm += outcome == ANSWERED;
	return outcome != WRONG;
}

/* What `check` learns from an evaluation that had to wait. */
struct probe {
	struct responder *responder;
	struct responder_outcome outcome;
	bool done;
};

static void probe_done(void *context, const struct query *query,
		       const struct chain_decision *decision)
{
	struct probe *probe = context;

	probe->outcome = responder_finish(probe->responder, decision);
	probe->done = true;
}

static struct responder_outcome decide_aside(struct responder *aside, const struct query *query)
{
	struct probe probe = { .responder = aside };

	probe.outcome = responder_begin(aside, query);
	probe.done = !probe.outcome.pending;
	if (!probe.done)
		evaluation_on_done(probe.outcome.pending, probe_done, &probe);
	while (!probe.done)
		seams_reply(seams_last_question(), false);
	return probe.outcome;
}

/* Is this what the kernel may say, by what it was told to remember? */
static bool may_decide(const struct subject *subject, const struct setup *setup,
		       const struct step *ask, const struct expected *expected,
		       unsigned int verdict)
{
	struct expected remembered;
	size_t place = 0;
	bool right = verdict == expected->verdict;

	while (!right && memory_next(&subject->memory, &place, setup, ask, &remembered))
		right = verdict == remembered.verdict;
	return right;
}

/* The two halves of `icpctl check`: who decides, and who would answer. `*kernel`: the kernel. */
static bool ask_check(struct subject *subject, const struct setup *setup, const struct step *ask,
		      const struct expected *expected, bool *kernel, struct report *report)
{
	struct query query = { ask->text.at, ask->text.length, IN6ADDR_ANY_INIT };
	struct responder aside = subject->responder;
	struct decision decision;
	struct kernel_reason reason;
	struct responder_outcome outcome;
	const char *name = "";
	struct error error;

	*kernel = true;
	if (expected->decider == BY_FORM)
		return true; /* neither half is asked */
	memcpy(&query.source, ask->address, 16);
	aside.on_decision = NULL;
	outcome = decide_aside(&aside, &query);
	subject->responder.counters[ICP_COUNT_FAILED_LIMIT] =
		aside.counters[ICP_COUNT_FAILED_LIMIT];
	if (outcome.policy)
		name = outcome.policy->name;
	if (outcome.by_drain != (expected->decider == BY_DRAIN) ||
	    outcome.by_rule != (expected->decider == BY_RULE) ||
	    (outcome.policy != NULL) != (expected->decider == BY_POLICY) ||
	    (outcome.policy && strcmp(name, expected->name.at) != 0))
		return wrong(report, FAULT_CHECK, expected,
			     outcome.by_drain  ? "the drain"
			     : outcome.by_rule ? "a rule"
			     : outcome.policy  ? name
					       : "the default");
	if (kernel_explain(subject->kernel, query.url, query.length, &query.source, &decision,
			   &reason, &error))
		return wrong(report, FAULT_ANSWERER, expected, error.text);
	*kernel = decision.counter == ICP_COUNT_ANSWERED;
	if (*kernel && !may_decide(subject, setup, ask, expected, decision.verdict.opcode))
		return wrong(report, FAULT_ANSWERER, expected, "another verdict of the kernel");
	return true;
}

/* The daemon's part; what is begun stays in flight. */
static bool ask_daemon(struct subject *subject, const struct setup *setup, const struct step *ask,
		       bool ask_again, struct report *report)
{
	struct flight *flight;
	bool decided, right;

	subject->remembered = false;
	flight = flight_begin(&subject->flights, &subject->responder, ask, &subject->packet);
	decided = walk_begin(&flight->walk, setup, ask);
	if (ask->kind == STEP_BEGIN && !decided && !flight->done)
		return true;
	while (!decided)
		decided = walk_reply(&flight->walk, false);
	while (!flight->done)
		flight_go_on(flight, false);
	right = finish(subject, setup, flight, false, ask_again, report);
	flight_end(&subject->flights, flight);
	return right;
}

bool subject_ask(struct subject *subject, const struct setup *setup, const struct step *ask,
		 struct report *report)
{
	const struct expected expected = oracle_ask(setup, ask).expected;
	bool check = (subject->thorough || subject->asked++ % CHECK_ONE_OF == 0) &&
		     expected.decider != BY_FORM;
	uint64_t limits = subject->responder.counters[ICP_COUNT_FAILED_LIMIT];
	struct tally *tally = subject->tally;
	bool by_kernel = false;
	enum outcome outcome;

	report->fault = FAULT_NONE;
	if (subject->refused)
		return wrong(report, FAULT_REFUSED, &expected, subject->error.text);
	if (check && !ask_check(subject, setup, ask, &expected, &by_kernel, report))
		return gave_up(subject, limits, report);
	packet_build(&subject->packet, ask, ++subject->number);
	outcome = ask_kernel(subject, setup, ask, &expected, FAULT_KERNEL, report);
	if (outcome == WRONG)
		return false;
	tally->kernel += outcome == ANSWERED;
	tally->passed += outcome == PASSED;
	if (check && by_kernel != (outcome == ANSWERED))
		return wrong(report, FAULT_ANSWERER, &expected,
			     by_kernel ? "the kernel, which passes" : "the daemon, not the kernel");
	tally->check += check;
	if (outcome == PASSED && expected.kernel_knows)
		return wrong(report, FAULT_LAZY, &expected, "");
	return ask_daemon(subject, setup, ask, outcome == PASSED, report);
}

bool subject_reply(struct subject *subject, const struct setup *setup, const struct step *step,
		   struct report *report)
{
	struct flight *flight = TAILQ_FIRST(&subject->flights);
	bool lost = step->kind == STEP_LOSE, decided, right;

	report->fault = FAULT_NONE;
	if (!flight)
		return true;
	for (int i = step->number; i > 0; i--)
		flight = TAILQ_NEXT(flight, link) ? TAILQ_NEXT(flight, link)
						  : TAILQ_FIRST(&subject->flights);
	subject->remembered = false;
	decided = walk_reply(&flight->walk, lost);
	flight_go_on(flight, lost);
	if (!decided && !flight->done)
		return true;
	if (decided != flight->done)
		right = wrong(report, FAULT_FLIGHT, &flight->walk.expected,
			      decided ? "nothing yet" : "too early");
	else
		right = finish(subject, setup, flight, true, true, report);
	flight_end(&subject->flights, flight);
	return right;
}
