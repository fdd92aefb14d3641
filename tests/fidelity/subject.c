// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chain_support.h"
#include "gate.h"
#include "kernel.h"
#include "log.h"
#include "pinned_rules.h"
#include "program.h"
#include "responder.h"
#include "subject.h"

#define NO_VERDICT 77  /* that a hand may put into the rules */
#define LEASE 3600000  /* ms */
#define CHECK_ONE_OF 8 /* queries; it takes many system calls */
#define URL_MOST 16000 /* bytes */
#define ETHERNET_SIZE 14u

struct subject {
	struct program program;
	struct kernel *kernel;
	struct rules *rules;
	struct responder responder;
	struct chain *chain;
	struct compiled *compiled;
	char directory[PATH_MAX / 2];
	bool stale; /* the chain has to be made anew */
	bool refused;
	struct error error;
	bool remembered; /* by the last query */
	bool watched;
	uint64_t asked, check_one_of;
	uint32_t number; /* of the request */
	struct bytes frame, out;
	char datagram[URL_MOST + 64] __attribute__((aligned(8)));
};

uint64_t tally_sum(const struct tally *tally)
{
	return tally->kernel + tally->warm + tally->daemon + tally->check;
}

/*
 * The hash seeds of a run repeat with it, and stay from one chain to the next: what was remembered
 * of a former chain is found again, and nothing but its generation tells it from what counts.
 */
static uint64_t hash_seed;

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned int flags);
ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned int flags)
{
	uint64_t state = hash_seed;

	(void)flags;
	for (size_t i = 0; i < size; i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		((uint8_t *)buffer)[i] = state >> 56;
	}
	return size;
}

/* No packets are on their way while the maps change: nothing need be waited for. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long with[6];
	va_list list;

	if (number == __NR_membarrier)
		return 0;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		with[i] = va_arg(list, long);
	va_end(list);
	return __real_syscall(number, with[0], with[1], with[2], with[3], with[4], with[5]);
}

/* As the daemon does it, but for its limit to so many a second. */
static void remember(void *context, const struct query *query,
		     const struct chain_decision *decision)
{
	struct subject *subject = context;

	if (!decision->memorable || decision->rank < subject->compiled->horizon)
		return;
	kernel_remember(
		subject->kernel, query->url, query->length, &query->source,
		candidate_of(decision->rank, decision->verdict.opcode, decision->verdict.cost),
		decision->expires);
	subject->remembered = query->length <= PREFIX_URL_MAX;
}

struct subject *subject_open(const char **reason)
{
	static const uint8_t local[2][16] = { { [10] = 0xff, 0xff, 127, 0, 0, 1 }, { [15] = 1 } };
	struct subject *subject = calloc(1, sizeof(*subject));
	const char *temporary = getenv("TMPDIR");

	log_open("fidelity", LOG_ERR);
	program_open(&subject->program);
	*reason = subject->program.reason;
	if (subject->program.fd < 0) {
		free(subject);
		return NULL;
	}
	program_clear(&subject->program);
	for (int i = 0; i < 2; i++)
		program_put_destination(&subject->program, local[i], 3130, NULL);
	subject->kernel = program_kernel(&subject->program);
	subject->rules = rules_pinned(kernel_rules(subject->kernel));
	subject->responder = (struct responder){ .rules = subject->rules,
						 .decided = remember,
						 .context = subject };
	snprintf(subject->directory, sizeof(subject->directory), "%s/xdp-icp-fidelity-XXXXXX",
		 temporary ? temporary : "/tmp");
	if (!subject->rules || !mkdtemp(subject->directory)) {
		perror(subject->directory);
		exit(2);
	}
	return subject;
}

static void remove_files(const struct subject *subject)
{
	char path[PATH_MAX];

	for (int i = 0; i < POLICIES_MAX; i++) {
		snprintf(path, sizeof(path), "%s/%d.list", subject->directory, i);
		unlink(path);
	}
	for (char flag = 'a'; flag <= 'z'; flag++) {
		snprintf(path, sizeof(path), "%s/%c", subject->directory, flag);
		unlink(path);
	}
}

