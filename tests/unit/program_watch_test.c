// SPDX-License-Identifier: GPL-2.0-or-later
/* What the XDP program still answers when the daemon that watches is not heard of. */
#include <pthread.h>
#include <stdatomic.h>

#include "lib/clock.h"
#include "support/program_check.h"

TEST_ALL(open_program, close_program)

/* A chain, and the daemon's side of the maps that it goes to. */
struct watched {
	struct kernel *kernel;
	struct chain *chain;
	struct compiled *compiled;
};

static void watched_open(struct watched *watched, const char *config)
{
	prepare("default = err", false);
	watched->kernel = program_kernel(&program);
	watched->chain = make_chain(config);
	watched->compiled = compile(watched->chain);
}

static void watched_close(struct watched *watched)
{
	compiled_free(watched->compiled);
	chain_unref(watched->chain);
	kernel_close(watched->kernel);
}

/* Puts the chain into the other place; `lease` in milliseconds, `gate` NULL: nobody watches. */
static void watched_switch(const struct watched *watched, unsigned int lease,
			   const struct candidate *gate)
{
	struct error error;

	assert_int_equal(set_chain(watched->kernel, watched->compiled, false, lease, gate, &error),
			 0);
}

TEST(without_a_watch)
{
	static const struct in6_addr no_source = { 0 };
	struct chain_decision decision;
	struct watched watched;
	struct kernel *kernel;
	struct chain *chain;

	watched_open(&watched,
		     "policy 1 { kind = prefix verdict = hit url = before }\n"
		     "policy 2 { kind = flag verdict = denied path = '/nowhere/at/all' }\n"
		     "policy 3 { kind = prefix verdict = hit url = behind }\n"
		     "policy 4 { kind = regex verdict = hit pattern = '(?=)word' }\n");
	kernel = watched.kernel;
	chain = watched.chain;
	watched_switch(&watched, 60000, NULL);

	/* Nobody has watched yet over this chain. */
	check_url("before", 2);
	check_url_passes("behind", ICP_COUNT_PASSED_LEASE_EXPIRED);
	kernel_renew_lease(kernel, chain_gate(chain));
	check_url("behind", 2);
	check_url_passes("words", ICP_COUNT_PASSED_HORIZON);
	decision = decide_url(chain, "words");
	kernel_remember(kernel, "words", 5, &no_source,
			candidate_of(decision.rank, decision.verdict.opcode, ICP_NO_COST), 0);
	check_url("words", 2);

	/* A lease that has run out the moment it is given. */
	watched_switch(&watched, 0, NULL);
	kernel_renew_lease(kernel, chain_gate(chain));
	usleep(50000);
	check_url("before", 2);
	check_url_passes("behind", ICP_COUNT_PASSED_LEASE_EXPIRED);
	watched_close(&watched);
}

#define GUARDED                                                                                    \
	"policy 1 { kind = flag verdict = denied path = '/nowhere/at/all' }\n"                     \
	"policy 2 { kind = prefix verdict = hit url = behind }\n"

/* What is told of the one is nothing to the other, whichever of the two places they stand in. */
TEST(a_watch_for_each_chain)
{
	const struct candidate nothing = candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST);
	const struct candidate denied = candidate_of(0, ICP_OP_DENIED, ICP_NO_COST);
	int fd = bpf_map__fd(program.skeleton->maps.watch);
	struct map_watch left[2];
	struct watched watched;
	struct kernel *kernel;

	watched_open(&watched, GUARDED);
	kernel = watched.kernel;
	for (int turn = 0; turn < 4; turn++) {
		watched_switch(&watched, LEASE, &denied);
		check_url("behind", 22);
		kernel_renew_lease(kernel, nothing);
		check_url("behind", 2);
		watched_switch(&watched, LEASE, &nothing);
		check_url("behind", 2);
		kernel_renew_lease(kernel, denied);
		check_url("behind", 22);
		if (turn % 2) /* the other place comes first */
			watched_switch(&watched, LEASE, NULL);
	}

	/* What an attempt that failed has told of the same generation. */
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &i, &left[i]), 0);
		left[i].heartbeat = UINT64_MAX;
		left[i].generation = kernel_generation(kernel) + 1;
		assert_int_equal(bpf_map_update_elem(fd, &i, &left[i], BPF_ANY), 0);
	}
	watched_switch(&watched, LEASE, NULL);
	check_url_passes("behind", ICP_COUNT_PASSED_LEASE_EXPIRED);
	watched_close(&watched);
}

static void put_heartbeat(uint32_t slot, uint64_t heartbeat)
{
	int fd = bpf_map__fd(program.skeleton->maps.watch);
	struct map_watch watch;

	assert_int_equal(bpf_map_lookup_elem(fd, &slot, &watch), 0);
	watch.heartbeat = heartbeat;
	assert_int_equal(bpf_map_update_elem(fd, &slot, &watch, BPF_ANY), 0);
}

