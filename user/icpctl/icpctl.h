/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Common parts of the commands of icpctl. */
#ifndef XDP_ICP_ICPCTL_H
#define XDP_ICP_ICPCTL_H

#include <argp.h>
#include <stdbool.h>

#include <jansson.h>

#include "control/client.h"
#include "lib/error.h"

#define ICPCTL_SOCKET "/run/xdp-icp/control.sock"
#define ICPCTL_PIN_DIR "/sys/fs/bpf/xdp-icp"

enum icpctl_exit {
	ICPCTL_OK = 0,
	ICPCTL_USAGE = 1,	/* bad usage or input, output that could not be written */
	ICPCTL_UNREACHABLE = 2, /* the daemon cannot be reached */
	ICPCTL_REFUSED = 3,	/* the daemon refused */
	ICPCTL_NO_REPLY = 4,	/* `query`: at least one query got no reply */
};

/* The common options, accepted before and after the name of the command. */
struct icpctl {
	const char *socket;
	bool json;
	bool reported;			 /* an error has been reported */
	const struct control_wait *wait; /* of icpctl_ask(); NULL: nothing happens meanwhile */
};

/* A command. argv[0] is "icpctl NAME". Return the exit status. */
typedef int (*icpctl_run)(struct icpctl *ctl, int argc, char **argv);

int icpctl_query(struct icpctl *ctl, int argc, char **argv);
int icpctl_check(struct icpctl *ctl, int argc, char **argv);
int icpctl_policy(struct icpctl *ctl, int argc, char **argv);
int icpctl_recent(struct icpctl *ctl, int argc, char **argv);
int icpctl_cluster(struct icpctl *ctl, int argc, char **argv);
int icpctl_rules(struct icpctl *ctl, int argc, char **argv);
int icpctl_status(struct icpctl *ctl, int argc, char **argv);
int icpctl_stats(struct icpctl *ctl, int argc, char **argv);
int icpctl_top(struct icpctl *ctl, int argc, char **argv);
int icpctl_drain(struct icpctl *ctl, int argc, char **argv);
int icpctl_undrain(struct icpctl *ctl, int argc, char **argv);
int icpctl_trace(struct icpctl *ctl, int argc, char **argv);
int icpctl_reload(struct icpctl *ctl, int argc, char **argv);
int icpctl_config(struct icpctl *ctl, int argc, char **argv);

/*
 * Parse the options of a command, whose parser gets `input`, and the common options. Arguments are
 * an error unless the command's parser, which may be NULL, consumes them. Return 0, or an exit
 * status after reporting the error.
 */
int icpctl_parse(struct icpctl *ctl, const struct argp *argp, unsigned int flags, int argc,
		 char **argv, void *input);

/* Report a usage error, with a hint at --help. Return EINVAL, for the parser to return. */
error_t icpctl_usage(const struct argp_state *state, struct icpctl *ctl, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The actions of a command, selected by the first argument: `list` in `icpctl rules list`. A table
 * of them ends with an entry without a name.
 */
struct icpctl_action {
	const char *name;
	const char *arguments; /* for the usage */
	int least;	       /* number of arguments, including the name */
	int most;
	int (*run)(const void *input); /* the parser's input */
};

/* The arguments after the options, and the action that they select. */
struct icpctl_words {
	const struct icpctl_action *action;
	char **argv;
	int argc;
};

/*
 * Default of a parser for an unknown `key`: take the arguments and select the action, or report a
 * usage error. `actions` NULL: the arguments are URLs, at least one.
 */
error_t icpctl_parse_words(int key, struct argp_state *state, struct icpctl *ctl,
			   const struct icpctl_action *actions, struct icpctl_words *words);

/* Report an error on standard error, or with --json on standard output. Return `status`. */
int icpctl_fail(struct icpctl *ctl, enum icpctl_exit status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Print JSON for --json. Does not take the reference. */
void icpctl_print_json(const json_t *json);

/*
 * Send a request to the daemon (control/client.h); takes the reference to `body`, NULL: none. Return
 * 0 and the response, with {"ok": true} in front, owned by the caller, or an exit status after
 * reporting the error. With `no_daemon`, the error that no daemon runs is stored there and not
 * reported: *reply is NULL, the status ICPCTL_UNREACHABLE.
 */
int icpctl_ask(struct icpctl *ctl, const char *method, const char *resource, json_t *body,
	       json_t **reply, struct error *no_daemon);

/* Report the error of a request that failed. Return an exit status. */
int icpctl_failed(struct icpctl *ctl, enum control_result result, const struct error *error);

/*
 * Send a request (icpctl_ask) and print the response: as JSON with --json, else by `print`, which is not
 * called after an error. Return an exit status.
 */
int icpctl_show(struct icpctl *ctl, const char *method, const char *resource, json_t *body,
		void (*print)(const json_t *reply));

/* Send a request whose response is printed with --json only. Return an exit status. */
int icpctl_tell(struct icpctl *ctl, const char *method, const char *resource, json_t *body);

/* Return a text that is percent-encoded for use in a resource, for free(). */
char *icpctl_encode(const char *text);

/* Return a formatted resource, for free(). */
char *icpctl_resource(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Return bytes as a JSON string in the form of escape.h, a new reference. */
json_t *icpctl_bytes(const char *bytes, size_t length);

/*
 * Return an argument in the form of escape.h as a JSON string in that form, a new reference; NULL for
 * NULL.
 */
json_t *icpctl_word(const char *argument);

/* Return an array of such strings, a new reference. */
json_t *icpctl_word_list(char *const *arguments, int count);

/* Return "0a 0b", the bytes with `separator` between them, for free(). */
char *icpctl_hexadecimal(const void *bytes, size_t size, const char *separator);

/* Return an integer of a response, 0 if it has none. */
json_int_t icpctl_integer(const json_t *object, const char *key);

/* Return a string of a response, "?" if a daemon of another version does not send it. */
const char *icpctl_string(const json_t *object, const char *key);

/* Print the state of a policy, such as "down since TIME, matches (why)", and a newline. */
void icpctl_print_state(const json_t *state);

/* Print the state of a cluster in a line. */
void icpctl_print_cluster(const json_t *cluster);

/* Return an unescaped argument (escape.h), for free(). */
char *icpctl_unescape(const char *text, size_t *length);

/* Parse an integer from `min` to `max`. Return false if the whole text is not one. */
bool icpctl_number(const char *text, unsigned long min, unsigned long max, unsigned long *number);

/* Return `memory`; exit with an error if it is NULL. */
void *icpctl_must(void *memory);

#endif
