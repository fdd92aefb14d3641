// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/policies.h"

#include <arpa/inet.h>

static char file_path[LIST_PATH_SIZE]; /* of the last file, which is removed again */

struct config *make_config(const char *settings, struct error *error)
{
	char text[4096];
	struct config *config;

	snprintf(text, sizeof(text), "policy p { %s }", settings);
	return config_parse_text(text, strlen(text), "c", &config, error) ? NULL : config;
}

struct policy *try_policy(const char *settings, struct error *error)
{
	struct config *config;
	struct policy *policy = NULL;

	strcpy(error->text, "(no error)");
	config = make_config(settings, error);
	if (config && policy_create(config->policies[0], &policy, error))
		policy = NULL;
	config_free(config);
	return policy;
}

struct policy *make_policy(const char *settings)
{
	struct error error;
	struct policy *policy = try_policy(settings, &error);

	if (!policy)
		fail_msg("%s", error.text);
	return policy;
}

void assert_policy_error(const char *settings, const char *expected)
{
	struct error error;
	struct policy *policy = try_policy(settings, &error);

	policy_free(policy);
	assert_string_equal(error.text, expected);
	assert_null(policy);
}

static struct policy *try_file(const char *settings, const void *content, size_t size,
			       struct error *error)
{
	struct policy *policy;

	write_list(file_path, content, size);
	policy = try_policy(formatted("%s file = '%s'", settings, file_path), error);
	unlink(file_path);
	return policy;
}

struct policy *make_file_policy(const char *settings, const void *content, size_t size)
{
	struct error error;
	struct policy *policy = try_file(settings, content, size, &error);

	if (!policy)
		fail_msg("%s", error.text);
	return policy;
}

void assert_file_error(const char *settings, const void *content, size_t size, const char *expected)
{
	struct error error;
	struct policy *policy = try_file(settings, content, size, &error);
	char full[2048], *end = full;

	policy_free(policy);
	while (*expected) {
		if (strncmp(expected, "FILE", 4) == 0) {
			end = stpcpy(end, file_path);
			expected += 4;
		} else {
			*end++ = *expected++;
		}
	}
	*end = '\0';
	assert_string_equal(error.text, full);
	assert_null(policy);
}

static char top[LIST_PATH_SIZE];

int make_top(void **state)
{
	strcpy(top, "/tmp/xdp-icp-test-XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

int remove_top(void **state)
{
	return rmdir(top);
}

const char *below(const char *name)
{
	static char paths[4][96];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", top, name);
	return path;
}

enum icp_opcode ask_url(const struct policy *policy, const char *url)
{
	struct query query = { .url = url, .length = strlen(url) };

	return policy_match(policy, &query).verdict;
}

enum icp_opcode ask_host(const struct policy *policy)
{
	return ask_url(policy, "http://e.org/");
}

static struct policy_match ask_somehow(const struct policy *policy, const char *url)
{
	struct query query = { .url = url, .length = strlen(url) };

	inet_pton(AF_INET6, strchr(url, '6') ? "2001:db8::6" : "::ffff:192.0.2.4", &query.source);
	return policy_match(policy, &query);
}

void assert_said(const struct policy *policy, const char *url, enum icp_opcode verdict)
{
	struct policy_match match = ask_somehow(policy, url);

	assert_int_equal(match.verdict, verdict);
	assert_false(match.gave_up);
}

void assert_gave_up(const struct policy *policy, const char *url)
{
	struct policy_match match = ask_somehow(policy, url);

	assert_int_equal(match.verdict, NOTHING);
	assert_true(match.gave_up);
}

void witness_changed(void *context, struct policy *policy)
{
	struct witness *witness = context;

	witness->told++;
	witness->policy = policy;
	witness->said = ask_host(policy);
	event_base_loopbreak(witness->base);
}

void witness_start(struct witness *witness, struct policy *policy)
{
	struct error error;

	*witness = (struct witness){ .base = event_base_new() };
	assert_non_null(witness->base);
	if (policy->kind->start(policy, witness->base, witness_changed, witness, &error))
		fail_msg("%s", error.text);
}

void witness_wait(struct witness *witness, unsigned int count)
{
	struct timeval for_ever = { .tv_sec = 60 };

	event_base_loopexit(witness->base, &for_ever);
	while (witness->told < count && !event_base_got_exit(witness->base))
		event_base_dispatch(witness->base);
	assert_int_equal(witness->told, count);
}