void subject_close(struct subject *subject)
{
	remove_files(subject);
	rmdir(subject->directory);
	compiled_free(subject->compiled);
	chain_unref(subject->chain);
	rules_free(subject->rules);
	kernel_close(subject->kernel);
	program_close(&subject->program);
	free(subject);
}

void subject_begin(struct subject *subject, bool thorough)
{
	struct error error;

	hash_seed = 1;
	remove_files(subject);
	program_empty_map(subject->program.skeleton->maps.rules);
	if (kernel_drain(subject->kernel, 0, &error))
		fail_msg("%s", error.text);
	subject->responder.drain = 0;
	subject->stale = true;
	subject->watched = true;
	subject->asked = 0;
	subject->check_one_of = thorough ? 1 : CHECK_ONE_OF;
}

/* --- steps */

/* Tells the kernel what the gates are, unless the daemon is silent. */
static void watch(struct subject *subject)
{
	if (subject->watched && subject->chain)
		kernel_watch(subject->kernel, chain_gate(subject->chain));
}

/* The file comes or goes, and who watches for it notices. */
static void set_flag(struct subject *subject, const struct setup *setup, const struct step *step)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%c", subject->directory, step->name.at[0]);
	if (step->on)
		close(open(path, O_CREAT | O_WRONLY, 0600));
	else
		unlink(path);
	for (size_t i = 0; !subject->stale && !subject->refused && i < setup->policy_count; i++)
		if (setup->policies[i].kind == KIND_FLAG && setup->policies[i].count &&
		    setup->policies[i].entries[0].text.at[0] == step->name.at[0])
			gate_set(chain_policy(subject->chain, i)->state, step->on);
	watch(subject);
}

static void put_rule(struct subject *subject, const struct step *step)
{
	struct error error;

	if (pinned_rules_put(kernel_rules(subject->kernel), step->text.at, step->text.length,
			     step->verdict ? step->verdict : NO_VERDICT, &error))
		fail_msg("%s", error.text);
}

static void set_drain(struct subject *subject, uint8_t verdict)
{
	uint32_t drain = verdict == VERDICT_SILENCE ? DRAIN_SILENCE : verdict;
	struct error error;

	if (drain == subject->responder.drain)
		return;
	if (kernel_drain(subject->kernel, drain, &error))
		fail_msg("%s", error.text);
	subject->responder.drain = drain;
}

/*
 * A daemon that is not heard of looks to the kernel as one that has not begun to watch over this
 * chain: it has set it and nothing else. The lease itself is a matter of time, and tested elsewhere.
 */
static void set_watch(struct subject *subject, bool on)
{
	struct error error;

	if (on == subject->watched)
		return;
	subject->watched = on;
	if (on)
		watch(subject);
	else if (subject->compiled &&
		 kernel_set_chain(subject->kernel, subject->compiled, false, LEASE, NULL, &error))
		fail_msg("%s", error.text);
}

void subject_take(struct subject *subject, const struct setup *setup, const struct step *step,
		  bool anew)
{
	struct error error;

	subject->stale = subject->stale || anew;
	switch (step->kind) {
	case STEP_HASH:
		hash_seed = step->cost;
		break;
	case STEP_FLAG:
		set_flag(subject, setup, step);
		break;
	case STEP_WATCH:
		set_watch(subject, step->on);
		break;
	case STEP_RULE:
		put_rule(subject, step);
		break;
	case STEP_UNRULE:
		pinned_rules_remove(kernel_rules(subject->kernel), step->text.at, step->text.length,
				    &error);
		break;
	case STEP_DRAIN:
		set_drain(subject, step->verdict);
		break;
	default:
		break;
	}
}

static int make(const struct subject *subject, const struct setup *setup, struct chain **chain,
		struct compiled **compiled, struct error *error)
{
	struct config *config = NULL;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int result;

	configuration_write(setup, subject->directory, out);
	fclose(out);
	*chain = NULL;
	result = config_parse_text(text, size, "c", &config, error);
	if (!result)
		result = chain_create(config, chain, error);
	if (!result)
		result = chain_compile(*chain, compiled, error);
	free(text);
	config_free(config);
	return result;
}

