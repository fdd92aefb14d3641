// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl policy: list and change the chain while the daemon runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "icpctl/icpctl.h"
#include "icp/opcode.h"
#include "lib/clock.h"
#include "lib/escape.h"
#include "lib/plural.h"

#define OPTION_SAVE 0x200

struct input {
	struct icpctl *ctl;
	struct icpctl_words words;
	bool save;
};

/* Print "    decided in WHERE: 3 hit, 1 miss", or nothing; return whether anything was printed. */
static bool print_counts(const json_t *one, const char *member, const char *start)
{
	json_t *count;
	const char *verdict, *before = start;

	json_object_foreach (json_object_get(json_object_get(one, "decided"), member), verdict,
			     count) {
		if (json_integer_value(count) == 0)
			continue;
		printf("%s %" JSON_INTEGER_FORMAT " %s", before, json_integer_value(count),
		       verdict);
		before = ",";
	}
	return before != start;
}

/* Print what it has decided and when last, or nothing. */
static void print_decided(const json_t *one)
{
	const json_t *last = json_object_get(one, "last_decided");
	char when[CLOCK_TEXT_SIZE];
	bool kernel;

	if (!json_is_integer(last))
		return;
	kernel = print_counts(one, "kernel", "    decided in the kernel:");
	print_counts(one, "daemon", kernel ? ", in the daemon:" : "    decided in the daemon:");
	clock_text(json_integer_value(last), when);
	printf(", last %s\n", when);
}

static void print_policy(const json_t *policy)
{
	const char *verdict = json_string_value(json_object_get(policy, "verdict"));
	const char *where = json_string_value(json_object_get(policy, "where"));
	const char *why = json_string_value(json_object_get(policy, "why"));
	const json_t *state = json_object_get(policy, "state");
	const json_t *states = json_object_get(policy, "states");
	const json_t *texts = json_object_get(policy, "texts");
	bool negate = json_is_true(json_object_get(policy, "not"));
	bool kernel = json_is_true(json_object_get(policy, "kernel"));

	printf("%-24s %-10s %s%-*s %-7s %s", json_string_value(json_object_get(policy, "name")),
	       json_string_value(json_object_get(policy, "kind")), negate ? "not " : "",
	       negate ? 20 : 24, verdict ? verdict : "(varies)", kernel ? "kernel" : "daemon",
	       where ? where : "");
	if (states)
		printf(" (%" JSON_INTEGER_FORMAT " states, %" JSON_INTEGER_FORMAT " bytes)",
		       json_integer_value(states), icpctl_integer(policy, "bytes"));
	if (texts)
		printf(" (%" JSON_INTEGER_FORMAT " %s)", json_integer_value(texts),
		       plural((size_t)json_integer_value(texts), "text", "texts"));
	if (kernel && json_is_true(json_object_get(policy, "lease")))
		printf(" (while the daemon lives)");
	if (why)
		printf(" (%s)", why);
	putchar('\n');
	if (json_is_object(state)) {
		fputs("    ", stdout);
		icpctl_print_state(state);
	}
	print_decided(policy);
}

static void print_policies(const json_t *reply)
{
	static const struct {
		const char *member, *shown;
	} others[] = { { "by_rule", "(rules)" }, { "by_drain", "(drain)" } };
	const json_t *policy;
	size_t i;

	json_array_foreach (json_object_get(reply, "policies"), i, policy)
		print_policy(policy);
	printf("%-24s %-10s %-24s %s\n", "(default)", "", icpctl_string(reply, "default"),
	       json_is_true(json_object_get(reply, "default_kernel")) ? "kernel" : "daemon");
	print_decided(json_object_get(reply, "by_default"));
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		const json_t *one = json_object_get(reply, others[i].member);

		if (!json_is_integer(json_object_get(one, "last_decided")))
			continue;
		puts(others[i].shown);
		print_decided(one);
	}
}

static int run_list(const void *context)
{
	const struct input *input = context;

	return icpctl_show(input->ctl, "GET", "/v1/policies", NULL, print_policies);
}

/* Send a request for the policy whose name is an argument; takes the reference to `body`. */
static int tell(const struct input *input, const char *method, json_t *body)
{
	char *name = icpctl_encode(input->words.argv[1]);
	char *resource =
		icpctl_resource("/v1/policies/%s%s", name, input->save ? "?save=true" : "");
	const char *restored;
	json_t *reply;
	int status = icpctl_ask(input->ctl, method, resource, body, &reply, NULL);

	restored = json_string_value(json_object_get(reply, "restored"));
	if (status == ICPCTL_OK && input->ctl->json)
		icpctl_print_json(reply);
	else if (restored)
		printf("policy '%s' is again the one defined at %s\n", input->words.argv[1],
		       restored);
	json_decref(reply);
	free(resource);
	free(name);
	return status;
}

static int run_add(const void *context)
{
	const struct input *input = context;
	json_t *settings = icpctl_must(json_object());

	for (int i = 2; i < input->words.argc; i++) {
		const char *word = input->words.argv[i], *equals = strchr(word, '=');
		char *key;

		if (!equals || equals == word) {
			json_decref(settings);
			return icpctl_fail(input->ctl, ICPCTL_USAGE,
					   "'%s' must be KEY=VALUE, such as kind=prefix", word);
		}
		key = icpctl_must(escape(word, (size_t)(equals - word)));
		if (!json_object_get(settings, key))
			json_object_set_new(settings, key, json_array());
		json_array_append_new(json_object_get(settings, key),
				      icpctl_bytes(equals + 1, strlen(equals + 1)));
		free(key);
	}
	return tell(input, "PUT", settings);
}

static int run_remove(const void *context)
{
	return tell(context, "DELETE", NULL);
}

static const struct icpctl_action actions[] = {
	{ "list", "", 1, 1, run_list },
	{ "add", " NAME KEY=VALUE...", 3, 100000, run_add },
	{ "remove", " NAME", 2, 2, run_remove },
	{ NULL },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	if (key != OPTION_SAVE)
		return icpctl_parse_words(key, state, input->ctl, actions, &input->words);
	input->save = true;
	return 0;
}

static const struct argp_option options[] = {
	{ "save", OPTION_SAVE, NULL, 0,
	  "keep the change for reloads and restarts, in CONFIGURATION.d" },
	{ 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "list\nadd NAME KEY=VALUE...\nremove NAME",
	.doc = "Lists and changes the policies, in the order in which they are asked. A change "
	       "counts from the next query on, in the kernel as well.\v"
	       "add takes the settings of the configuration file; a list is written by repeating "
	       "its key. A policy of the same name is replaced. Relative file names are resolved "
	       "by the daemon.\n"
	       "\n"
	       "  icpctl policy add 20-foo kind=substring verdict=hit texts=foo texts=fuu\n"
	       "\n"
	       "In NAME, \\xHH stands for the byte HH and \\\\ for a backslash, as in what list "
	       "prints; a VALUE is taken as it is.\n"
	       "Without --save a change is lost at the next reload; with it, one that cannot be "
	       "kept is refused. remove --save removes what was kept, and a policy of that name "
	       "in the configuration counts again.",
};

int icpctl_policy(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	return status ? status : input.words.action->run(&input);
}
