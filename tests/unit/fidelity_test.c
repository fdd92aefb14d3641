// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The invariant: what the kernel answers is what the full chain would answer at that moment. Random
 * chains of all kinds that the kernel knows something of, in the maps as the daemon writes them;
 * random URLs and queriers, as frames to the program. What it passes up is decided by the chain
 * and, where that allows it, remembered: then the kernel has to answer, and the same.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include "chain_support.h"
#include "program.h"
#include "verdict.h"

#define CHAINS 300
#define QUERIES 200

static struct program program;
static char flag_path[] = "/tmp/xdp-icp-flag-XXXXXX";

/* --- chains and queries */

static void random_text(uint64_t *seed, char *text, unsigned int most)
{
	unsigned int length = random_below(seed, most + 1);

	for (unsigned int i = 0; i < length; i++)
		text[i] = "ab/"[random_below(seed, 3)];
	text[length] = '\0';
}

/* Prefixes that URLs share: a few letters, or a run up to around a boundary of 8 bytes. */
static void random_url(uint64_t *seed, char *text)
{
	unsigned int run = random_below(seed, 4) ? 0 : random_below(seed, 250);

	memset(text, 'a', run);
	random_text(seed, text + run, 5);
	if (!text[0])
		strcpy(text, "a");
}

static void random_network(uint64_t *seed, char *text)
{
	unsigned int bits = 8 * (1 + random_below(seed, 4));
	uint32_t address = 0x0a000000 | random_below(seed, 3) << 16 | random_below(seed, 3) << 8 |
			   random_below(seed, 3);
	struct in_addr in = { htonl(address & (0xffffffffu << (32 - bits))) };
	char host[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &in, host, sizeof(host));
	sprintf(text, "%s/%u", host, bits);
}

static void add_policy(uint64_t *seed, FILE *out, unsigned int number)
{
	static const char *const kinds[] = { "prefix",	  "prefix", "prefix", "exact",
					     "substring", "source", "flag",   "source" };
	const char *kind = kinds[random_below(seed, 8)];
	char text[300];

	fprintf(out, "policy '%u' { kind = %s verdict = %s not = %s cost = %u ", number, kind,
		opcode_name(random_verdict(seed)), random_below(seed, 6) ? "no" : "yes",
		random_below(seed, 65536));
	if (!strcmp(kind, "flag")) {
		fprintf(out, "path = '%s' }\n", flag_path);
		return;
	}
	fprintf(out, "%s = {",
		!strcmp(kind, "source")	     ? "from"
		: !strcmp(kind, "substring") ? "texts"
					     : "urls");
	for (unsigned int i = 1 + random_below(seed, 4); i; i--) {
		if (!strcmp(kind, "source"))
			random_network(seed, text);
		else
			random_url(seed, text);
		fprintf(out, " '%s'%s", text, i > 1 ? "," : "");
	}
	fprintf(out, " } }\n");
}

static char *random_configuration(uint64_t *seed)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, "default = %s\n", opcode_name(random_verdict(seed)));
	for (unsigned int i = 0; i < random_below(seed, 7); i++)
		add_policy(seed, out, i);
	fclose(out);
	return text;
}

/* --- frames */

static void build(struct bytes *frame, const char *url, uint32_t source, bool wants_cost)
{
	size_t url_size = strlen(url) + 1, udp = 8 + 24 + url_size;
	uint8_t zero[12] = { 0 };
	size_t ip;

	frame->size = 0;
	push(frame, zero, 12);
	push16(frame, 0x0800);
	ip = frame->size;
	push16(frame, 0x4500);
	push16(frame, 20 + udp);
	push32(frame, 0);
	push16(frame, 0x4011);
	push16(frame, 0);
	push32(frame, source);
	push32(frame, 0x7f000001);
	poke16(frame, ip + 10, ~plain_sum(frame->at + ip, 20, 0));
	push16(frame, 4000);
	push16(frame, 3130);
	push16(frame, udp);
	push16(frame, 0); /* no checksum */
	push8(frame, 1);
	push8(frame, 2);
	push16(frame, 24 + url_size);
	push32(frame, 4711);
	push32(frame, wants_cost ? 0x40000000 : 0);
	push(frame, zero, 12);
	push(frame, url, url_size);
}