/* A chain that is refused leaves the former in place, as in the daemon. */
static void renew(struct subject *subject, const struct setup *setup, struct tally *tally)
{
	struct compiled *compiled;
	struct candidate gate;
	struct chain *chain;

	subject->stale = false;
	subject->refused = make(subject, setup, &chain, &compiled, &subject->error);
	if (!subject->refused) {
		gate = chain_gate(chain);
		subject->refused =
			kernel_set_chain(subject->kernel, compiled, false, LEASE,
					 subject->watched ? &gate : NULL, &subject->error);
	}
	if (subject->refused)
		return;
	tally->chains++;
	compiled_free(subject->compiled);
	chain_unref(subject->chain);
	subject->compiled = compiled;
	subject->chain = chain;
	subject->responder.chain = chain;
}

/* --- queries */

static bool is_ipv4(const struct step *ask)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	return memcmp(ask->address, mapped, 12) == 0;
}

static size_t build_query(struct subject *subject, const struct step *ask)
{
	static struct bytes message;
	size_t size = 24 + ask->text.length + 1;

	subject->number++;
	message.size = 0;
	push8(&message, 1);
	push8(&message, 2);
	push16(&message, size);
	push32(&message, subject->number ? subject->number : ++subject->number);
	push32(&message, ask->on ? 0x40000000 : 0);
	push32(&message, 0);
	push32(&message, 0xc0000207);
	push32(&message, 0xc0000263);
	push(&message, ask->text.at, ask->text.length + 1);
	memcpy(subject->datagram, message.at, size);
	memset(subject->datagram + size, 0, 8);
	return size;
}

static void build_frame(struct subject *subject, const struct step *ask, size_t size)
{
	static const uint8_t zero[12] = { 0 }, local6[16] = { [15] = 1 };
	struct bytes *frame = &subject->frame;
	bool ipv4 = is_ipv4(ask);
	size_t udp, addresses;
	uint16_t sum;

	frame->size = 0;
	push(frame, zero, 12);
	push16(frame, ipv4 ? 0x0800 : 0x86dd);
	if (ipv4) {
		push16(frame, 0x4500);
		push16(frame, 20 + 8 + size);
		push32(frame, 0);
		push16(frame, 0x4011);
		push16(frame, 0);
		push(frame, ask->address + 12, 4);
		push32(frame, 0x7f000001);
		poke16(frame, ETHERNET_SIZE + 10, ~plain_sum(frame->at + ETHERNET_SIZE, 20, 0));
		addresses = 8;
	} else {
		push32(frame, 0x60000000);
		push16(frame, 8 + size);
		push16(frame, 0x1140);
		push(frame, ask->address, 16);
		push(frame, local6, 16);
		addresses = 32;
	}
	udp = frame->size;
	push16(frame, 4000);
	push16(frame, 3130);
	push16(frame, 8 + size);
	push16(frame, 0);
	push(frame, subject->datagram, size);
	if (ipv4 && subject->number % 4)
		return; /* IPv4 may leave it out */
	sum = plain_sum(frame->at + udp - addresses, frame->size - udp + addresses, 17 + 8 + size);
	sum = ~sum;
	poke16(frame, udp + 6, sum ? sum : 0xffff);
}

static void describe(char *text, size_t size, unsigned int verdict, int cost)
{
	if (cost >= 0)
		snprintf(text, size, "%s (%u) at cost %d", verdict_name(verdict), verdict, cost);
	else
		snprintf(text, size, "%s (%u)", verdict_name(verdict), verdict);
}

