// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/chains.h"

#include <fnmatch.h>
#include <time.h>

struct chain *try_chain(const char *text, struct error *error)
{
	struct config *config;
	struct chain *chain;
	int result;

	strcpy(error->text, "(no error)");
	if (config_parse_text(text, strlen(text), "c", &config, error))
		return NULL;
	result = chain_create(config, &chain, error);
	config_free(config);
	return result ? NULL : chain;
}

struct chain *make_chain(const char *text)
{
	struct error error;
	struct chain *chain = try_chain(text, &error);

	if (!chain)
		fail_msg("%s", error.text);
	return chain;
}

struct chain_decision decide_url(const struct chain *chain, const char *url)
{
	struct chain_decision decision = chain_initial_decision(chain);
	struct query query = { .url = url, .length = strlen(url) };
	size_t rank = 0;

	while (rank < chain_count(chain) &&
	       !chain_apply(chain, rank, policy_match(chain_policy(chain, rank), &query), 0,
			    &decision))
		rank++;
	return decision;
}

struct compiled *compile(const struct chain *chain)
{
	struct compiled *compiled;
	struct error error;

	assert_int_equal(chain_compile(chain, &compiled, &error), 0);
	return compiled;
}

void assert_chain_error(const char *text, const char *expected)
{
	struct error error;
	struct chain *chain = try_chain(text, &error);

	chain_free(chain);
	assert_string_equal(error.text, expected);
	assert_null(chain);
}

void write_list(char path[LIST_PATH_SIZE], const void *content, size_t size)
{
	int file;

	strcpy(path, "/tmp/xdp-icp-test-XXXXXX");
	file = mkstemp(path);
	assert_true(file >= 0);
	assert_int_equal(write(file, content, size), size);
	close(file);
}

void assert_state(const struct policy *policy, const char *name, const char *why)
{
	struct policy_state state;

	assert_true(policy_tell_state(policy, &state));
	if (fnmatch(name, state.name, 0) != 0 || fnmatch(why, state.why, 0) != 0)
		fail_msg("'%s (%s)' does not fit '%s (%s)'", state.name, state.why, name, why);
	assert_in_range(state.since, time(NULL) - 3600, time(NULL));
}