/* Sends the query; fails if it is answered with anything but `expected`. Returns whether it is. */
static bool answered(const char *configuration, const char *url, uint32_t source,
		     const struct chain_decision *expected)
{
	static struct bytes frame, out;
	const uint8_t *icp;
	int cost;
	uint32_t action;

	build(&frame, url, source, true);
	program_run(&program, &frame, &out, &action);
	if (action == XDP_PASS) {
		assert_bytes(url, &out, &frame);
		return false;
	}
	assert_int_equal(action, XDP_TX);
	icp = out.at + 14 + 20 + 8;
	cost = icp[8] & 0x40 ? icp[14] << 8 | icp[15] : ICP_NO_COST;
	if (icp[0] != expected->verdict.opcode || cost != expected->verdict.cost)
		fail_msg("%s for %s from %08x: the kernel says %u (cost %d), the chain %u (%d)",
			 configuration, url, source, icp[0], cost, expected->verdict.opcode,
			 expected->verdict.cost);
	assert_string_equal(icp + 20, url);
	return true;
}

static struct in6_addr mapped(uint32_t source)
{
	struct in6_addr address = { 0 };
	uint32_t network = htonl(source);

	address.s6_addr[10] = address.s6_addr[11] = 0xff;
	memcpy(&address.s6_addr[12], &network, 4);
	return address;
}

struct tally {
	size_t known, asked, remembered, gates, sources;
};

static void ask(struct kernel *kernel, const char *configuration, const struct chain *chain,
		const struct compiled *compiled, uint64_t *seed, struct tally *tally)
{
	uint32_t source = 0x0a000000 | random_below(seed, 3) << 16 | random_below(seed, 3) << 8 |
			  random_below(seed, 3);
	struct in6_addr address = mapped(source);
	struct chain_decision decision;
	struct decision foretold;
	struct error error;
	char url[300];
	bool by_kernel;

	random_url(seed, url);
	decision = chain_decide(chain, &(struct query){ url, strlen(url), address });
	assert_int_equal(kernel_decide(kernel, url, strlen(url), &address, &foretold, &error), 0);
	by_kernel = answered(configuration, url, source, &decision);
	/* `icpctl check` names who answers. */
	assert_int_equal(foretold.counter == ICP_COUNT_ANSWERED, by_kernel);
	if (by_kernel && decision.policy) {
		tally->gates += decision.policy->kind->basis == POLICY_BASIS_HOST;
		tally->sources += decision.policy->kind->basis == POLICY_BASIS_SOURCE;
	}
	if (by_kernel) {
		tally->known++;
		return;
	}
	/* It passes only what the horizon is before. */
	tally->asked++;
	assert_true(compiled->horizon != RANK_NONE);
	if (!decision.memorable)
		return;
	kernel_remember(kernel, url, strlen(url), &address,
			candidate_of(decision.rank, decision.verdict.opcode, decision.verdict.cost),
			decision.ttl);
	tally->remembered++;
	if (!answered(configuration, url, source, &decision))
		fail_msg("%s: %s is not remembered", configuration, url);
	/* Another querier's answer may be another, by a policy on addresses. */
	source ^= 1u << random_below(seed, 24);
	address = mapped(source);
	decision = chain_decide(chain, &(struct query){ url, strlen(url), address });
	answered(configuration, url, source, &decision);
}

