// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl recent: what a policy of the kind recent knows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "icpctl/icpctl.h"
#include "lib/plural.h"

#define URLS_A_REQUEST 1000
#define KEYS_MAX 10000

struct input {
	struct icpctl *ctl;
	struct icpctl_words words;
	const char *count; /* NULL: not given */
};

/* The resource of the policy whose name is an argument, for free(). */
static char *resource_of(const struct input *input, const char *arguments)
{
	char *name = icpctl_encode(input->words.argv[1]);
	char *resource =
		icpctl_resource("/v1/recent/%s%s%s", name, *arguments ? "?limit=" : "", arguments);

	free(name);
	return resource;
}

/* --- list */

static void print_keys(const json_t *reply)
{
	json_int_t entries = icpctl_integer(reply, "entries");
	const json_t *keys = json_object_get(reply, "keys"), *key;
	size_t i;

	json_array_foreach (keys, i, key)
		printf("%6" JSON_INTEGER_FORMAT " s  %s\n", icpctl_integer(key, "age"),
		       icpctl_string(key, "key"));
	if ((size_t)entries > json_array_size(keys))
		printf("%zu of %" JSON_INTEGER_FORMAT " %s shown\n", json_array_size(keys), entries,
		       plural((size_t)entries, "key", "keys"));
}

static int run_list(const void *context)
{
	const struct input *input = context;
	char *resource = resource_of(input, input->count ? input->count : "");
	int status = icpctl_show(input->ctl, "GET", resource, NULL, print_keys);

	free(resource);
	return status;
}

/* --- changes */

/* Have the URLs added or removed; `counted` is the response's member with their number. */
static int change(const struct input *input, const char *member, const char *counted)
{
	char *resource = resource_of(input, "");
	json_int_t sum = 0;
	int status = ICPCTL_OK;
	json_t *reply;

	for (int i = 2; i < input->words.argc && status == ICPCTL_OK; i += URLS_A_REQUEST) {
		int left = input->words.argc - i;
		json_t *urls = icpctl_word_list(&input->words.argv[i],
						left < URLS_A_REQUEST ? left : URLS_A_REQUEST);

		status = icpctl_ask(input->ctl, "POST", resource,
				    icpctl_must(json_pack("{s:o}", member, urls)), &reply, NULL);
		sum += icpctl_integer(reply, counted);
		json_decref(reply);
	}
	free(resource);
	if (status == ICPCTL_OK && input->ctl->json) {
		reply = icpctl_must(json_pack("{s:b, s:I}", "ok", 1, counted, sum));
		icpctl_print_json(reply);
		json_decref(reply);
	}
	return status;
}

static int run_add(const void *context)
{
	return change(context, "add", "added");
}

static int run_del(const void *context)
{
	return change(context, "remove", "removed");
}

static int run_flush(const void *context)
{
	const struct input *input = context;
	char *resource = resource_of(input, "");
	int status = icpctl_tell(input->ctl, "DELETE", resource, NULL);

	free(resource);
	return status;
}

static const struct icpctl_action actions[] = {
	{ "list", " POLICY", 2, 2, run_list },
	{ "add", " POLICY URL...", 3, 1000000, run_add },
	{ "del", " POLICY URL...", 3, 1000000, run_del },
	{ "flush", " POLICY", 2, 2, run_flush },
	{ NULL },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;
	unsigned long number;

	if (key != 'n')
		return icpctl_parse_words(key, state, input->ctl, actions, &input->words);
	if (!icpctl_number(argument, 0, KEYS_MAX, &number))
		return icpctl_usage(state, input->ctl, "-n '%s' must be a number from 0 to %d",
				    argument, KEYS_MAX);
	input->count = argument;
	return 0;
}

static const struct argp_option options[] = {
	{ "count", 'n', "COUNT", 0, "list: at most COUNT keys (100)" },
	{ 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "list POLICY\nadd POLICY URL...\ndel POLICY URL...\nflush POLICY",
	.doc = "Lists and changes what a policy of the kind recent knows: the keys of URLs that "
	       "were handled within its window. A change counts from the next query on.\v"
	       "list prints each key with the seconds since it was seen last, the latest first. "
	       "add notes URLs as handled now; del forgets their keys, and flush all.\n"
	       "\n"
	       "  icpctl recent add 50-warm http://www.example.org/a/1",
};

int icpctl_recent(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	return status ? status : input.words.action->run(&input);
}