static bool wrong(struct report *report, enum fault fault, const struct expected *expected,
		  const char *got)
{
	static const char *const who[FAULT_MAX] = {
		[FAULT_REFUSED] = "the configuration is refused: ",
		[FAULT_KERNEL] = "the kernel answers ",
		[FAULT_WARM] = "the kernel answers from its memory ",
		[FAULT_TOUCHED] = "the kernel passes up another packet",
		[FAULT_LAZY] = "the kernel passes up what it must know",
		[FAULT_FORGOT] = "the kernel passes up what it was told to remember",
		[FAULT_DAEMON] = "the daemon answers ",
		[FAULT_CHECK] = "check names ",
		[FAULT_ANSWERER] = "check names ",
	};
	static const char *const deciders[] = { "the form of the URL", "the drain", "the rule ",
						"policy ", "the default" };
	char must[64];

	describe(must, sizeof(must), expected->verdict, expected->cost);
	report->fault = fault;
	snprintf(report->text, sizeof(report->text), "%s%s; right is %s, by %s%.*s", who[fault],
		 got, must, deciders[expected->decider], (int)expected->name.length,
		 expected->name.length ? expected->name.at : "");
	return false;
}

/* Is this datagram the answer that is expected, in every byte of protocol.md's R5? */
static bool is_answer(const struct step *ask, const char *query, const uint8_t *reply, size_t size,
		      const struct expected *expected, enum fault fault, struct report *report)
{
	uint8_t header[20] = { 0 };
	char got[256];

	header[0] = expected->verdict;
	header[1] = 2;
	header[2] = (ask->text.length + 21) >> 8;
	header[3] = (ask->text.length + 21) & 0xff;
	memcpy(header + 4, query + 4, 4);
	if (expected->cost >= 0) {
		header[8] = 0x40;
		header[14] = expected->cost >> 8;
		header[15] = expected->cost & 0xff;
	}
	memcpy(header + 16, query + 16, 4);
	if (size == ask->text.length + 21 && memcmp(reply, header, 20) == 0 &&
	    memcmp(reply + 20, ask->text.at, ask->text.length + 1) == 0)
		return true;
	describe(got, 64, reply[0], reply[8] & 0x40 ? reply[14] << 8 | reply[15] : -1);
	snprintf(got + strlen(got), sizeof(got) - strlen(got), " in %zu bytes", size);
	return wrong(report, fault, expected, got);
}

enum outcome {
	PASSED,
	ANSWERED,
	WRONG
};

static enum outcome ask_kernel(struct subject *subject, const struct step *ask, size_t size,
			       const struct expected *expected, enum fault fault,
			       struct report *report)
{
	size_t headers = ETHERNET_SIZE + (is_ipv4(ask) ? 20 : 40) + 8;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = subject->frame.at,
		    .data_size_in = subject->frame.size, .data_out = subject->out.at,
		    .data_size_out = sizeof(subject->out.at));
	int err = bpf_prog_test_run_opts(subject->program.fd, &options);

	if (err)
		fail_msg("BPF_PROG_TEST_RUN with %zu bytes: %s", subject->frame.size,
			 strerror(-err));
	subject->out.size = options.data_size_out;
	if (options.retval == XDP_PASS) {
		if (subject->out.size == subject->frame.size &&
		    memcmp(subject->out.at, subject->frame.at, subject->out.size) == 0)
			return PASSED;
		wrong(report, FAULT_TOUCHED, expected, "");
		return WRONG;
	}
	if (options.retval != XDP_TX || subject->out.size + 4 != subject->frame.size ||
	    expected->verdict == VERDICT_SILENCE) {
		wrong(report, fault, expected,
		      options.retval == XDP_TX ? "at all" : "with neither pass nor an answer");
		return WRONG;
	}
	return is_answer(ask, subject->datagram, subject->out.at + headers, size - 4, expected,
			 fault, report)
		       ? ANSWERED
		       : WRONG;
}

static bool ask_daemon(struct subject *subject, const struct step *ask, size_t size,
		       const struct expected *expected, struct report *report)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} source = { 0 };
	uint8_t reply[20 + URL_MOST + 64];
	struct answer answer;

	if (is_ipv4(ask)) {
		source.v4.sin_family = AF_INET;
		source.v4.sin_port = htons(4000);
		memcpy(&source.v4.sin_addr, ask->address + 12, 4);
	} else {
		source.v6.sin6_family = AF_INET6;
		source.v6.sin6_port = htons(4000);
		memcpy(&source.v6.sin6_addr, ask->address, 16);
	}
	if (!responder_answer(&subject->responder, subject->datagram, size, &source.any, &answer))
		return expected->verdict == VERDICT_SILENCE ||
		       wrong(report, FAULT_DAEMON, expected, "nothing");
	if (expected->verdict == VERDICT_SILENCE)
		return wrong(report, FAULT_DAEMON, expected, "at all");
	memcpy(reply, &answer.header, 20);
	memcpy(reply + 20, answer.payload, answer.payload_size);
	return is_answer(ask, subject->datagram, reply, 20 + answer.payload_size, expected,
			 FAULT_DAEMON, report);
}

