// SPDX-License-Identifier: GPL-2.0-or-later
/* The daemon's command line. */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "xdp-icpd/config_check.h"
#include "xdp-icpd/daemon.h"
#include "config/dropin.h"
#include "lib/log.h"
#include "lib/notify.h"
#include "lib/standard_options.h"

const char *argp_program_version = "xdp-icpd " XDP_ICP_VERSION;

static const char doc[] =
	"Replies to ICP queries (RFC 2186) by policies: an XDP program to what it can decide, the "
	"daemon to everything else. Runs in the foreground.\v"
	"SIGHUP reloads the configuration, SIGTERM and SIGINT drain and end the daemon.\n\n"
	"Exit status: 0 a clean end, 1 a wrong configuration or a start that failed; the message "
	"says what would be right.";

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "configuration (" CONFIG_PATH ")", 0 },
	{ "check", 'k', NULL, 0, "check the configuration and exit", 0 },
	{ "verbose", 'v', NULL, 0, "log more; twice: all that the libraries report", 0 },
	{ 0 },
};

struct arguments {
	const char *config;
	bool check;
	int level;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'c':
		arguments->config = value;
		break;
	case 'k':
		arguments->check = true;
		break;
	case 'v':
		arguments->level++;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "no arguments are taken: %s", value);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, NULL, doc, standard_children, NULL, NULL
	};
	struct arguments arguments = { .config = CONFIG_PATH, .level = LOG_NOTICE };
	struct daemon daemon;
	struct error error;

	closefrom(STDERR_FILENO + 1); /* what root has open is not for plugins and children */
	signal(SIGCHLD, SIG_DFL); /* an ignored one is inherited: no child could be waited for */
	argp_err_exit_status = EXIT_FAILURE;
	argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &arguments);
	log_open("xdp-icpd", arguments.level);
	if (arguments.check)
		return config_check(arguments.config) ? EXIT_FAILURE : EXIT_SUCCESS;
	notify_open();
	if (daemon_start(&daemon, arguments.config, &error)) {
		log_write(LOG_ERR, "%s", error.text);
		return EXIT_FAILURE;
	}
	daemon_run(&daemon);
	daemon_stop(&daemon);
	return EXIT_SUCCESS;
}
