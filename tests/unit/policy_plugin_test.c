// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind plugin: shared objects of tests/plugins, and the example of scripts/plugins. */
#include <libgen.h>
#include <sys/stat.h>

#include "support/policies.h"

#define PATH_SIZE 512

static char plugins[] =
	"/tmp/xdp-icp-test-XXXXXX"; /* owned by root, unlike perhaps the build directory */

static void copy_file(const char *from, const char *to)
{
	assert_int_equal(system(formatted("cp %s %s", from, to)), 0);
}

/* The settings of a policy whose plugin is that file. */
static const char *settings_of(const char *file, const char *settings)
{
	return formatted("kind = plugin file = '%s/%s' %s", plugins, file, settings);
}

static struct policy *make_plugin(const char *file, const char *settings)
{
	return make_policy(settings_of(file, settings));
}

static void what_it_says(const char *file)
{
	struct policy *policy = make_plugin(file, "arguments = { 'me' }");

	assert_state(policy, "loaded", "");
	assert_said(policy, "x/2", ICP_OP_HIT);
	assert_said(policy, "x/3", ICP_OP_MISS);
	assert_said(policy, "x/4", ICP_OP_ERR);
	assert_said(policy, "x/21", ICP_OP_MISS_NOFETCH);
	assert_said(policy, "x/22", ICP_OP_DENIED);
	assert_said(policy, "x/", NOTHING);
	assert_said(policy, "me", ICP_OP_HIT);
	assert_said(policy, "192.0.2.4", ICP_OP_DENIED);
	assert_said(policy, "2001:db8::6", ICP_OP_ERR);
	/* Not a verdict; nor is HIT_OBJ. */
	assert_gave_up(policy, "x/99");
	assert_gave_up(policy, "x/23");
	assert_state(policy, "loaded", "the last warning, 20*: *check() returned 23, which is*");
	policy_free(policy);
}

TEST(verdicts)
{
	what_it_says("echo.so");
}

TEST(verdicts_of_cxx_plugins)
{
	what_it_says("echo_cxx.so");
}

TEST(with_not)
{
	struct policy *policy = make_plugin("echo.so", "not = true verdict = denied cost = 7");

	assert_said(policy, "x/2", NOTHING);
	assert_said(policy, "x/", ICP_OP_DENIED);
	assert_int_equal(policy->cost, 7);
	policy_free(policy);
}

static struct chain_decision decide(const char *file, const char *settings)
{
	struct chain_decision decision;
	struct chain *chain = make_chain(formatted("policy p { %s }", settings_of(file, settings)));

	decision = decide_url(chain, "http://e.org/2");
	chain_free(chain);
	return decision;
}

TEST(what_may_be_remembered)
{
	struct chain_decision decision = decide("echo.so", "");

	assert_true(decision.cacheable);
	assert_true(decision.by_source);
	assert_int_equal(decision.expires, 90 * 1000000000ull);

	decision = decide("share.so", "arguments = { 100 }");
	assert_int_equal(decision.verdict.opcode, ICP_OP_HIT);
	assert_true(decision.cacheable);
	assert_false(decision.by_source);
	assert_int_equal(decision.expires, 0);

	assert_false(decide("other.so", "").cacheable);
}

TEST(separate_states_of_one_file)
{
	struct policy *one = make_plugin("echo.so", "arguments = { 'one' }");
	struct policy *two = make_plugin("echo.so", "arguments = { 'two' }");

	assert_said(one, "one", ICP_OP_HIT);
	assert_said(one, "two", NOTHING);
	policy_free(one);
	assert_said(two, "two", ICP_OP_HIT);
	policy_free(two);
}

TEST(a_file_that_was_replaced)
{
	char path[64], new[64];
	struct policy *before, *after, *again;
	char settings[128];

	snprintf(path, sizeof(path), "%s/a.so", plugins);
	snprintf(new, sizeof(new), "%s/b.so", plugins);
	snprintf(settings, sizeof(settings), "kind = plugin file = '%s'", path);
	copy_file(formatted("%s/echo.so", plugins), path);
	before = make_policy(settings);
	again = make_policy(settings);
	policy_free(before);
	assert_said(again, "x/2", ICP_OP_HIT);
	copy_file(formatted("%s/other.so", plugins), new);
	assert_int_equal(rename(new, path), 0);
	/* As at a reload: the old one is still loaded. */
	after = make_policy(settings);
	assert_said(after, "x/2", NOTHING);
	assert_said(again, "x/2", ICP_OP_HIT);
	policy_free(again);
	policy_free(after);
}