/* A heartbeat of a wrong clock must not be valid for ever. */
TEST(heartbeat_from_the_future)
{
	const struct candidate nothing = candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST);
	const uint64_t lease = LEASE * 1000000ull;
	struct watched watched;

	watched_open(&watched, GUARDED);
	watched_switch(&watched, LEASE, &nothing);
	for (uint32_t slot = 0; slot < 2; slot++) /* the chain stands in one of them */
		put_heartbeat(slot, clock_kernel_ns() + lease / 2);
	check_url("behind", 2);
	for (uint32_t slot = 0; slot < 2; slot++)
		put_heartbeat(slot, clock_kernel_ns() + 2 * lease);
	check_url_passes("behind", ICP_COUNT_PASSED_LEASE_EXPIRED);
	watched_close(&watched);
}

/* The only entry of `verdicts`. */
static struct verdict_entry get_remembered(struct verdict_key *key)
{
	int fd = bpf_map__fd(program.skeleton->maps.verdicts);
	struct verdict_entry entry;

	assert_int_equal(bpf_map_get_next_key(fd, NULL, key), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, key, &entry), 0);
	return entry;
}

/* Of an entry whose memory went to another URL while it was read, a part is the other's. */
TEST(torn_verdict)
{
	static const struct in6_addr querier = { 0 };
	const struct candidate gates[] = { candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST) };
	struct verdict_entry whole, torn;
	struct verdict_key key;
	struct watched watched;
	int fd;

	watched_open(&watched,
		     "policy 1 { kind = regex verdict = hit pattern = '(?=)word' }\n"
		     "policy 2 { kind = regex verdict = denied pattern = '(?=)other' }\n");
	watched_switch(&watched, LEASE, gates);
	program_empty_map(program.skeleton->maps.verdicts);
	fd = bpf_map__fd(program.skeleton->maps.verdicts);
	kernel_remember(watched.kernel, "words", 5, &querier,
			candidate_of(0, ICP_OP_HIT, ICP_NO_COST), 0);
	check_url("words", ICP_OP_HIT);
	whole = get_remembered(&key);
	for (int field = 0; field < 6; field++) {
		torn = whole;
		torn.rank += field == 0;
		torn.verdict = field == 1 ? ICP_OP_DENIED : whole.verdict;
		torn.cost = field == 2 ? 7 : whole.cost;
		torn.expires = field == 3 ? UINT64_MAX : whole.expires;
		torn.seal ^= field == 4;
		/* All of it another's but for the text and its length, which are compared first. */
		if (field == 5) {
			torn.rank = 1;
			torn.verdict = ICP_OP_DENIED;
			torn.seal = verdict_seal(key.hash + 1, torn.generation, torn.rank,
						 torn.verdict, torn.cost, torn.expires);
		}
		assert_int_equal(bpf_map_update_elem(fd, &key, &torn, BPF_ANY), 0);
		check_url_passes("words", ICP_COUNT_PASSED_HORIZON);
	}
	assert_int_equal(bpf_map_update_elem(fd, &key, &whole, BPF_ANY), 0);
	check_url("words", ICP_OP_HIT);
	watched_close(&watched);
}

struct asker {
	struct bytes frame;
	atomic_bool end;
	atomic_uint asked;
	unsigned int passed;
};

/* On another processor than the test itself. */
static void *ask(void *context)
{
	static struct bytes out;
	struct asker *asker = context;
	cpu_set_t mine, others;
	uint32_t action;

	CPU_ZERO(&others);
	sched_getaffinity(0, sizeof(mine), &mine);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (!CPU_ISSET(cpu, &mine))
			CPU_SET(cpu, &others);
	sched_setaffinity(0, sizeof(others), &others); /* if there is one */
	while (!asker->end) {
		if (program_run_split(&program, &asker->frame, 0, 0, &out, &action) ||
		    action != XDP_TX)
			asker->passed++;
		asker->asked++;
	}
	return NULL;
}

/* While the chain that is watched over gives way to another, no query falls between them. */
TEST(no_gap_between_two_chains)
{
	static struct asker asker;
	static struct bytes message;
	const struct candidate nothing = candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST);
	const struct datagram datagram = { URL("behind"), .verdict = 2 };
	struct envelope envelope = envelope_v4();
	struct watched watched;
	struct error error;
	pthread_t thread;
	uint32_t first;

	watched_open(&watched, GUARDED);
	watched_switch(&watched, LEASE, &nothing);
	first = kernel_generation(watched.kernel);
	message_build(&message, &datagram);
	frame_build(&asker.frame, &envelope, &message);
	assert_int_equal(pthread_create(&thread, NULL, ask, &asker), 0);
	for (int turn = 0; turn < 100; turn++) {
		unsigned int asked = asker.asked;

		while (asker.asked - asked < 3) /* so that it is under way */
			sched_yield();
		if (set_chain(watched.kernel, watched.compiled, false, LEASE, &nothing, &error))
			break; /* and be told below, with the thread at its end */
	}
	asker.end = true;
	pthread_join(thread, NULL);
	assert_int_equal(asker.passed, 0);
	assert_int_equal(kernel_generation(watched.kernel), first + 100);
	watched_close(&watched);
}
