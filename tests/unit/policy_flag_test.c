// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind flag. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "support/policies.h"
#include "policy/gate.h"
#include "policy/kinds.h"

TEST_ALL(make_top, remove_top)

static void make_file(const char *name)
{
	int fd = open(below(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static struct policy *flag_policy(const char *name)
{
	return make_policy(
		formatted("kind = flag verdict = miss_nofetch path = '%s'", below(name)));
}

TEST(changes_before_start)
{
	struct policy *policy = flag_policy("flag");

	assert_int_equal(policy->kind->basis, POLICY_BASIS_HOST);
	assert_int_equal(ask_host(policy), NOTHING);
	policy_free(policy);
	make_file("flag");
	policy = flag_policy("flag");
	assert_int_equal(ask_host(policy), ICP_OP_MISS_NOFETCH);
	policy->negate = true;
	assert_int_equal(ask_host(policy), NOTHING);
	policy_free(policy);
	unlink(below("flag"));
}

/* Changes between create() and start(). */
TEST(a_file_made_before_the_watch)
{
	struct policy *policy = flag_policy("flag");
	struct witness witness;

	make_file("flag");
	assert_int_equal(ask_host(policy), NOTHING);
	witness_start(&witness, policy);
	assert_int_equal(witness.told, 1);
	assert_int_equal(ask_host(policy), ICP_OP_MISS_NOFETCH);
	policy_free(policy);
	event_base_free(witness.base);
	unlink(below("flag"));
}

/* Process the events of inotify, which are queued at once; does not wait for the timer. */
static void run_once(const struct witness *witness)
{
	event_base_loop(witness->base, EVLOOP_NONBLOCK);
}

TEST(files_come_and_go)
{
	struct policy *policy = flag_policy("flag");
	struct witness witness;

	assert_int_equal(mkdir(below("d"), 0700), 0);
	witness_start(&witness, policy);
	assert_int_equal(witness.told, 0);
	assert_state(policy, "not set", "/tmp/*/flag does not exist");
	make_file("flag");
	run_once(&witness);
	assert_int_equal(witness.told, 1);
	assert_ptr_equal(witness.policy, policy);
	assert_int_equal(witness.said, ICP_OP_MISS_NOFETCH);
	assert_state(policy, "set", "/tmp/*/flag exists");
	rename(below("flag"), below("d/flag"));
	run_once(&witness);
	assert_int_equal(witness.told, 2);
	assert_int_equal(witness.said, NOTHING);
	rename(below("d/flag"), below("flag"));
	run_once(&witness);
	assert_int_equal(witness.told, 3);
	assert_int_equal(witness.said, ICP_OP_MISS_NOFETCH);
	unlink(below("flag"));
	run_once(&witness);
	assert_int_equal(witness.told, 4);
	assert_int_equal(witness.said, NOTHING);
	rmdir(below("d"));
	policy_free(policy);
	event_base_free(witness.base);
}

TEST(directories_come_and_go)
{
	struct policy *policy = flag_policy("a/b/flag");
	struct witness witness;

	witness_start(&witness, policy);
	for (unsigned int told = 0; told < 6; told += 2) {
		assert_int_equal(mkdir(below("a"), 0700), 0);
		run_once(&witness);
		assert_int_equal(mkdir(below("a/b"), 0700), 0);
		if (told)
			run_once(&witness);
		make_file("a/b/flag");
		run_once(&witness);
		assert_int_equal(witness.told, told + 1);
		assert_int_equal(witness.said, ICP_OP_MISS_NOFETCH);
		unlink(below("a/b/flag"));
		rmdir(below("a/b"));
		rmdir(below("a"));
		run_once(&witness);
		assert_int_equal(witness.told, told + 2);
		assert_int_equal(witness.said, NOTHING);
	}
	policy_free(policy);
	event_base_free(witness.base);
}

/* Inotify does not report this; the timer finds it. */
TEST(a_directory_above_is_renamed)
{
	struct policy *policy;
	struct witness witness;

	mkdir(below("a"), 0700);
	mkdir(below("a/b"), 0700);
	make_file("a/b/flag");
	policy = flag_policy("a/b/flag");
	witness_start(&witness, policy);
	rename(below("a"), below("c"));
	witness_wait(&witness, 1);
	assert_int_equal(witness.said, NOTHING);
	rename(below("c"), below("a"));
	witness_wait(&witness, 2);
	policy_free(policy);
	event_base_free(witness.base);
	unlink(below("a/b/flag"));
	rmdir(below("a/b"));
	rmdir(below("a"));
}

/* Since when it has been so survives a reload; another file's state is its own. */
TEST(inheritance)
{
	struct policy *former = flag_policy("flag"), *same = flag_policy("flag"),
		      *other = flag_policy("other");
	struct policy_state before, after;
	struct gate *gate = former->state;

	gate->since -= 100;
	gate->matches = true;
	policy_tell_state(former, &before);
	policy_flag.inherit(same, former);
	policy_flag.inherit(other, former);
	assert_int_equal(ask_host(same), ICP_OP_MISS_NOFETCH);
	policy_tell_state(same, &after);
	assert_int_equal(after.since, before.since);
	assert_int_equal(ask_host(other), NOTHING);
	policy_tell_state(other, &after);
	assert_true(after.since > before.since);
	policy_free(former);
	policy_free(same);
	policy_free(other);
}

/* The user may have no inotify instances left; the timer then does it alone. */
TEST(without_inotify)
{
	struct policy *policy = flag_policy("flag");
	struct rlimit limit, none;
	struct witness witness = { .base = event_base_new() };
	struct error error;

	assert_non_null(witness.base);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){ 0, limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	if (policy->kind->start(policy, witness.base, witness_changed, &witness, &error))
		fail_msg("%s", error.text);
	setrlimit(RLIMIT_NOFILE, &limit);
	make_file("flag");
	witness_wait(&witness, 1);
	assert_int_equal(witness.said, ICP_OP_MISS_NOFETCH);
	unlink(below("flag"));
	witness_wait(&witness, 2);
	policy_free(policy);
	event_base_free(witness.base);
}

/* What a directory is to a user who may not search it, a loop of links is to root as well. */
TEST(a_file_that_cannot_be_seen)
{
	struct policy *policy;
	struct policy_state told;

	assert_int_equal(symlink("flag", below("flag")), 0);
	policy = flag_policy("flag");
	assert_state(policy, "not set", "/tmp/*/flag: Too many levels of symbolic links");
	policy_tell_state(policy, &told);
	assert_true(told.trouble);
	policy_free(policy);
	unlink(below("flag"));
}

TEST(configuration_errors)
{
	static const char *const wrong[] = { "flag", "", "/", "/run/" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_policy_error(
			formatted("kind = flag verdict = hit\npath = '%s'", wrong[i]),
			formatted("c:2: policy 'p': path: '%s' is not the absolute path of a file; "
				  "write it from the root on, such as /run/xdp-icp/drain",
				  wrong[i]));
	}
	assert_policy_error("kind = flag path = '/a'",
			    "c:1: policy 'p': 'verdict' is missing; it can be hit, miss, "
			    "miss_nofetch, denied or err");
	assert_policy_error("kind = flag verdict = hit",
			    "c:1: policy 'p': 'path' is missing (absolute path of the file; its "
			    "directories need not exist yet)");
}
