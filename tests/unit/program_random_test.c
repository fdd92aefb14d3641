// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random chains, put into the kernel by the daemon's own code, against an evaluation policy by
 * policy; and URLs of random bytes.
 */
#include "support/program_check.h"

TEST_ALL(open_program, close_program)

struct random_entry {
	char text[264];
	size_t length;
	enum icp_opcode verdict;
};

struct random_policy {
	enum {
		PREFIX,
		EXACT,
		SUFFIX,
		HOST,
		SUBSTRING,
		OPAQUE
	} kind;
	int cost;
	bool negate;
	enum icp_opcode verdict; /* of `not` */
	size_t count;
	struct random_entry entries[16];
};

struct random_chain {
	size_t count;
	struct random_policy policies[8];
	enum icp_opcode default_verdict;
};

static size_t random_url(uint64_t *seed, char url[264])
{
	static const char *const begins[] = { "", "http://a.b/", "http://a.b/aa/b",
					      "http://a.bb/" };
	size_t length;

	strcpy(url, begins[random_below(seed, 4)]);
	length = strlen(url) + random_below(seed, 12);
	if (random_below(seed, 12) == 0)
		length = 246 + random_below(seed, 14);
	if (length == 0)
		length = 1;
	for (size_t i = strlen(url); i < length; i++)
		url[i] = random_below(seed, 7) ? 'a' : "b/"[random_below(seed, 2)];
	url[length] = '\0';
	return length;
}

/* The host of such a URL: what precedes the first slash behind http://, or the first of all. */
static size_t host_of(const char *url, const char **host)
{
	*host = strncmp(url, "http://", 7) ? url : url + 7;
	return strcspn(*host, "/");
}

/* The end of a URL, or its host or a part of that: what a policy of that kind looks for. */
static void make_entry(uint64_t *seed, const struct random_policy *policy, char url[264])
{
	const char *host, *from = url;
	size_t length = strlen(url);

	if (policy->kind == SUFFIX && random_below(seed, 2)) {
		from += random_below(seed, length);
		length = strlen(from);
	} else if (policy->kind == HOST) {
		length = host_of(url, &host);
		from = length ? host : "a.b";
		length = length ? length : 3;
		if (length > 2 && from[1] == '.' && random_below(seed, 2)) {
			from++; /* the domain */
			length--;
		}
	}
	memmove(url, from, length);
	url[length] = '\0';
}

/* How well an entry matches a URL; 0: it does not. */
static size_t fits(const struct random_policy *policy, const struct random_entry *entry,
		   const char *url, size_t length)
{
	const char *host;
	size_t host_length = host_of(url, &host);

	switch (policy->kind) {
	case EXACT:
		return strcmp(entry->text, url) == 0;
	case SUBSTRING:
		return strstr(url, entry->text) != NULL;
	case SUFFIX:
		if (entry->length > length ||
		    strcmp(entry->text, url + length - entry->length) != 0)
			return 0;
		return entry->length + 1;
	case HOST:
		if (host_length == entry->length && strncmp(entry->text, host, host_length) == 0)
			return SIZE_MAX;
		if (entry->text[0] != '.')
			return 0;
		if (host_length == entry->length - 1 &&
		    strncmp(entry->text + 1, host, host_length) == 0)
			return entry->length;
		if (host_length < entry->length ||
		    strncmp(entry->text, host + host_length - entry->length, entry->length) != 0)
			return 0;
		return entry->length;
	default:
		return strncmp(entry->text, url, entry->length) == 0 ? entry->length + 1 : 0;
	}
}

static bool policy_has(const struct random_policy *policy, const char *url)
{
	for (size_t i = 0; i < policy->count; i++)
		if (strcmp(policy->entries[i].text, url) == 0)
			return true;
	return false;
}

static void random_policy(uint64_t *seed, struct random_policy *policy)
{
	*policy = (struct random_policy){ .kind = random_below(seed, 4), .cost = ICP_NO_COST };
	if (random_below(seed, 6) == 0)
		policy->kind = SUBSTRING;
	if (random_below(seed, 8) == 0)
		policy->kind = OPAQUE;
	if (random_below(seed, 2))
		policy->cost = random_below(seed, 65536);
	policy->negate = random_below(seed, 4) == 0;
	policy->verdict = random_verdict(seed);
	for (uint32_t i = 1 + random_below(seed, 15); i; i--) {
		struct random_entry *entry = &policy->entries[policy->count];
		char url[264];

		random_url(seed, url);
		make_entry(seed, policy, url);
		if ((policy->kind == PREFIX || policy->kind == SUFFIX) &&
		    random_below(seed, 40) == 0)
			url[0] = '\0';
		if (policy_has(policy, url))
			continue;
		strcpy(entry->text, url);
		entry->length = strlen(url);
		entry->verdict = random_verdict(seed);
		policy->count++;
	}
}