TEST(share)
{
	static const unsigned int percents[] = { 0, 25, 75, 100 };
	unsigned int taken = 0, raised;
	char url[64], sibling[64];
	struct policy *parts[4];

	for (int i = 0; i < 4; i++) {
		parts[i] = make_plugin("share.so", formatted("arguments = { %u }", percents[i]));
	}
	for (int i = 0; i < 4000; i++) {
		snprintf(url, sizeof(url), "http://e.org/%d/a", i);
		snprintf(sibling, sizeof(sibling), "http://e.org/%d/b?c=/d", i);
		raised = 0;
		for (int j = 0; j < 4; j++) {
			bool hit = ask_url(parts[j], url) == ICP_OP_HIT;

			assert_said(parts[j], sibling, hit ? ICP_OP_HIT : NOTHING);
			/* What a smaller share has, a larger one has too. */
			assert_true(hit || !raised);
			raised += hit;
		}
		assert_in_range(raised, 1, 3);
		taken += raised - 1;
	}
	assert_in_range(taken, 3800, 4200);
	for (int i = 0; i < 4; i++)
		policy_free(parts[i]);
}

/* Expect this error after the file's name. */
static void assert_plugin_error(const char *file, const char *settings, const char *expected)
{
	assert_policy_error(
		settings_of(file, settings),
		formatted("c:1: policy 'p': file: '%s/%s' %s", plugins, file, expected));
}

TEST(unsafe_paths)
{
	char directory[48], path[64], settings[128];

	if (geteuid() != 0)
		skip();
	snprintf(directory, sizeof(directory), "%s/directory", plugins);
	assert_int_equal(mkdir(directory, 0755), 0);
	snprintf(path, sizeof(path), "%s/a.so", directory);
	snprintf(settings, sizeof(settings), "kind = plugin file = '%s'", path);
	copy_file(formatted("%s/echo.so", plugins), path);
	for (int i = 0; i < 6; i++) {
		const char *what = i < 3 ? path : directory;
		const unsigned int modes[] = { 0755, 0775, 0757 };
		char reason[192];

		policy_free(make_policy(settings));
		if (i % 3)
			snprintf(reason, sizeof(reason),
				 "can be written by its group or by others (mode %04o); `chmod "
				 "go-w %s`",
				 modes[i % 3], what);
		else
			snprintf(reason, sizeof(reason),
				 "belongs to uid 65534, who could change it; `chown root %s`",
				 what);
		assert_int_equal(chmod(what, modes[i % 3]), 0);
		assert_int_equal(chown(what, i % 3 ? 0 : 65534, 0), 0);
		assert_policy_error(settings,
				    formatted("c:1: policy 'p': file: '%s' is not safe: %s %s",
					      path, what, reason));
		assert_int_equal(chown(what, 0, 0), 0);
		assert_int_equal(chmod(what, 0755), 0);
	}
	/* As /tmp is. */
	assert_int_equal(chmod(directory, 01777), 0);
	policy_free(make_policy(settings));
}

TEST(not_a_shared_object)
{
	char path[LIST_PATH_SIZE], content[4096] = "#!/bin/sh\n";

	write_list(path, content, sizeof(content));
	assert_policy_error(
		formatted("kind = plugin file = '%s'", path),
		formatted("c:1: policy 'p': file: '%s' cannot be loaded: invalid ELF header",
			  path));
	unlink(path);
}

TEST(configuration_errors)
{
	assert_policy_error("kind = plugin",
			    "c:1: policy 'p': 'file' is missing (the absolute path "
			    "of the shared object)");
	assert_policy_error(
		"kind = plugin\nfile = 'x.so'",
		"c:2: policy 'p': file: 'x.so' is not an absolute path; write it from the "
		"root on");
	assert_plugin_error("nowhere.so", "", "cannot be loaded: No such file or directory");
	assert_plugin_error(".", "", "cannot be loaded: not a regular file");
	assert_plugin_error(
		"stranger.so", "",
		"is not a plugin: it has no symbol 'xdp_icp_plugin'; see xdp_icp_plugin.h");
	assert_plugin_error(
		"old_abi.so", "",
		"has ABI version 4711, this daemon has 1; compile it with this version's "
		"xdp_icp_plugin.h");
	assert_plugin_error("no_check.so", "", "is not a plugin: 'check' or 'basis' is not set");
	assert_policy_error(settings_of("other.so", "\narguments = { 1 }"),
			    "c:2: policy 'p': arguments: the plugin takes none");
	assert_policy_error(settings_of("echo.so", "\narguments = { 1, 2, 3 }"),
			    "c:2: policy 'p': arguments: 3 arguments, the last of them '3'");
	assert_policy_error(
		settings_of("share.so", "\narguments = { 101 }"),
		"c:2: policy 'p': arguments: give one argument, PERCENT, a number from 0 to 100");
}

FIXTURE(copy_plugins)
{
	char program[PATH_SIZE];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	const char *built, *command;

	if (length < 0 || !mkdtemp(plugins))
		return -1;
	program[length] = '\0';
	built = dirname(program);
	command = formatted("cp %s/plugins/*.so %s/../plugins/*.so %s", built, built, plugins);
	return system(command) ? -1 : 0;
}

FIXTURE(remove_plugins)
{
	return system(formatted("rm -r %s", plugins)) ? -1 : 0;
}

TEST_ALL(copy_plugins, remove_plugins)
