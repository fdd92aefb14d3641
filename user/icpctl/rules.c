// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * icpctl rules: the operators' rules. The daemon holds them, with or without BPF; if no daemon
 * runs, use the pinned map directly.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/escape.h"
#include "control/client.h"
#include "icpctl/icpctl.h"
#include "icpctl/rules_key.h"
#include "xdp/rules.h"
#include "icpctl/rules_file.h"
#include "icp/opcode.h"

struct input {
	struct icpctl *ctl;
	const char *pin_dir; /* NULL: default */
	struct icpctl_words words;
};

static int print_ok(const struct input *input, json_t *reply)
{
	if (input->ctl->json)
		icpctl_print_json(icpctl_must(reply));
	json_decref(reply);
	return ICPCTL_OK;
}

/* --- without a daemon */

/* Whether icpctl_ask() found no daemon, and did not report that. */
static bool without_daemon(const struct input *input, int status)
{
	return status == ICPCTL_UNREACHABLE && !input->ctl->reported;
}

static int open_map(const struct input *input, const struct error *no_daemon,
		    struct pinned_rules **rules)
{
	struct error error;

	if (pinned_rules_open(input->pin_dir ? input->pin_dir : ICPCTL_PIN_DIR, rules, &error))
		return icpctl_fail(input->ctl, ICPCTL_UNREACHABLE, "%s Without it: %s",
				   no_daemon->text, error.text);
	return ICPCTL_OK;
}

static int insert_into_map(const struct input *input, const struct error *no_daemon,
			   const struct rule_list *list)
{
	struct pinned_rules *rules;
	struct error error;
	int status = open_map(input, no_daemon, &rules);

	if (status)
		return status;
	for (size_t i = 0; i < list->count && status == 0; i++) {
		const struct rule_line *rule = &list->rules[i];

		if (pinned_rules_put(rules, rule->prefix, rule->length, rule->verdict, &error))
			status = icpctl_fail(input->ctl, ICPCTL_REFUSED,
					     "%s (%zu of %zu rules are loaded)", error.text, i,
					     list->count);
	}
	pinned_rules_close(rules);
	return status;
}

/* Without --pin-dir, use that of a running daemon. */
static int print_key(const struct input *input, const char *prefix, size_t length,
		     enum icp_opcode verdict)
{
	const char *pin_dir = input->pin_dir;
	struct error error;
	json_t *reply = NULL;
	int status;

	if (!pin_dir &&
	    control_ask(input->ctl->socket, "GET", "/v1/status", NULL, &reply, &error) == 0)
		pin_dir = json_string_value(json_object_get(reply, "pin_dir"));
	status = rules_key_print(input->ctl, pin_dir ? pin_dir : ICPCTL_PIN_DIR, prefix, length,
				 verdict);
	json_decref(reply);
	return status;
}

static int remove_from_map(const struct input *input, const struct error *no_daemon,
			   const char *prefix, size_t length)
{
	struct pinned_rules *rules;
	struct error error;
	int status = open_map(input, no_daemon, &rules);

	if (status)
		return status;
	switch (pinned_rules_remove(rules, prefix, length, &error)) {
	case 0:
		break;
	case 1:
		status = icpctl_fail(input->ctl, ICPCTL_REFUSED, "there is no such rule");
		break;
	default:
		status = icpctl_fail(input->ctl, ICPCTL_REFUSED, "%s", error.text);
	}
	pinned_rules_close(rules);
	return status;
}

static int append(void *context, const char *prefix, size_t length, enum icp_opcode verdict)
{
	return rule_list_add(context, prefix, length, verdict, 0);
}

static int list_map(const struct input *input, const struct error *no_daemon,
		    struct rule_list *list)
{
	struct pinned_rules *rules;
	struct error error = { "out of memory" };
	int status = open_map(input, no_daemon, &rules);

	if (status)
		return status;
	if (pinned_rules_each(rules, append, list, &error))
		status = icpctl_fail(input->ctl, ICPCTL_USAGE, "%s", error.text);
	pinned_rules_close(rules);
	return status;
}

/* --- list */