TEST(the_kernel_answers_as_the_chain)
{
	static const uint8_t localhost[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
	struct tally tally = { 0 };
	struct kernel *kernel;
	struct error error;
	uint64_t seed = 20261122;
	int flag = mkstemp(flag_path);

	program_needed(&program);
	close(flag);
	program_clear(&program);
	program_put_destination(&program, localhost, 3130, NULL);
	kernel = program_kernel(&program);
	for (int i = 0; i < CHAINS; i++) {
		char *configuration = random_configuration(&seed);
		struct compiled *compiled;
		struct chain *chain;

		if (random_below(&seed, 2))
			unlink(flag_path);
		else
			close(open(flag_path, O_CREAT | O_WRONLY, 0600));
		chain = make_chain(configuration);
		assert_int_equal(chain_compile(chain, &compiled, &error), 0);
		if (kernel_set_chain(kernel, compiled, false, 60000, NULL, &error))
			fail_msg("%s", error.text);
		kernel_watch(kernel, chain_gate(chain));
		for (int k = 0; k < QUERIES; k++)
			ask(kernel, configuration, chain, compiled, &seed, &tally);
		compiled_free(compiled);
		chain_unref(chain);
		free(configuration);
	}
	unlink(flag_path);
	kernel_close(kernel);
	print_message("# %zu known, %zu asked, %zu remembered, %zu by gates, %zu by sources\n",
		      tally.known, tally.asked, tally.remembered, tally.gates, tally.sources);
	/* Of no use if one of them hardly happened. */
	assert_true(tally.known > CHAINS * QUERIES / 4 && tally.remembered > CHAINS * QUERIES / 20);
	assert_true(tally.gates > CHAINS * QUERIES / 50 && tally.sources > CHAINS * QUERIES / 50);
}

/* A daemon that is not heard of: what depends on its watch is passed up, the rest is answered. */
TEST(without_a_watch)
{
	static const uint8_t localhost[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
	static const char text[] =
		"policy 1 { kind = prefix verdict = hit url = before }\n"
		"policy 2 { kind = flag verdict = denied path = '/nowhere/at/all' }\n"
		"policy 3 { kind = prefix verdict = hit url = behind }\n"
		"policy 4 { kind = substring verdict = hit text = word }\n";
	struct chain_decision decision;
	struct in6_addr address = mapped(0x0a000001);
	struct compiled *compiled;
	struct kernel *kernel;
	struct chain *chain;
	struct error error;

	program_needed(&program);
	program_clear(&program);
	program_put_destination(&program, localhost, 3130, NULL);
	kernel = program_kernel(&program);
	chain = make_chain(text);
	assert_int_equal(chain_compile(chain, &compiled, &error), 0);
	assert_int_equal(kernel_set_chain(kernel, compiled, false, 60000, NULL, &error), 0);

	/* Nobody has watched yet over this chain. */
	decision = decide_url(chain, "before");
	assert_true(answered(text, "before", 0x0a000001, &decision));
	decision = decide_url(chain, "behind");
	assert_false(answered(text, "behind", 0x0a000001, &decision));
	kernel_watch(kernel, chain_gate(chain));
	assert_true(answered(text, "behind", 0x0a000001, &decision));
	decision = decide_url(chain, "words");
	assert_false(answered(text, "words", 0x0a000001, &decision));
	kernel_remember(kernel, "words", 5, &address,
			candidate_of(decision.rank, decision.verdict.opcode, ICP_NO_COST), 0);
	assert_true(answered(text, "words", 0x0a000001, &decision));

	/* A lease that has run out the moment it is given. */
	assert_int_equal(kernel_set_chain(kernel, compiled, false, 0, NULL, &error), 0);
	kernel_watch(kernel, chain_gate(chain));
	usleep(50000);
	decision = decide_url(chain, "before");
	assert_true(answered(text, "before", 0x0a000001, &decision));
	decision = decide_url(chain, "behind");
	assert_false(answered(text, "behind", 0x0a000001, &decision));
	compiled_free(compiled);
	chain_unref(chain);
	kernel_close(kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_answers_as_the_chain),
		cmocka_unit_test(without_a_watch),
	};
	int failed;

	program_open(&program);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	program_close(&program);
	return failed;
}
