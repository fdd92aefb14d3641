// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * icpctl rules: the operators' rules. The daemon holds them, with or without BPF; if no daemon
 * runs, use the pinned map directly.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/escape.h"
#include "lib/plural.h"
#include "lib/progress.h"
#include "control/client.h"
#include "icpctl/icpctl.h"
#include "icpctl/rules_key.h"
#include "server/rule_change.h"
#include "icpctl/rules_file.h"
#include "icp/opcode.h"

#define SHOWN_FROM 100000 /* rules: fewer are written at once */

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

/* A change of rules, and what it came to. */
struct change {
	const struct rule_list *list; /* ICP_OP_INVALID: to be removed */
	bool replace;		      /* remove all others */
	size_t loaded, removed;
};

/* Make the change. No signal ends it halfway. */
static int run_change(const struct input *input, struct rule_change *change)
{
	enum rule_change_state state;
	sigset_t signals, before;
	size_t written, all;
	struct error error;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);
	do {
		state = rule_change_step(change, &error);
		written = rule_change_written(change, &all);
		if (all > SHOWN_FROM)
			progress_show("%zu of %zu rules written", written, all);
	} while (state == RULE_CHANGE_RUNS);
	progress_end();
	sigprocmask(SIG_SETMASK, &before, NULL);
	return state == RULE_CHANGE_DONE
		       ? ICPCTL_OK
		       : icpctl_fail(input->ctl, ICPCTL_REFUSED, "%s", error.text);
}

static int change_map(const struct input *input, const struct error *no_daemon, struct change *what)
{
	struct rule_change *change;
	struct pinned_rules *pinned;
	struct rules *rules;
	struct error error;
	int status = open_map(input, no_daemon, &pinned);

	if (status)
		return status;
	rules = icpctl_must(rules_pinned(pinned));
	change = icpctl_must(rule_change_new(rules, what->replace));
	for (size_t i = 0; i < what->list->count && status == 0; i++) {
		const struct rule_line *rule = &what->list->rules[i];

		if (rule_change_add(change, rule->prefix, rule->length, rule->verdict, &error))
			status = icpctl_fail(input->ctl, ICPCTL_USAGE, "%s", error.text);
		what->loaded += rule->verdict != ICP_OP_INVALID;
	}
	if (status == 0)
		status = run_change(input, change);
	what->removed = rule_change_removed(change);
	rule_change_free(change);
	rules_free(rules);
	pinned_rules_close(pinned);
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

/* --- add, del, load, replace, flush */

static json_t *body_of(const struct rule_list *list)
{
	json_t *rules = icpctl_must(json_array());

	for (size_t i = 0; i < list->count; i++) {
		const struct rule_line *rule = &list->rules[i];

		json_array_append_new(rules, json_pack("{s:o, s:s?}", "prefix",
						       icpctl_bytes(rule->prefix, rule->length),
						       "verdict", opcode_name(rule->verdict)));
	}
	return icpctl_must(json_pack("{s:o}", "rules", rules));
}

/* Show how far the daemon is: a control_wait callback. */
static void show_progress(void *context, size_t sent)
{
	const struct input *input = context;
	struct error ignored;
	json_t *reply;
	json_int_t all;

	if (!progress_is_shown())
		return;
	control_ask(input->ctl->socket, "GET", "/v1/rules/change", NULL, &reply, &ignored);
	all = icpctl_integer(reply, "all");
	if (all)
		progress_show("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " rules written",
			      icpctl_integer(reply, "written"), all);
	else
		progress_show("%.1f MB sent; the daemon checks the rules", (double)sent / 1e6);
	json_decref(reply);
}

/* Make a change by the daemon, or in the map. Return an exit status. */
static int change_rules(const struct input *input, struct change *change)
{
	const struct control_wait wait = {
		.stop = -1,
		.tick = show_progress,
		.context = (void *)input,
	};
	const char *method = change->replace ? "PUT" : "POST";
	struct error no_daemon;
	json_t *reply;
	int status;

	input->ctl->wait = &wait;
	status = icpctl_ask(input->ctl, method, "/v1/rules", body_of(change->list), &reply,
			    &no_daemon);
	input->ctl->wait = NULL;
	progress_end();
	if (without_daemon(input, status)) {
		status = change_map(input, &no_daemon, change);
	} else if (status == 0) {
		change->loaded = icpctl_integer(reply, "loaded");
		change->removed = icpctl_integer(reply, "removed");
	}
	json_decref(reply);
	if (status == 0)
		print_ok(input,
			 json_pack("{s:b, s:I, s:I}", "ok", 1, "loaded", (json_int_t)change->loaded,
				   "removed", (json_int_t)change->removed));
	return status;
}

static int run_add(const void *context)
{
	const struct input *input = context;
	const char *name = input->words.argv[2];
	struct rule_list list = { 0 };
	struct change change = { .list = &list };
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
	status = change_rules(input, &change);
	rule_list_free(&list);
	free(prefix);
	return status;
}

/* Any rule can be removed, also one inserted by hand. */
static int run_del(const void *context)
{
	const struct input *input = context;
	struct rule_list list = { 0 };
	struct change change = { .list = &list };
	struct error error;
	int status = ICPCTL_OK;

	for (int i = 1; i < input->words.argc && status == 0; i++) {
		size_t length;
		char *prefix = icpctl_unescape(input->words.argv[i], &length);

		if (rule_length_check(length, &error))
			status = icpctl_fail(input->ctl, ICPCTL_USAGE, "%s", error.text);
		else if (rule_list_add(&list, prefix, length, ICP_OP_INVALID, 0))
			icpctl_must(NULL);
		free(prefix);
	}
	if (status == 0)
		status = change_rules(input, &change);
	rule_list_free(&list);
	return status;
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

/* load, replace, flush */
static int run_load(const void *context)
{
	const struct input *input = context;
	const char *action = input->words.action->name;
	struct rule_list list = { 0 };
	struct change change = { .list = &list, .replace = strcmp(action, "load") != 0 };
	bool flush = strcmp(action, "flush") == 0;
	int status = flush ? ICPCTL_OK : read_list(input, input->words.argv[1], &list);

	if (status == 0)
		status = change_rules(input, &change);
	rule_list_free(&list);
	if (status || input->ctl->json)
		return status;
	if (!flush)
		printf("%zu %s loaded%s", change.loaded, plural(change.loaded, "rule", "rules"),
		       change.replace ? ", " : "\n");
	if (change.replace)
		printf("%zu %s removed\n", change.removed, plural(change.removed, "rule", "rules"));
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
	{ "del", " PREFIX...", 2, 100000, run_del },
	{ "load", " FILE", 2, 2, run_load },
	{ "replace", " FILE", 2, 2, run_load },
	{ "flush", "", 1, 1, run_load },
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
	.args_doc = "list\nadd PREFIX VERDICT\ndel PREFIX...\nload FILE\nreplace FILE\nflush\nkey "
		    "PREFIX "
		    "[VERDICT]",
	.doc = "The operators' rules: the longest one that a URL begins with gives the verdict, "
	       "before "
	       "any policy. A change counts from the next query on.\v"
	       "list prints the rules as load reads them: PREFIX, TAB, VERDICT a line.\n"
	       "load inserts the rules of FILE (-: standard input) and keeps the others; replace "
	       "removes the others; flush removes all. Empty lines of FILE and those that begin "
	       "with # are comments.\n"
	       "Each change is made as a whole, or not at all.\n"
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
	struct input input = { .ctl = ctl };
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	return status ? status : input.words.action->run(&input);
}
