// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl check: the reply that a query would get, without sending one. */
#include <stdio.h>

#include "icpctl/icpctl.h"

#define OPTION_SOURCE 0x200

struct input {
	struct icpctl *ctl;
	const char *source;
	struct icpctl_words urls;
};

static const struct argp_option options[] = {
	{ "source", OPTION_SOURCE, "ADDR", 0,
	  "as if the query came from this IPv4 or IPv6 address (::1)" },
	{ 0 },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	if (key != OPTION_SOURCE)
		return icpctl_parse_words(key, state, input->ctl, NULL, &input->urls);
	input->source = argument;
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "URL...",
	.doc = "Prints for each URL the verdict that a query would get now, the rule or policy "
	       "that it comes from, and who would reply: the kernel or the daemon. No query is "
	       "sent.",
};

/* `source`: the address that the daemon has assumed, or NULL. */
static void print_result(const json_t *result, const char *source)
{
	const char *policy = json_string_value(json_object_get(result, "policy"));
	const json_t *rule = json_object_get(result, "rule");
	const char *why = json_string_value(json_object_get(result, "why"));
	const char *explanation = json_string_value(json_object_get(result, "explanation"));

	if (json_is_null(json_object_get(result, "verdict"))) {
		printf("no reply  %s  (%s)\n", icpctl_string(result, "url"),
		       icpctl_string(result, "why"));
		return;
	}
	printf("%s  %s  ", icpctl_string(result, "verdict"), icpctl_string(result, "url"));
	if (rule)
		printf("rule %s", json_is_string(rule) ? json_string_value(rule) : "(gone)");
	else if (policy)
		printf(explanation ? "policy %s (%s)" : "policy %s", policy, explanation);
	else if (json_object_get(result, "policy"))
		printf("default");
	else if (json_is_true(json_object_get(result, "drain")))
		printf("drain");
	else
		printf("no policy is asked");
	printf(", answered by the %s", icpctl_string(result, "by"));
	if (why && *why)
		printf(" (%s)", why);
	if (source && json_is_true(json_object_get(result, "by_source")))
		printf(", for a query from %s, see --source", source);
	putchar('\n');
}

int icpctl_check(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	json_t *body, *reply;
	const json_t *result;
	size_t i;
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	if (status)
		return status;
	body = json_pack("{s:o, s:o*}", "urls", icpctl_word_list(input.urls.argv, input.urls.argc),
			 "source", icpctl_word(input.source));
	status = icpctl_ask(ctl, "POST", "/v1/check", icpctl_must(body), &reply, NULL);
	if (status == 0 && ctl->json)
		icpctl_print_json(reply);
	else if (status == 0)
		json_array_foreach (json_object_get(reply, "results"), i, result)
			print_result(result, input.source ? NULL : icpctl_string(reply, "source"));
	json_decref(reply);
	return status;
}
