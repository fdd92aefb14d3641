/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands of icpctl have in common. */
#ifndef XDP_ICP_ICPCTL_H
#define XDP_ICP_ICPCTL_H

#include <argp.h>
#include <stdbool.h>

#include <jansson.h>

#include "lib/error.h"

#define ICPCTL_SOCKET "/run/xdp-icp/control.sock"
#define ICPCTL_PIN_DIR "/sys/fs/bpf/xdp-icp"

enum icpctl_exit {
	ICPCTL_FINE = 0,
	ICPCTL_USAGE = 1,	/* bad usage or input, output that could not be written */
	ICPCTL_UNREACHABLE = 2, /* the daemon cannot be reached */
	ICPCTL_REFUSED = 3,	/* the daemon refused */
	ICPCTL_UNANSWERED = 4,	/* `query`: at least one query without an answer */
};

/* The options that every command understands, before and behind its name. */
struct icpctl {
	const char *socket;
	bool json;
	bool reported; /* an error has been told already */
};

/* A command. argv[0] is "icpctl NAME"; returns the exit status. */
typedef int (*icpctl_run)(struct icpctl *ctl, int argc, char **argv);

int icpctl_query(struct icpctl *ctl, int argc, char **argv);
int icpctl_check(struct icpctl *ctl, int argc, char **argv);
int icpctl_policy(struct icpctl *ctl, int argc, char **argv);
int icpctl_rules(struct icpctl *ctl, int argc, char **argv);
int icpctl_status(struct icpctl *ctl, int argc, char **argv);
int icpctl_stats(struct icpctl *ctl, int argc, char **argv);
int icpctl_drain(struct icpctl *ctl, int argc, char **argv);
int icpctl_undrain(struct icpctl *ctl, int argc, char **argv);
int icpctl_trace(struct icpctl *ctl, int argc, char **argv);
int icpctl_reload(struct icpctl *ctl, int argc, char **argv);

/*
 * Parses a command's options, whose parser gets `input`, and those of all commands. Arguments are a
 * mistake if the command's parser does not take them; it may be NULL. Returns 0, or an exit status
 * after telling what is wrong.
 */
int icpctl_parse(struct icpctl *ctl, const struct argp *argp, unsigned int flags, int argc,
		 char **argv, void *input);

/* Tells a mistake in the usage, with a hint at --help. Returns EINVAL, for the parser to return. */
error_t icpctl_usage(const struct argp_state *state, struct icpctl *ctl, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * What a command can be told to do, by the first word behind its options: `list` in
 * `icpctl rules list`. A table of them ends with one that has no name.
 */
struct icpctl_action {
	const char *name;
	const char *arguments; /* for the usage */
	int least;	       /* words, the name counted */
	int most;
	int (*run)(const void *input); /* the parser's input */
};

/* The words of the command line behind the options, and the action that they ask for. */
struct icpctl_words {
	const struct icpctl_action *action;
	char **argv;
	int argc;
};

/*
 * What a parser does with a `key` that it does not know itself: finds the action, or tells what is
 * wrong with it.
 */
error_t icpctl_parse_words(int key, struct argp_state *state, struct icpctl *ctl,
			   const struct icpctl_action *actions, struct icpctl_words *words);

/* Tells an error on standard error, or with --json on standard output. Returns `status`. */
int icpctl_fail(struct icpctl *ctl, enum icpctl_exit status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints JSON for --json. The reference stays the caller's. */
void icpctl_print_json(const json_t *json);

/*
 * Asks the daemon; takes the reference to the request. Returns 0 with an answer of {"ok": true}
 * that the caller owns, or an exit status after telling the error. With `no_daemon` the error that
 * there is no daemon is not told but left there: `*reply` is NULL, the status ICPCTL_UNREACHABLE.
 */
int icpctl_ask(struct icpctl *ctl, json_t *request, json_t **reply, struct error *no_daemon);

/* Tells of an answer other than {"ok": true} what is wrong. An exit status. */
int icpctl_refusal(struct icpctl *ctl, const json_t *reply);

/* Asks for something that has no more to tell than that it is done. An exit status. */
int icpctl_tell(struct icpctl *ctl, json_t *request);

/* Bytes as a JSON string in the form of escape.h, a new reference. */
json_t *icpctl_bytes(const char *bytes, size_t length);

/* A string of a reply; "?" where an older or newer daemon has none. */
const char *icpctl_string(const json_t *object, const char *key);

/* A text of the command line without its escapes (escape.h), for free(). */
char *icpctl_unescape(const char *text, size_t *length);

/* A whole number of `min` to `max` that makes up the whole text; false if it is none. */
bool icpctl_number(const char *text, unsigned long min, unsigned long max, unsigned long *number);

/* Returns what it gets, but ends the program if that is NULL: no memory. */
void *icpctl_must(void *memory);

#endif
