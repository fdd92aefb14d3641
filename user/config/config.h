/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file, in the syntax of libconfuse: NAME = VALUE, lists in braces, a section
 * for each policy. Errors have the form FILE:LINE: what is wrong, what would be right.
 *
 * Within "double quotes" ${VARIABLE} is replaced by the environment variable, and a backslash
 * begins an escape; 'single quotes' keep the text unchanged, which suits regular expressions.
 * Comments begin with # or //, or are enclosed in slash-asterisks.
 *
 * Policies are not interpreted here: to check a configuration, call config_load() and then
 * chain_create() (chain.h).
 */
#ifndef XDP_ICP_CONFIG_H
#define XDP_ICP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config/text.h"
#include "lib/error.h"
#include "icp.h"
#include "policy/spec.h"

enum config_mode {
	CONFIG_MODE_AUTO,    /* native, else generic, else userspace */
	CONFIG_MODE_NATIVE,  /* XDP in the driver, or refuse to start */
	CONFIG_MODE_GENERIC, /* XDP in the stack, else userspace */
	CONFIG_MODE_OFF,     /* userspace only */
};

#define CONFIG_PATH "/etc/xdp-icp/xdp-icp.conf" /* where the programs look for it */
#define CONFIG_TEXT_MAX (64u << 20) /* bytes of a configuration file, without its list files */

enum config_on_exit {
	CONFIG_ON_EXIT_CLOSE, /* the kernel replies to rules alone */
	CONFIG_ON_EXIT_KEEP,  /* the kernel goes on with the chain */
};

struct config {
	size_t include_count;
	char **includes;     /* paths of files and directories, which config_load_file() has read */
	size_t listen_count; /* at least 1 */
	struct sockaddr_storage *listen;
	size_t interface_count; /* 0: attach the program nowhere */
	char **interfaces;
	enum config_mode mode;
	char *control;			 /* path of the control socket, fits into sockaddr_un */
	struct sockaddr_storage metrics; /* where to serve them; AF_UNSPEC: nowhere */
	char *pin_dir;			 /* path */
	char *user;			 /* that a daemon started as root changes to */
	enum icp_opcode default_verdict;
	bool answer_request_zero;
	unsigned int rules_max;	   /* entries of the rules map, 1 to CONFIG_ENTRIES_MAX */
	unsigned int prefixes_max; /* of the prefixes map, likewise; 0: sized by the chain */
	unsigned int verdicts_max; /* of the verdicts map, 1 to CONFIG_ENTRIES_MAX */
	unsigned int lease;	   /* milliseconds for which a keepalive is valid */
	unsigned int workers;	   /* threads that reply, 1 to CONFIG_WORKERS_MAX; 0: by the CPUs */
	unsigned int drain_time;   /* milliseconds from SIGTERM to the exit */
	enum config_on_exit on_exit;
	bool log_json; /* the daemon logs JSON */
	size_t policy_count;
	struct policy_spec **policies; /* in the order of the file; names are unique */
	size_t cluster_count;
	struct policy_spec **clusters;	   /* likewise (cluster_config.h) */
	struct config_variables variables; /* environment variables named at the start */
	uint64_t given; /* a bit for each of config_options[] (options.h) that a file has set */
	bool drop_in;	/* read from a drop-in, see config_load_drop_in() */
};

#define CONFIG_ENTRIES_MAX 67108864
#define CONFIG_WORKERS_MAX 64

/*
 * Read a file and those that it includes, without the policies that were added at run time
 * (dropin.h). Root reads only files that no other user can change. Options not in the files have
 * their defaults: both wildcard addresses, port 3130, mode auto, verdict miss, user nobody. With a configuration that is `running`
 * (NULL: none), an environment variable that `running` does not name must be in the environment,
 * because a daemon keeps only the variables that its configuration named at the start. Returns -1
 * with an error and nothing allocated.
 */
int config_load_file(const char *path, const struct config *running, struct config **config,
		     struct error *error);

/*
 * Likewise for a file that the daemon's user may write, in which only policies are allowed, without
 * environment variables.
 */
int config_load_drop_in(const char *path, struct config **config, struct error *error);

/* Likewise from a text of `size` bytes; `name` stands for FILE in errors. */
int config_parse_text(const char *text, size_t size, const char *name, struct config **config,
		      struct error *error);

#define CONFIG_NAMES_SIZE 256 /* bytes, enough for the names of all options */

/*
 * Exchange what only a restart can change between `config`, just read by a reload, and `running`:
 * `config` keeps the values in effect, and the names of variables. Both own what they point to afterwards. `names`
 * receives the names of those that differ, separated by ", "; empty: none.
 */
void config_keep_startup_options(struct config *config, struct config *running,
				 char names[CONFIG_NAMES_SIZE]);

/* `config` may be NULL. */
void config_free(struct config *config);

#endif
