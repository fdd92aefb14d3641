// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/client.h"
#include "control/protocol.h"
#include "lib/clock.h"
#include "lib/escape.h"
#include "lib/standard_options.h"
#include "icpctl/icpctl.h"

/* --- errors */

void *icpctl_must(void *memory)
{
	if (!memory) {
		fputs("icpctl: out of memory\n", stderr);
		exit(ICPCTL_USAGE);
	}
	return memory;
}

static void __attribute__((format(printf, 3, 0)))
report_error(struct icpctl *ctl, const char *who, const char *format, va_list args)
{
	struct error error;
	char line[ESCAPE_MAX * sizeof(error.text)];

	vsnprintf(error.text, sizeof(error.text), format, args);
	escape_line(error.text, line, sizeof(line));
	ctl->reported = true;
	if (ctl->json) {
		json_t *failure = icpctl_must(json_pack("{s:b, s:s}", "ok", 0, "error", line));

		icpctl_print_json(failure);
		json_decref(failure);
	} else {
		fflush(stdout);
		fprintf(stderr, "%s: %s\n", who, line);
	}
}

int icpctl_fail(struct icpctl *ctl, enum icpctl_exit status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_error(ctl, "icpctl", format, args);
	va_end(args);
	return status;
}

error_t icpctl_usage(const struct argp_state *state, struct icpctl *ctl, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_error(ctl, state->name, format, args);
	va_end(args);
	if (!ctl->json)
		fprintf(stderr, "Try '%s --help'.\n", state->name);
	return EINVAL;
}

/* --- options */

#define OPTION_JSON 0x100

const char *argp_program_version = "icpctl " XDP_ICP_VERSION;

static const struct argp_option common_options[] = {
	{ "socket", 'S', "CONTROL_SOCKET", 0, "where the daemon listens (" ICPCTL_SOCKET ")", -2 },
	{ "json", OPTION_JSON, NULL, 0, "print JSON, also for errors", -2 },
	{ 0 },
};

