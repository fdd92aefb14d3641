// SPDX-License-Identifier: GPL-2.0-or-later
/* The loader, run by scripts/xdp-icp-load: the same code that the daemon uses. */
#include <argp.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/chain.h"
#include "chain/compile.h"
#include "xdp/destinations.h"
#include "config/dropin.h"
#include "xdp/kernel.h"
#include "xdp/load_pair.h"
#include "lib/log.h"
#include "lib/privileges.h"
#include "lib/shell_quote.h"
#include "lib/standard_options.h"

#define INTERFACES_MAX 256

const char *argp_program_version = "xdp-icp-load " XDP_ICP_VERSION;

static const char doc[] =
	"Loads the ICP responder's XDP program, pins its maps and attaches it to a network "
	"interface.\v"
	"Until a daemon fills in the chain, the kernel replies to rules alone.\n\n"
	"Exit status: 0 done; 1 wrong options or configuration; 2 the kernel refused for another "
	"reason; 3 the device takes the program in none of the requested modes; 4 no privileges, "
	"no BPF "
	"file system, or a kernel older than 5.18; 5 another program has the place, or a daemon "
	"uses the maps; 6 no such device; 7 the program of a daemon that is gone cannot be "
	"detached.";

enum {
	OPTION_MODE = 256,
	OPTION_UNLOAD,
	OPTION_STATUS,
	OPTION_REPLACE,
	OPTION_ALL
};

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "configuration (" CONFIG_PATH ", if there is one)", 0 },
	{ "all", OPTION_ALL, NULL, 0,
	  "instead of INTERFACE: the configuration's `interfaces`; to unload, all that carry it",
	  0 },
	{ "mode", OPTION_MODE, "MODE", 0,
	  "auto (native, then generic), native or generic; default is the configuration's", 0 },
	{ "unload", OPTION_UNLOAD, NULL, 0,
	  "detach; with the last interface the pinned maps are removed, and the rules in them", 0 },
	{ "status", OPTION_STATUS, NULL, 0, "report what is attached where, and change nothing",
	  0 },
	{ "replace", OPTION_REPLACE, NULL, 0, "take the place of another XDP program", 0 },
	{ "verbose", 'v', NULL, 0, "report more; twice: all the libraries' messages", 0 },
	{ 0 },
};

struct arguments {
	const char *config;
	const char *mode;
	char *interface; /* NULL: see `all` */
	enum {
		LOAD,
		UNLOAD,
		STATUS
	} action;
	bool all;
	bool replace;
	int level;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'c':
		arguments->config = value;
		break;
	case OPTION_MODE:
		arguments->mode = value;
		break;
	case OPTION_UNLOAD:
	case OPTION_STATUS:
		if (arguments->action != LOAD)
			argp_error(state, "give --unload or --status, not both");
		arguments->action = key == OPTION_UNLOAD ? UNLOAD : STATUS;
		break;
	case OPTION_REPLACE:
		arguments->replace = true;
		break;
	case OPTION_ALL:
		arguments->all = true;
		break;
	case 'v':
		arguments->level++;
		break;
	case ARGP_KEY_ARG:
		if (arguments->interface)
			argp_error(state, "one interface at a time: %s", value);
		arguments->interface = value;
		break;
	case ARGP_KEY_END:
		if (arguments->interface && arguments->all)
			argp_error(state, "give give one interface or --all, not both");
		if (!arguments->interface && !arguments->all && arguments->action != STATUS)
			argp_error(state, "which interface? (--all: those of the configuration)");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* Read the configuration, or use the defaults if none was given and the default file is missing. */
static int read_config(struct arguments *arguments, struct config **config, struct error *error)
{
	if (!arguments->config && access(CONFIG_PATH, F_OK) == 0)
		arguments->config = CONFIG_PATH;
	if (arguments->config)
		return config_load_file(arguments->config, NULL, config, error);
	return config_parse_text("", 0, "defaults", config, error);
}

static int read_mode(const char *text, const struct config *config, enum config_mode *mode,
		     struct error *error)
{
	if (!text)
		*mode = config->mode == CONFIG_MODE_OFF ? CONFIG_MODE_AUTO : config->mode;
	else if (strcmp(text, "auto") == 0)
		*mode = CONFIG_MODE_AUTO;
	else if (strcmp(text, "native") == 0)
		*mode = CONFIG_MODE_NATIVE;
	else if (strcmp(text, "generic") == 0)
		*mode = CONFIG_MODE_GENERIC;
	else
		return error_set(error, "mode %s: must be auto, native or generic", text);
	return 0;
}

/* Store the current addresses; a running daemon keeps them up to date. */
static int fill_destinations(struct kernel *kernel, const struct config *config,
			     struct error *error)
{
	struct kernel_interface interfaces[INTERFACES_MAX];
	struct kernel_destination *list = NULL;
	unsigned int attached[INTERFACES_MAX];
	size_t count = kernel_interfaces(kernel, interfaces, INTERFACES_MAX);
	size_t attached_count = 0, destination_count;
	struct network network;
	int result = -1;

