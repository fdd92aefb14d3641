/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file, in the syntax of libconfuse: NAME = VALUE, lists in braces, a section
 * for each policy. Every mistake is reported as FILE:LINE: what is wrong, what would be right.
 *
 * Within "double quotes" ${VARIABLE} stands for a variable of the environment and a backslash
 * begins an escape; 'single quotes' keep the text as it is, which suits regular expressions.
 * Comments begin with # or with // or stand between slash-asterisks. There is no include.
 *
 * What a policy means is looked at when the chain is made (chain.h): a check of a configuration is
 * config_load_file() and chain_create().
 */
#ifndef XDP_ICP_CONFIG_H
#define XDP_ICP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "config/text.h"
#include "lib/error.h"
#include "icp.h"
#include "policy/spec.h"

enum config_mode {
	CONFIG_MODE_AUTO,    /* native, else generic, else userspace */
	CONFIG_MODE_NATIVE,  /* XDP in the driver, or no start */
	CONFIG_MODE_GENERIC, /* XDP in the stack, else userspace */
	CONFIG_MODE_OFF,     /* userspace alone */
};

#define CONFIG_TEXT_MAX (64u << 20) /* bytes of a configuration file; lists go into others */

struct config {
	size_t listen_count; /* at least 1 */
	struct sockaddr_storage *listen;
	size_t interface_count; /* 0: no interface is to carry the program */
	char **interfaces;
	enum config_mode mode;
	char *control; /* path of the control socket, fits into sockaddr_un */
	char *pin_dir; /* path */
	char *user;    /* what a daemon started as root drops to */
	enum icp_opcode default_verdict;
	bool answer_request_zero;
	unsigned int rules_max;	   /* entries of the rules map, 1 to CONFIG_ENTRIES_MAX */
	unsigned int prefixes_max; /* of the prefixes map, to the same; 0: sized by the chain */
	unsigned int verdicts_max; /* of the verdicts map, 1 to the same */
	unsigned int lease;	   /* milliseconds that the kernel trusts a daemon not heard of */
	unsigned int workers;	 /* threads that answer, 1 to CONFIG_WORKERS_MAX; 0: by the CPUs */
	unsigned int drain_time; /* milliseconds from SIGTERM to the end; 0: at once */
	size_t policy_count;
	struct policy_spec **policies;	   /* in the order of the file; no two of one name */
	struct config_variables variables; /* of the environment, that the text names */
};

#define CONFIG_ENTRIES_MAX 67108864
#define CONFIG_WORKERS_MAX 64

/*
 * Reads a file, without the policies that were added at run time (drop_ins.h). With root's rights
 * only one is read that no other user can change. -1 with an error, nothing allocated. Whatever the
 * file does not say has its default: both wildcard addresses, port 3130, mode auto, verdict miss,
 * user nobody.
 */
int config_load_file(const char *path, struct config **config, struct error *error);

/* The same for a file that the daemon's user may write: it gets no variables. */
int config_load_drop_in(const char *path, struct config **config, struct error *error);

/* The same from a text of `size` bytes, which errors call `name`. */
int config_parse_text(const char *text, size_t size, const char *name, struct config **config,
		      struct error *error);

#define CONFIG_NAMES_SIZE 256 /* bytes of the names of all options */

/*
 * Gives `config`, as it was read at a reload, the values of `started` in all options that only a
 * start can change, and `started` the values that were read instead: what each points to stays
 * its own to free. `names` gets those in which they differ, with ", " between; empty: none.
 */
void config_keep_startup_options(struct config *config, struct config *started,
				 char names[CONFIG_NAMES_SIZE]);

/* `config` may be NULL. */
void config_free(struct config *config);

#endif