/* The two halves of `icpctl check`: who decides, and who would answer. `*kernel`: the kernel. */
static bool ask_check(struct subject *subject, const struct step *ask,
		      const struct expected *expected, bool *kernel, struct report *report)
{
	struct query query = { ask->text.at, ask->text.length, IN6ADDR_ANY_INIT };
	struct responder aside = subject->responder;
	struct decision decision;
	struct response response;
	const char *name = "";
	struct error error;

	*kernel = true;
	if (expected->decider == BY_FORM)
		return true; /* neither half is asked */
	memcpy(&query.source, ask->address, 16);
	aside.decided = NULL;
	response = responder_decide(&aside, &query);
	subject->responder.counters[ICP_COUNT_FAILED_LIMIT] =
		aside.counters[ICP_COUNT_FAILED_LIMIT];
	if (response.policy)
		name = response.policy->name;
	if (response.by_drain != (expected->decider == BY_DRAIN) ||
	    response.by_rule != (expected->decider == BY_RULE) ||
	    (response.policy != NULL) != (expected->decider == BY_POLICY) ||
	    (response.policy && strcmp(name, expected->name.at) != 0))
		return wrong(report, FAULT_CHECK, expected,
			     response.by_drain	? "the drain"
			     : response.by_rule ? "a rule"
			     : response.policy	? name
						: "the default");
	if (kernel_decide(subject->kernel, query.url, query.length, &query.source, &decision,
			  &error))
		return wrong(report, FAULT_ANSWERER, expected, error.text);
	*kernel = decision.counter == ICP_COUNT_ANSWERED;
	if (*kernel && decision.verdict.opcode != expected->verdict)
		return wrong(report, FAULT_ANSWERER, expected, "another verdict of the kernel");
	return true;
}

bool subject_ask(struct subject *subject, const struct setup *setup, const struct step *ask,
		 struct tally *tally, struct report *report)
{
	struct expected expected = oracle_ask(setup, ask);
	bool check = subject->asked++ % subject->check_one_of == 0 && expected.decider != BY_FORM;
	uint64_t limits = subject->responder.counters[ICP_COUNT_FAILED_LIMIT];
	bool by_kernel;
	enum outcome outcome;
	size_t size;

	report->fault = FAULT_NONE;
	if (subject->stale)
		renew(subject, setup, tally);
	if (subject->refused)
		return wrong(report, FAULT_REFUSED, &expected, subject->error.text);
	if (check && !ask_check(subject, ask, &expected, &by_kernel, report))
		goto limit;
	size = build_query(subject, ask);
	build_frame(subject, ask, size);
	outcome = ask_kernel(subject, ask, size, &expected, FAULT_KERNEL, report);
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

	subject->remembered = false;
	if (!ask_daemon(subject, ask, size, &expected, report))
		goto limit;
	tally->daemon++;
	if (outcome == ANSWERED || !subject->remembered)
		return true;
	outcome = ask_kernel(subject, ask, size, &expected, FAULT_WARM, report);
	if (outcome == PASSED && subject->watched && !subject->responder.drain && !expected.sent_up)
		return wrong(report, FAULT_FORGOT, &expected, "");
	tally->warm += outcome == ANSWERED;
	return outcome != WRONG;

limit:
	/* A regex that takes too long says nothing; that is no matter of fidelity. */
	if (subject->responder.counters[ICP_COUNT_FAILED_LIMIT] == limits)
		return false;
	tally->gave_up++;
	report->fault = FAULT_NONE;
	return true;
}