static void list_reply(const json_t *reply, struct rule_list *list)
{
	const json_t *rule;
	size_t i;

	json_array_foreach (json_object_get(reply, "rules"), i, rule) {
		const char *text = json_string_value(json_object_get(rule, "prefix"));
		const json_t *verdict = json_object_get(rule, "verdict");
		const char *name = json_string_value(verdict);
		size_t length;
		char *prefix = icpctl_unescape(text ? text : "", &length);

		if (rule_list_add(list, prefix, length,
				  name ? verdict_from_name(name, strlen(name))
				       : (enum icp_opcode)json_integer_value(verdict),
				  0))
			icpctl_must(NULL);
		free(prefix);
	}
}

static json_t *json_of_rules(const struct rule_list *list)
{
	json_t *rules = icpctl_must(json_array());

	for (size_t i = 0; i < list->count; i++) {
		const struct rule_line *rule = &list->rules[i];
		json_t *verdict = icp_is_verdict(rule->verdict)
					  ? json_string(opcode_name(rule->verdict))
					  : json_integer(rule->verdict);

		json_array_append_new(rules, json_pack("{s:o, s:o}", "prefix",
						       icpctl_bytes(rule->prefix, rule->length),
						       "verdict", verdict));
	}
	return rules;
}

static int run_list(const void *context)
{
	const struct input *input = context;
	struct rule_list list = { 0 };
	struct error no_daemon;
	json_t *reply = NULL;
	int status = icpctl_ask(input->ctl, "GET", "/v1/rules", NULL, &reply, &no_daemon);

	if (status == 0)
		list_reply(reply, &list);
	else if (without_daemon(input, status))
		status = list_map(input, &no_daemon, &list);
	json_decref(reply);
	rule_list_sort(&list);
	if (status == 0 && input->ctl->json)
		print_ok(input, json_pack("{s:b, s:o}", "ok", 1, "rules", json_of_rules(&list)));
	else if (status == 0)
		rules_file_print(stdout, &list);
	rule_list_free(&list);
	return status;
}

/* --- add, del, load */

/* Insert rules by the daemon, or into the map. Return an exit status. */
static int insert(const struct input *input, const struct rule_list *list)
{
	json_t *body = icpctl_must(json_pack("{s:o}", "rules", json_of_rules(list)));
	struct error no_daemon;
	json_t *reply;
	int status = icpctl_ask(input->ctl, "POST", "/v1/rules", body, &reply, &no_daemon);

	json_decref(reply);
	if (without_daemon(input, status))
		status = insert_into_map(input, &no_daemon, list);
	return status;
}

static int run_add(const void *context)
{
	const struct input *input = context;
	const char *name = input->words.argv[2];
	struct rule_list list = { 0 };
	struct error error;
	size_t length;
	char *prefix = icpctl_unescape(input->words.argv[1], &length);
	enum icp_opcode verdict = rule_verdict(name, strlen(name), &error);
	int status;

	if (verdict == ICP_OP_INVALID || rule_prefix_check(prefix, length, &error)) {
		free(prefix);
		return icpctl_fail(input->ctl, ICPCTL_USAGE, "%s", error.text);
	}
	if (rule_list_add(&list, prefix, length, verdict, 0))
		icpctl_must(NULL);
	status = insert(input, &list);
	rule_list_free(&list);
	free(prefix);
	return status ? status : print_ok(input, json_pack("{s:b}", "ok", 1));
}

/* Any rule can be removed, also one inserted by hand. */
static int run_del(const void *context)
{
	const struct input *input = context;
	struct error error;
	struct error no_daemon;
	json_t *reply;
	size_t length;
	char *prefix = icpctl_unescape(input->words.argv[1], &length), *encoded, *resource;
	int status;

	if (rule_length_check(length, &error)) {
		free(prefix);
		return icpctl_fail(input->ctl, ICPCTL_USAGE, "%s", error.text);
	}
	encoded = icpctl_encode(input->words.argv[1]);
	resource = icpctl_resource("/v1/rules?prefix=%s", encoded);
	status = icpctl_ask(input->ctl, "DELETE", resource, NULL, &reply, &no_daemon);
	json_decref(reply);
	if (without_daemon(input, status))
		status = remove_from_map(input, &no_daemon, prefix, length);
	free(resource);
	free(encoded);
	free(prefix);
	return status ? status : print_ok(input, json_pack("{s:b}", "ok", 1));
}