static error_t parse_common(int key, char *argument, struct argp_state *state)
{
	struct icpctl *ctl = state->input;

	switch (key) {
	case 'S':
		ctl->socket = argument;
		return 0;
	case OPTION_JSON:
		ctl->json = true;
		return 0;
	case ARGP_KEY_ARGS: /* not consumed by the command */
		return icpctl_usage(state, ctl, "takes no argument, but got '%s'",
				    state->argv[state->next]);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp common = {
	.options = common_options,
	.parser = parse_common,
	.children = standard_children,
};

struct inputs {
	struct icpctl *ctl;
	void *own; /* of the command */
};

static error_t forward_inputs(int key, char *argument, struct argp_state *state)
{
	const struct inputs *inputs = state->input;

	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = inputs->own;
	state->child_inputs[1] = inputs->ctl;
	return 0;
}

int icpctl_parse(struct icpctl *ctl, const struct argp *argp, unsigned int flags, int argc,
		 char **argv, void *input)
{
	const struct argp_child children[] = {
		{ argp, 0, NULL, 0 },
		{ &common, 0, "Options of all commands:", -3 },
		{ 0 },
	};
	const struct argp all = { .parser = forward_inputs, .children = children };
	struct inputs inputs = { ctl, input };

	/* argp must not exit: with --json its errors are JSON too. */
	flags |= ARGP_NO_EXIT | ARGP_NO_HELP;
	if (argp_parse(&all, argc, argv, flags, NULL, &inputs) == 0)
		return 0;
	if (ctl->json && !ctl->reported)
		icpctl_fail(ctl, ICPCTL_USAGE, "an unknown option, or one without its argument");
	return ICPCTL_USAGE;
}

/* "list, add or remove" */
static char *names_of(const struct icpctl_action *actions)
{
	char *names = NULL;
	size_t length;
	FILE *out = icpctl_must(open_memstream(&names, &length));

	for (const struct icpctl_action *action = actions; action->name; action++)
		fprintf(out, "%s%s",
			action == actions ? ""
			: action[1].name  ? ", "
					  : " or ",
			action->name);
	fclose(out);
	return icpctl_must(names);
}

static error_t parse_action(struct argp_state *state, struct icpctl *ctl,
			    const struct icpctl_action *actions, struct icpctl_words *words)
{
	const struct icpctl_action *action = actions;
	error_t result = 0;
	char *names;

	words->argv = state->argv + state->next;
	words->argc = state->argc - state->next;
	if (!actions)
		return words->argc ? 0 : icpctl_usage(state, ctl, "URL is missing");
	while (action->name && (!words->argc || strcmp(action->name, words->argv[0]) != 0))
		action++;
	words->action = action;
	if (action->name && words->argc >= action->least && words->argc <= action->most)
		return 0;
	names = names_of(actions);
	if (action->name)
		result = icpctl_usage(state, ctl, "must be: %s %s%s", state->name, action->name,
				      action->arguments);
	else if (words->argc)
		result = icpctl_usage(state, ctl, "'%s' must be %s", words->argv[0], names);
	else
		result = icpctl_usage(state, ctl, "%s?", names);
	free(names);
	return result;
}

error_t icpctl_parse_words(int key, struct argp_state *state, struct icpctl *ctl,
			   const struct icpctl_action *actions, struct icpctl_words *words)
{
	switch (key) {
	case ARGP_KEY_ARGS:
	case ARGP_KEY_NO_ARGS:
		return parse_action(state, ctl, actions, words);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

bool icpctl_number(const char *text, unsigned long min, unsigned long max, unsigned long *number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*number = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0' && *number >= min && *number <= max;
}

/* --- JSON */

void icpctl_print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
}

json_t *icpctl_bytes(const char *bytes, size_t length)
{
	return icpctl_must(control_bytes(bytes, length));
}

char *icpctl_unescape(const char *text, size_t *length)
{
	return icpctl_must(unescape(text, strlen(text), length));
}

json_t *icpctl_word(const char *argument)
{
	size_t length;
	json_t *word;
	char *bytes;

	if (!argument)
		return NULL;
	bytes = icpctl_unescape(argument, &length);
	word = icpctl_bytes(bytes, length);
	free(bytes);
	return word;
}

json_t *icpctl_word_list(char *const *arguments, int count)
{
	json_t *words = icpctl_must(json_array());

	for (int i = 0; i < count; i++)
		json_array_append_new(words, icpctl_word(arguments[i]));
	return words;
}

json_int_t icpctl_integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

char *icpctl_hexadecimal(const void *bytes, size_t size, const char *separator)
{
	const unsigned char *from = bytes;
	char *text = NULL;
	size_t length;
	FILE *out = icpctl_must(open_memstream(&text, &length));

	for (size_t i = 0; i < size; i++) /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
		fprintf(out, "%s%02x", i ? separator : "", from[i]);
	fclose(out);
	return icpctl_must(text);
}

const char *icpctl_string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "?";
}

void icpctl_print_state(const json_t *state)
{
	const char *why = icpctl_string(state, "why");
	char since[CLOCK_TEXT_SIZE];

	clock_text(icpctl_integer(state, "since"), since);
	printf("%s since %s%s%s%s%s\n", icpctl_string(state, "name"), since,
	       json_is_true(json_object_get(state, "matches")) ? ", matches" : "", *why ? " (" : "",
	       why, *why ? ")" : "");
}

int icpctl_failed(struct icpctl *ctl, enum control_result result, const struct error *error)
{
	return icpctl_fail(ctl, result == CONTROL_REFUSED ? ICPCTL_REFUSED : ICPCTL_UNREACHABLE,
			   "%s", error->text);
}

int icpctl_ask(struct icpctl *ctl, const char *method, const char *resource, json_t *body,
	       json_t **reply, struct error *no_daemon)
{
	json_t *response, *ok = icpctl_must(json_pack("{s:b}", "ok", 1));
	struct error error;
	enum control_result result =
		control_ask_and(ctl->socket, method, resource, body, ctl->wait, &response, &error);

	json_decref(body);
	*reply = NULL;
	if (result == CONTROL_OK) {
		json_object_update(ok, response);
		json_decref(response);
		*reply = ok;
		return ICPCTL_OK;
	}
	json_decref(ok);
	if (result != CONTROL_NO_DAEMON || !no_daemon)
		return icpctl_failed(ctl, result, &error);
	*no_daemon = error;
	return ICPCTL_UNREACHABLE;
}

int icpctl_show(struct icpctl *ctl, const char *method, const char *resource, json_t *body,
		void (*print)(const json_t *reply))
{
	json_t *reply;
	int status = icpctl_ask(ctl, method, resource, body, &reply, NULL);

	if (status == ICPCTL_OK && ctl->json)
		icpctl_print_json(reply);
	else if (status == ICPCTL_OK && print)
		print(reply);
	json_decref(reply);
	return status;
}

int icpctl_tell(struct icpctl *ctl, const char *method, const char *resource, json_t *body)
{
	return icpctl_show(ctl, method, resource, body, NULL);
}

char *icpctl_encode(const char *text)
{
	return icpctl_must(control_encode(text));
}

char *icpctl_resource(const char *format, ...)
{
	char *resource;
	va_list args;

	va_start(args, format);
	if (vasprintf(&resource, format, args) < 0)
		icpctl_must(NULL);
	va_end(args);
	return resource;
}