static const char *const verdict_names[] = {
	[ICP_OP_HIT] = "hit",	    [ICP_OP_MISS] = "miss",
	[ICP_OP_ERR] = "err",	    [ICP_OP_MISS_NOFETCH] = "miss_nofetch",
	[ICP_OP_DENIED] = "denied",
};

static const char *const kind_names[] = {
	[PREFIX] = "prefix", [EXACT] = "exact",		[SUFFIX] = "suffix",
	[HOST] = "host",     [SUBSTRING] = "substring", [OPAQUE] = "regex", /* with a look-ahead */
};

static struct chain *make_random_chain(uint64_t *seed, struct random_chain *random)
{
	char *text = NULL, paths[8][LIST_PATH_SIZE];
	struct chain *chain;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	*random = (struct random_chain){ .count = random_below(seed, 8),
					 .default_verdict = random_verdict(seed) };
	fprintf(stream, "default = %s\n", verdict_names[random->default_verdict]);
	/* The file names the last policy first: the chain has them by their names. */
	for (size_t i = random->count; i-- > 0;) {
		struct random_policy *policy = &random->policies[i];
		char *list = NULL;
		size_t list_size;
		FILE *lines = open_memstream(&list, &list_size);

		random_policy(seed, policy);
		for (size_t j = 0; j < policy->count; j++) {
			fprintf(lines, "%s%s\t%s\n", policy->kind == OPAQUE ? "(?=)" : "",
				policy->entries[j].text, verdict_names[policy->entries[j].verdict]);
		}
		fclose(lines);
		write_list(paths[i], list, list_size);
		free(list);
		fprintf(stream, "policy p%zu { kind = %s file = '%s'", i, kind_names[policy->kind],
			paths[i]);
		if (policy->cost != ICP_NO_COST)
			fprintf(stream, " cost = %d", policy->cost);
		if (policy->negate)
			fprintf(stream, " not = true verdict = %s", verdict_names[policy->verdict]);
		fprintf(stream, " }\n");
	}
	fclose(stream);
	chain = make_chain(text);
	free(text);
	for (size_t i = 0; i < random->count; i++)
		unlink(paths[i]);
	return chain;
}

/* Policy by policy, entry by entry; what an opaque policy says is left open. */
static void decide_slowly(const struct random_chain *random, const char *url, size_t length,
			  struct datagram *datagram)
{
	datagram->kernel = ICP_COUNT_ANSWERED;
	if (length > 255) {
		datagram->kernel = ICP_COUNT_PASSED_LONG;
		return;
	}
	for (size_t i = 0; i < random->count; i++) {
		const struct random_policy *policy = &random->policies[i];
		const struct random_entry *longest = NULL;
		const char *host;
		size_t best = 0;

		/* The longest URL is too long a host. */
		if (policy->kind == OPAQUE ||
		    (policy->kind == HOST && host_of(url, &host) == 255)) {
			datagram->kernel = ICP_COUNT_PASSED_HORIZON;
			return;
		}
		for (size_t j = 0; j < policy->count; j++) {
			const struct random_entry *entry = &policy->entries[j];
			size_t well = fits(policy, entry, url, length);

			if (well > best)
				longest = entry;
			best = well > best ? well : best;
		}
		if (policy->negate ? !longest : longest != NULL) {
			datagram->verdict = policy->negate ? policy->verdict : longest->verdict;
			datagram->tells_cost = policy->cost != ICP_NO_COST &&
					       (datagram->options & ICP_FLAG_SRC_RTT);
			datagram->cost = policy->cost;
			return;
		}
	}
	datagram->verdict = random->default_verdict;
}

/* Bytes on both sides of each border, and many that mean nothing. */
static uint8_t random_byte(uint64_t *seed, uint32_t strange)
{
	static const uint8_t borders[] = { 0x00, 0x01, 0x08, 0x09, 0x0d, 0x0e, 0x1f,
					   0x20, 0x21, 0x7f, 0x80, 0xa0, 0xa1, 0xff };

	if (random_below(seed, 256) < strange)
		return borders[random_below(seed, sizeof(borders))];
	return 'a' + random_below(seed, 26);
}