static int read_list(const struct input *input, const char *path, struct rule_list *list)
{
	bool is_stdin = strcmp(path, "-") == 0;
	const char *name = is_stdin ? "standard input" : path;
	FILE *in = is_stdin ? stdin : fopen(path, "re");
	struct error error;
	int status = ICPCTL_OK;

	if (!in)
		return icpctl_fail(input->ctl, ICPCTL_USAGE, "%s: %s", path, strerror(errno));
	if (rules_file_read(in, name, list, &error))
		status = icpctl_fail(input->ctl, ICPCTL_USAGE, "%s", error.text);
	if (!is_stdin)
		fclose(in);
	return status;
}

static int run_load(const void *context)
{
	const struct input *input = context;
	struct rule_list list = { 0 };
	int status = read_list(input, input->words.argv[1], &list);

	if (status == 0)
		status = insert(input, &list);
	if (status == 0 && !input->ctl->json)
		printf("%zu rules loaded\n", list.count);
	if (status == 0)
		print_ok(input, json_pack("{s:b, s:I}", "ok", 1, "loaded", (json_int_t)list.count));
	rule_list_free(&list);
	return status;
}

/* --- key */

static int run_key(const void *context)
{
	const struct input *input = context;
	const char *name = input->words.argc > 2 ? input->words.argv[2] : NULL;
	enum icp_opcode verdict = ICP_OP_INVALID;
	struct error error;
	size_t length;
	char *prefix = icpctl_unescape(input->words.argv[1], &length);
	int status;
	bool good;

	if (name) {
		verdict = rule_verdict(name, strlen(name), &error);
		good = verdict != ICP_OP_INVALID && rule_prefix_check(prefix, length, &error) == 0;
	} else {
		good = rule_length_check(length, &error) == 0;
	}
	if (!good)
		status = icpctl_fail(input->ctl, ICPCTL_USAGE, "%s", error.text);
	else
		status = print_key(input, prefix, length, verdict);
	free(prefix);
	return status;
}

/* --- the command line */

static const struct icpctl_action actions[] = {
	{ "list", "", 1, 1, run_list },
	{ "add", " PREFIX VERDICT", 3, 3, run_add },
	{ "del", " PREFIX", 2, 2, run_del },
	{ "load", " FILE", 2, 2, run_load },
	{ "key", " PREFIX [VERDICT]", 2, 3, run_key },
	{ NULL },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	if (key != 'p')
		return icpctl_parse_words(key, state, input->ctl, actions, &input->words);
	input->pin_dir = argument;
	return 0;
}

static const struct argp_option options[] = {
	{ "pin-dir", 'p', "DIR", 0, "where the maps are pinned (" ICPCTL_PIN_DIR ")" },
	{ 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "list\nadd PREFIX VERDICT\ndel PREFIX\nload FILE\nkey PREFIX [VERDICT]",
	.doc = "The operators' rules: the longest one that a URL begins with gives the verdict, "
	       "before "
	       "any policy. A change counts from the next query on.\v"
	       "list prints the rules as load reads them: PREFIX, TAB, VERDICT a line.\n"
	       "load inserts the rules of FILE (-: standard input) if all of them are correct, and "
	       "keeps the others; empty lines and those that begin with # are comments.\n"
	       "key prints the bpftool commands that insert and remove a rule; it needs no "
	       "daemon.\n"
	       "\n"
	       "PREFIX is a byte prefix of at most 255 bytes; \\xHH in it stands for the byte HH "
	       "and "
	       "\\\\ for a backslash. VERDICT is " VERDICT_NAMES ", or ICP_OP_HIT and so on.\n"
	       "\n"
	       "If no daemon runs, the map below DIR is read and changed directly.",
};

int icpctl_rules(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = {
		.ctl = ctl,
	};
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	if (status)
		return status;
	return input.words.action->run(&input);
}