	for (size_t i = 0; i < count && i < INTERFACES_MAX; i++)
		if (interfaces[i].attached)
			attached[attached_count++] = interfaces[i].ifindex;
	if (network_read(&network, error) == 0) {
		list = destinations(config->listen, config->listen_count, &network, attached,
				    attached_count, &destination_count);
		result = list ? kernel_set_destinations(kernel, list, destination_count, error)
			      : error_set(error, "out of memory");
	}
	network_free(&network);
	free(list);
	return result;
}

/* Build the chain as the daemon's user, send the required map sizes, and exit. */
static void __attribute__((noreturn))
run_builder(const struct arguments *arguments, struct config *config, uid_t uid, gid_t gid,
	    int channel)
{
	struct compiled *compiled = NULL;
	struct kernel_sizes sizes;
	struct chain *chain = NULL;
	struct error error;

	if ((geteuid() == 0 &&
	     (privileges_drop(uid, gid, &error) ||
	      environment_reduce(config->variables.names, config->variables.count, &error))) ||
	    (arguments->config && config_load_drop_ins(arguments->config, config, &error)) ||
	    chain_create(config, &chain, &error) || chain_compile(chain, &compiled, &error)) {
		load_send(channel, KERNEL_USAGE, NULL, &error);
	} else {
		sizes = kernel_sizes_for(config, compiled);
		load_send(channel, KERNEL_OK, &sizes, NULL);
	}
	_exit(EXIT_SUCCESS);
}

/*
 * Get the map sizes that the chain needs. This process does not read the files of the chain
 * (load_pair.h).
 */
static enum kernel_result ask_sizes(const struct arguments *arguments, struct config *config,
				    struct kernel_load *job, struct error *error)
{
	enum kernel_result result;
	int channel;
	pid_t pid = load_fork(&channel, error);

	if (pid < 0)
		return KERNEL_FAILED;
	if (pid == 0)
		run_builder(arguments, config, job->owner, job->group, channel);
	result = load_receive(channel, &job->sizes, error);
	close(channel);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return result;
}

/*
 * Load onto each interface. Return the last failure and `error`; failures before it are logged.
 * `loaded` counts the others.
 */
static enum kernel_result load_each(struct kernel_load *job, char *const *interfaces, size_t count,
				    size_t *loaded, struct error *error)
{
	enum kernel_result worst = KERNEL_OK;

	for (size_t i = 0; i < count; i++) {
		struct error failure;
		enum kernel_result result;

		job->interface = interfaces[i];
		result = kernel_load(job, &failure);
		if (result == KERNEL_OK) {
			++*loaded;
			continue;
		}
		if (worst != KERNEL_OK)
			log_write(LOG_ERR, "%s", error->text);
		worst = result;
		*error = failure;
	}
	return worst;
}

static enum kernel_result load(struct arguments *arguments, struct config *config,
			       struct error *error)
{
	char *const *interfaces = arguments->all ? config->interfaces : &arguments->interface;
	size_t count = arguments->all ? config->interface_count : 1, loaded = 0;
	struct kernel_load job = { .replace = arguments->replace };
	const struct kernel_listen listen = { .addresses = config->listen,
					      .count = config->listen_count };
	enum kernel_result result = KERNEL_OK;
	struct kernel *kernel = NULL;
	struct error ignored;

