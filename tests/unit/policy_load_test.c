// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind load, on a directory in place of /proc. */
#include <sys/stat.h>

#include "support/policies.h"
#include "policy/kinds.h"
#include "policy/kinds/load.h"

static char proc[64];

FIXTURE(make_proc)
{
	strcpy(proc, "/tmp/xdp-icp-test-XXXXXX");
	if (!mkdtemp(proc))
		return -1;
	return mkdir(formatted("%s/pressure", proc), 0700);
}

static void write_proc(const char *name, const char *content)
{
	const char *path = formatted("%s/%s", proc, name), *made = formatted("%s.new", path);
	FILE *file = fopen(made, "w"); /* renamed: the policy must not read half of it */

	assert_non_null(file);
	fputs(content, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(made, path), 0);
}

static void remove_file(const char *name)
{
	remove(formatted("%s/%s", proc, name));
}

FIXTURE(remove_proc)
{
	remove_file("loadavg");
	remove_file("pressure/io");
	remove_file("pressure");
	return rmdir(proc);
}

TEST_ALL(make_proc, remove_proc)

static void write_load(const char *minute)
{
	write_proc("loadavg", formatted("%s 99.00 99.00 9/99 9999\n", minute));
}

static void write_pressure(const char *ten_seconds)
{
	write_proc("pressure/io", formatted("some avg10=%s avg60=99.00 avg300=99.00 total=99\n"
					    "full avg10=99.00 avg60=99.00 avg300=99.00 total=99\n",
					    ten_seconds));
}

/* A policy that reads the test's files. */
static struct policy *load_policy(const char *settings, struct error *error)
{
	struct config *config = make_config(settings, error);
	struct policy *policy = calloc(1, sizeof(*policy));

	assert_non_null(config);
	assert_non_null(policy);
	policy->kind = &policy_load;
	policy->name = strdup("p");
	policy->verdict = ICP_OP_DENIED;
	if (policy_load_create(policy, config->policies[0], proc, error)) {
		policy_free(policy);
		policy = NULL;
	}
	config_free(config);
	return policy;
}

static struct policy *good_policy(const char *settings)
{
	struct error error;
	struct policy *policy = load_policy(settings, &error);

	if (!policy)
		fail_msg("%s", error.text);
	return policy;
}

static enum icp_opcode look(const struct policy *policy)
{
	policy_load_update(policy);
	return ask_host(policy);
}

TEST(above_a_number)
{
	struct policy *policy;

	write_load("2.51");
	policy = good_policy("above = 2.5");
	assert_int_equal(policy->kind->basis, POLICY_BASIS_HOST);
	assert_int_equal(ask_host(policy), ICP_OP_DENIED);
	write_load("2.50");
	assert_int_equal(ask_host(policy), ICP_OP_DENIED);
	assert_int_equal(look(policy), NOTHING);
	write_load("102.50");
	assert_int_equal(look(policy), ICP_OP_DENIED);
	policy->negate = true;
	assert_int_equal(look(policy), NOTHING);
	write_load("0.00");
	assert_int_equal(look(policy), ICP_OP_DENIED);
	policy_free(policy);
}

/* Between the two numbers, the state survives a reload with the same numbers. */
TEST(inheritance)
{
	static const struct {
		const char *settings, *minute;
		enum icp_opcode expected;
	} cases[] = {
		{ "above = 4 below = 2", "3.00", ICP_OP_DENIED },
		{ "above = 4 below = 2", "1.99", ICP_OP_INVALID },
		{ "above = 4 below = 2.5", "3.00", ICP_OP_INVALID },
		{ "above = 3.5 below = 2", "3.00", ICP_OP_INVALID },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy *former, *policy;

		write_load("4.01");
		former = good_policy("above = 4 below = 2");
		write_load(cases[i].minute);
		policy = good_policy(cases[i].settings);
		assert_int_equal(ask_host(policy), ICP_OP_INVALID);
		policy_load.inherit(policy, former);
		assert_int_equal(ask_host(policy), cases[i].expected);
		policy_free(former);
		policy_free(policy);
	}
}

