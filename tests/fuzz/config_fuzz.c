// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A configuration: read, made into a chain, asked and compiled. Each error must be one line with
 * a place. Policies that name a file are not made: a fuzzer has no business in the file system.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chain/chain.h"
#include "chain/compile.h"

#define require(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

static bool names_a_file(const struct config *config)
{
	for (size_t i = 0; i < config->policy_count; i++)
		if (policy_spec_find(config->policies[i], "file"))
			return true;
	return false;
}

static void check_chain(const struct chain *chain)
{
	static const char *const urls[] = { "http://e.org/a", "http://e.org/admin/x.png", "x" };
	struct compiled *compiled;
	struct error error;

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct query query = { .url = urls[i], .length = strlen(urls[i]) };
		struct chain_decision decision = chain_initial_decision(chain);
		size_t rank = 0;

		while (rank < chain_count(chain) &&
		       !chain_apply(chain, rank, policy_match(chain_policy(chain, rank), &query), 0,
				    &decision))
			rank++;
		require(icp_is_verdict(decision.verdict.opcode));
		require(decision.verdict.cost >= ICP_NO_COST && decision.verdict.cost <= 65535);
	}
	require(chain_compile(chain, &compiled, &error) == 0);
	/* For the policies with `not` of a reading, the empty text. */
	require(compiled->count <= chain_text_count(chain) + URL_READINGS);
	compiled_free(compiled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error error = { "" };
	struct config *config;
	struct chain *chain;

	if (config_parse_text((const char *)data, size, "c", &config, &error)) {
		require(strncmp(error.text, "c:", 2) == 0);
		return 0;
	}
	require(config->listen_count > 0 && config->rules_max > 0);
	if (!names_a_file(config)) {
		if (chain_create(config, &chain, &error)) {
			require(strncmp(error.text, "c:", 2) == 0);
		} else {
			check_chain(chain);
			chain_free(chain);
		}
	}
	config_free(config);
	/* Whatever that was, the next text is read as if it were the first. */
	require(config_parse_text("mode = off", 10, "c", &config, &error) == 0);
	require(config->mode == CONFIG_MODE_OFF);
	config_free(config);
	return 0;
}