#define RANDOM_MESSAGES 20000

/* Byte by byte, what a URL of any bytes is: in any frame, after any other. */
TEST(random_bytes)
{
	unsigned int outcomes[3] = { 0 };
	struct envelope envelopes[16];
	size_t count = various_envelopes(envelopes);
	uint64_t seed = 1147;

	prepare("default = hit", false);
	for (int i = 0; i < RANDOM_MESSAGES; i++) {
		struct envelope *envelope = &envelopes[random_below(&seed, count)];
		uint32_t length = 1 + random_below(&seed, random_below(&seed, 2) ? 40 : 255);
		uint32_t strange = random_below(&seed, 4) ? random_below(&seed, 6) : 200;
		struct datagram datagram = { .name = "random bytes", .url_size = length + 1 };
		bool white_space = false, nul = false;
		char url[257];

		for (uint32_t j = 0; j < length; j++) {
			uint8_t byte = random_byte(&seed, strange);

			url[j] = byte;
			nul |= byte == 0;
			white_space |= byte == ' ' || (byte >= '\t' && byte <= '\r');
		}
		url[length] = random_below(&seed, 20) ? 0 : random_byte(&seed, 200);
		nul |= url[length] != 0;
		datagram.url = url;
		datagram.kernel = nul ? ICP_COUNT_PASSED_MALFORMED : ICP_COUNT_ANSWERED;
		datagram.verdict = white_space ? ICP_OP_ERR : ICP_OP_HIT;
		envelope->padding = random_below(&seed, 2) ? random_below(&seed, 20) : 0;
		check_in(envelope, &datagram);
		outcomes[nul ? 0 : white_space ? 1 : 2]++;
	}
	for (int i = 0; i < 3; i++)
		assert_true(outcomes[i] > RANDOM_MESSAGES / 20);
}

static const struct in6_addr no_source = { 0 };

#define RANDOM_CHAINS 200
#define RANDOM_URLS 100

TEST(random_chains)
{
	static struct random_chain random;
	uint64_t counters[ICP_COUNTER_MAX], kernels[ICP_COUNTER_MAX] = { 0 };
	struct envelope envelopes[16];
	size_t count = various_envelopes(envelopes), answered = 0, horizon = 0;
	struct kernel *kernel;
	uint64_t seed = 4711;
	struct error error;

	prepare("default = hit", false);
	program_empty_map(program.skeleton->maps.rules);
	kernel = program_kernel(&program);
	for (int round = 0; round < RANDOM_CHAINS; round++) {
		struct chain *chain = make_random_chain(&seed, &random);
		struct compiled *compiled = compile(chain);

		if (set_chain(kernel, compiled, false, LEASE, NULL, &error))
			fail_msg("%s", error.text);
		kernel_renew_lease(kernel, chain_gate(chain));
		for (int i = 0; i < RANDOM_URLS; i++) {
			char url[264];
			size_t length = random_url(&seed, url);
			struct datagram datagram = { .name = url,
						     .url = url,
						     .url_size = length + 1 };
			struct kernel_reason reason;
			struct decision decision;

			if (random_below(&seed, 2))
				datagram.options = ICP_FLAG_SRC_RTT;
			decide_slowly(&random, url, length, &datagram);
			check_in(&envelopes[random_below(&seed, count)], &datagram);
			answered += datagram.kernel == ICP_COUNT_ANSWERED;
			horizon += datagram.kernel == ICP_COUNT_PASSED_HORIZON;
			/* `icpctl check` says the same. */
			assert_int_equal(kernel_explain(kernel, url, length, &no_source, &decision,
							&reason, &error),
					 0);
			assert_int_equal(decision.counter, datagram.kernel);
			if (datagram.kernel == ICP_COUNT_ANSWERED)
				assert_int_equal(decision.verdict.opcode, datagram.verdict);
		}
		compiled_free(compiled);
		chain_free(chain);
	}
	program_counters(&program, counters);
	assert_int_equal(kernel_counters(kernel, kernels), 0);
	assert_memory_equal(kernels, counters, sizeof(counters));
	kernel_close(kernel);
	/* The test would be of no use if one of both hardly happened. */
	assert_true(answered > RANDOM_CHAINS * RANDOM_URLS / 4);
	assert_true(horizon > RANDOM_CHAINS * RANDOM_URLS / 20);
}