TEST(until_it_is_below)
{
	struct policy *policy;

	write_load("3.00");
	policy = good_policy("above = 4 below = 2");
	assert_int_equal(ask_host(policy), NOTHING);
	write_load("4.01");
	assert_int_equal(look(policy), ICP_OP_DENIED);
	write_load("2.01");
	assert_int_equal(look(policy), ICP_OP_DENIED);
	write_load("2.00");
	assert_int_equal(look(policy), NOTHING);
	write_load("4.00");
	assert_int_equal(look(policy), NOTHING);
	policy_free(policy);
}

TEST(a_pressure)
{
	struct policy *policy;

	write_load("99");
	write_pressure("9.99");
	policy = good_policy("pressure = io above = 10");
	assert_int_equal(ask_host(policy), NOTHING);
	write_pressure("10.01");
	assert_int_equal(look(policy), ICP_OP_DENIED);
	policy_free(policy);
}

TEST(unreadable_files_change_nothing)
{
	struct policy *policy;

	write_load("5.00");
	policy = good_policy("above = 4");
	assert_state(policy, "high", "/tmp/*/loadavg: 5; high above 4, until 4");
	remove_file("loadavg");
	assert_int_equal(look(policy), ICP_OP_DENIED);
	assert_state(policy, "high", "*/loadavg cannot be read: No such file*; last 5");
	write_proc("loadavg", "");
	assert_int_equal(look(policy), ICP_OP_DENIED);
	write_proc("loadavg", "x 1 1\n");
	assert_int_equal(look(policy), ICP_OP_DENIED);
	write_load("3.00");
	assert_int_equal(look(policy), NOTHING);
	assert_state(policy, "normal", "*/loadavg: 3; high above 4, until 4");
	policy_free(policy);
}

TEST(changes_are_reported)
{
	struct witness witness;
	struct policy *policy;

	write_load("1.00");
	policy = good_policy("above = 4 interval = 10ms");
	witness_start(&witness, policy);
	write_load("5.00");
	witness_wait(&witness, 1);
	assert_ptr_equal(witness.policy, policy);
	assert_int_equal(witness.said, ICP_OP_DENIED);
	write_load("1.00");
	witness_wait(&witness, 2);
	assert_int_equal(witness.said, NOTHING);
	policy_free(policy);
	event_base_free(witness.base);
}

/* The host's own files. */
TEST(the_real_files)
{
	struct policy *policy = make_policy("kind = load verdict = miss above = 0 not = true");

	policy_free(policy);
	policy = make_policy("kind = load verdict = miss above = 1000000");
	assert_int_equal(ask_host(policy), NOTHING);
	policy_free(policy);
}

TEST(configuration_errors)
{
	struct error error;

	assert_policy_error("kind = load verdict = hit",
			    "c:1: policy 'p': 'above' is missing (the load average, or with "
			    "'pressure' the percentage, above which the policy matches)");
	assert_policy_error("kind = load above = 1",
			    "c:1: policy 'p': 'verdict' is missing; it can be hit, miss, "
			    "miss_nofetch, denied or err");
	assert_policy_error("kind = load verdict = hit\nabove = lots",
			    "c:2: policy 'p': above: 'lots' is not a number from 0 to 1e+06, such "
			    "as 0.75");
	assert_policy_error("kind = load verdict = hit above = 2\nbelow = 2.5",
			    "c:2: policy 'p': below: '2.5' is not a number from 0 to 2, such as "
			    "0.75");
	assert_policy_error("kind = load verdict = hit above = 2\npressure = disk",
			    "c:2: policy 'p': pressure: unknown resource 'disk'; it can be cpu, "
			    "memory or io");
	assert_policy_error("kind = load verdict = hit pressure = cpu\nabove = 101",
			    "c:2: policy 'p': above: '101' is not a number from 0 to 100, such as "
			    "0.75");
	assert_policy_error("kind = load verdict = hit above = 2\ninterval = 1",
			    "c:2: policy 'p': interval: '1' is not a duration from 10ms to 1h; "
			    "write a number and ms, s, m or h");
	remove_file("pressure/io");
	assert_null(load_policy("above = 2 pressure = io", &error));
	assert_string_equal(
		error.text,
		formatted("c:1: policy 'p': cannot read %s/pressure/io: No such file or directory; "
			  "a kernel with PSI has it, some of them when booted with psi=1",
			  proc));
}
