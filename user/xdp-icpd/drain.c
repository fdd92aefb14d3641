// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/saved_drain.h"
#include "lib/log.h"
#include "maps.h"
#include "xdp-icpd/drain.h"

static void log_drain(uint32_t drain, const char *how)
{
	if (!drain)
		log_write(LOG_NOTICE, "drain ended");
	else if (drain == DRAIN_SILENCE)
		log_write(LOG_NOTICE, "draining%s: no query gets a reply", how);
	else
		log_write(LOG_NOTICE, "draining%s: %s to every query", how, drain_name(drain));
}

int daemon_drain(struct daemon *daemon, uint32_t drain, struct error *error)
{
	/* The kernel first where answers end, here first where they begin: silence has no gap. */
	if (daemon->xdp.kernel && kernel_drain(daemon->xdp.kernel, drain, error))
		return -1;
	server_pause(&daemon->server);
	daemon->server.responder.drain = drain;
	server_resume(&daemon->server);
	log_drain(drain, "");
	return 0;
}

int daemon_save_drain(struct daemon *daemon, uint32_t drain, struct error *error)
{
	struct saved_file *file;
	struct error undo;
	int result;

	if (saved_drain_change(daemon->config_path, drain, &file, error))
		return -1;
	result = daemon_drain(daemon, drain, error);
	if (result == 0)
		daemon->saved_drain = drain;
	else if (saved_file_undo(file, &undo))
		error_prefix(error, "the file is changed nevertheless (%s): ", undo.text);
	saved_file_free(file);
	return result;
}

void daemon_begin_drain(struct daemon *daemon)
{
	daemon->server.responder.drain = daemon->saved_drain;
	if (daemon->xdp.kernel)
		kernel_begin_drain(daemon->xdp.kernel, daemon->saved_drain);
	if (daemon->saved_drain)
		log_drain(daemon->saved_drain, " as before the start");
}

void daemon_leave_drain(struct daemon *daemon)
{
	struct error error;

	if (daemon->server.responder.drain != daemon->saved_drain && daemon->xdp.kernel &&
	    kernel_drain(daemon->xdp.kernel, daemon->saved_drain, &error))
		log_write(LOG_ERR, "%s", error.text);
}