	if (read_mode(arguments->mode, config, &job.mode, error) ||
	    user_find(config->user, &job.owner, &job.group, error))
		return KERNEL_USAGE;
	for (size_t i = 0; i < count && kernel_check_available(&ignored) == KERNEL_OK; i++) {
		result = kernel_detach_abandoned(config->pin_dir, interfaces[i], &listen, error);
		if (result != KERNEL_OK)
			return result;
	}
	if (count == 0 || (arguments->all && config->mode == CONFIG_MODE_OFF)) {
		log_write(LOG_NOTICE, "nothing to load: %s",
			  count ? "mode is off" : "no `interfaces` are configured");
		return KERNEL_OK;
	}
	result = kernel_check_available(error);
	if (result == KERNEL_OK)
		result = ask_sizes(arguments, config, &job, error);
	if (result != KERNEL_OK)
		return result;
	job.pin_dir = pin_dir_create(config->pin_dir, job.owner, error);
	if (!job.pin_dir)
		return errno == ENOENT ? KERNEL_UNAVAILABLE : KERNEL_FAILED;
	result = load_each(&job, interfaces, count, &loaded, error);
	/* A daemon that uses the maps notices the interfaces by itself. */
	if (loaded && pin_dir_lock(job.pin_dir, &ignored) == 0) {
		kernel = kernel_open(job.pin_dir, error);
		if (!kernel || fill_destinations(kernel, config, error))
			result = KERNEL_FAILED;
	}
	kernel_close(kernel);
	pin_dir_hand_over(job.pin_dir, job.owner, job.group);
	pin_dir_close(job.pin_dir);
	return result;
}

static enum kernel_result unload(const struct arguments *arguments, const struct config *config,
				 struct error *error)
{
	const struct kernel_listen listen = { .addresses = config->listen,
					      .count = config->listen_count };
	enum kernel_result result = kernel_unload(config->pin_dir, arguments->interface, error);

	/* Also what an earlier daemon left where no pins lead to it. */
	if (result == KERNEL_OK && arguments->all)
		result = kernel_detach_abandoned(config->pin_dir, NULL, &listen, error);
	return result;
}

static enum kernel_result status(const struct arguments *arguments, const struct config *config,
				 struct error *error)
{
	struct kernel_interface interfaces[INTERFACES_MAX];
	char quoted[SHELL_QUOTE_SIZE(IF_NAMESIZE)];
	const char *name = arguments->interface;
	struct pin_dir *dir = pin_dir_open(config->pin_dir, PIN_DIR_ANY_USER, error);
	enum kernel_result result = dir ? kernel_check_namespace(dir, error) : KERNEL_UNAVAILABLE;
	struct kernel *kernel = result == KERNEL_OK ? kernel_open(dir, error) : NULL;
	bool found = false;
	size_t count;

	if (!kernel) {
		pin_dir_close(dir);
		return result == KERNEL_OK ? KERNEL_UNAVAILABLE : result;
	}
	count = kernel_interfaces(kernel, interfaces, INTERFACES_MAX);
	for (size_t i = 0; i < count && i < INTERFACES_MAX; i++) {
		const struct kernel_interface *one = &interfaces[i];

		if (name && strcmp(one->name, name))
			continue;
		found = found || one->attached;
		if (!one->attached)
			printf("%s: no longer attached\n", one->name[0] ? one->name : "(gone)");
		else
			printf("%s: mode %s, program %u, %s, maps in %s\n", one->name,
			       one->native ? "native" : "generic", one->program_id,
			       one->dispatcher ? "beside others (libxdp dispatcher)"
					       : "alone (libxdp dispatcher not in use)",
			       config->pin_dir);
	}
	kernel_close(kernel);
	pin_dir_close(dir);
	if (found)
		return KERNEL_OK;
	if (name && !if_nametoindex(name)) {
		error_set(error, "interface %s: no such device in this network namespace", name);
		return KERNEL_NO_DEVICE;
	}
	if (name)
		error_set(error, "%s: not attached; `xdp-icp-load %s`", name,
			  shell_quote(name, quoted));
	else
		error_set(error, "%s: not attached; `xdp-icp-load INTERFACE`", config->pin_dir);
	return KERNEL_FAILED;
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options,	     parse, "INTERFACE", doc,
					  standard_children, NULL,  NULL };
	struct arguments arguments = { .level = LOG_NOTICE };
	enum kernel_result result = KERNEL_USAGE;
	struct config *config = NULL;
	struct error error;

	argv[0] = (char *)"xdp-icp-load"; /* the name of the front end */
	closefrom(STDERR_FILENO + 1);	  /* what root has open is not for plugins and children */
	argp_err_exit_status = KERNEL_USAGE;
	argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &arguments);
	log_open("xdp-icp-load", arguments.level);
	if (read_config(&arguments, &config, &error) == 0) {
		switch (arguments.action) {
		case LOAD:
			result = load(&arguments, config, &error);
			break;
		case UNLOAD:
			result = unload(&arguments, config, &error);
			break;
		case STATUS:
			result = status(&arguments, config, &error);
			break;
		}
		config_free(config);
	}
	if (result != KERNEL_OK)
		log_write(LOG_ERR, "%s", error.text);
	return result;
}
