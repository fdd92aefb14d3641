// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Matches once the load average of the last minute exceeds `above`, until it no longer exceeds
 * `below`.
 *
 * With `pressure`, the value is instead the percentage of the last ten seconds in which at least
 * one task waited for that resource: `some avg10` of /proc/pressure. What a load of 8 means depends
 * on the number of processors; a pressure of 8 % means the same everywhere.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/gate.h"
#include "lib/clock.h"
#include "lib/event.h"
#include "lib/log.h"
#include "policy/kinds.h"
#include "policy/kinds/load.h"

#define ABOVE_MAX 1000000
#define INTERVAL_MIN 10 /* ms */
#define INTERVAL_MAX 3600000

struct load {
	struct gate gate;
	char path[256];
	bool pressure;
	double above, below;
	unsigned int interval; /* ms */
	struct event *timer;
	double value;	/* last read */
	int unreadable; /* errno of the last reading if that failed, which was logged */
};

/* Read the first number after the label. Returns -1 with errno. */
static int read_value(const struct load *load, double *value)
{
	const char *label = load->pressure ? "some avg10=" : "";
	int fd = open(load->path, O_RDONLY | O_CLOEXEC);
	struct error ignored;
	char text[128];
	ssize_t length;
	int problem;

	if (fd < 0)
		return -1;
	length = read(fd, text, sizeof(text) - 1);
	problem = errno;
	close(fd);
	errno = problem;
	if (length < 0)
		return -1;
	text[length] = '\0';
	errno = EBADMSG;
	if (strncmp(text, label, strlen(label)))
		return -1;
	text[strcspn(text + strlen(label), " \n") + strlen(label)] = '\0';
	return parse_decimal(text + strlen(label), 1e9, value, &ignored);
}

/* Update the gate; a failed reading leaves it unchanged. */
static void update(struct load *load)
{
	if (read_value(load, &load->value)) {
		bool known = load->unreadable;

		load->unreadable = errno;
		if (!known)
			log_write(LOG_WARNING, "policy '%s': cannot read %s: %s",
				  load->gate.policy->name, load->path, strerror(load->unreadable));
		return;
	}
	load->unreadable = 0;
	gate_set(&load->gate, load->value > (load->gate.matches ? load->below : load->above));
}

void policy_load_update(const struct policy *policy)
{
	update(policy->state);
}

static void timer_fired(evutil_socket_t fd, short what, void *context)
{
	update(context);
}

static int read_pressure(struct load *load, const struct policy_spec *spec, const char *proc,
			 struct error *error)
{
	const struct spec_value *pressure;
	int found = policy_spec_text(spec, "pressure", &pressure, error);

	if (found < 0)
		return -1;
	if (!found) {
		snprintf(load->path, sizeof(load->path), "%s/loadavg", proc);
		return 0;
	}
	if (strcmp(pressure->text, "cpu") && strcmp(pressure->text, "memory") &&
	    strcmp(pressure->text, "io"))
		return error_set(error,
				 "%s: policy '%s': pressure: unknown resource '%s'; it can be "
				 "cpu, memory or io",
				 pressure->where, spec->name, pressure->text);
	load->pressure = true;
	snprintf(load->path, sizeof(load->path), "%s/pressure/%s", proc, pressure->text);
	return 0;
}

static int read_spec(struct load *load, const struct policy_spec *spec, const char *proc,
		     struct error *error)
{
	double value;

	load->interval = 1000;
	if (read_pressure(load, spec, proc, error) ||
	    policy_spec_decimal(spec, "above", load->pressure ? 100 : ABOVE_MAX, &load->above,
				error) < 0)
		return -1;
	load->below = load->above;
	if (policy_spec_decimal(spec, "below", load->above, &load->below, error) < 0 ||
	    policy_spec_duration(spec, "interval", INTERVAL_MIN, INTERVAL_MAX, &load->interval,
				 error) < 0)
		return -1;
	if (read_value(load, &value))
		return error_set(error, "%s: policy '%s': cannot read %s: %s%s", spec->where,
				 spec->name, load->path, strerror(errno),
				 load->pressure ? "; a kernel with PSI has it, some of them when "
						  "booted with psi=1"
						: "; /proc must be mounted");
	return 0;
}

int policy_load_create(struct policy *policy, const struct policy_spec *spec, const char *proc,
		       struct error *error)
{
	struct load *load = gate_create(policy, spec, sizeof(*load), error);

	if (!load || read_spec(load, spec, proc, error))
		return -1;
	update(load);
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	return policy_load_create(policy, spec, "/proc", error);
}

static int start(struct policy *policy, struct event_base *base, policy_changed changed,
		 void *context, struct error *error)
{
	struct load *load = policy->state;
	struct timeval interval = clock_timeval(load->interval);

	gate_start(&load->gate, changed, context);
	load->timer = gate_event_prioritize(event_new(base, -1, EV_PERSIST, timer_fired, load));
	if (!load->timer || event_add(load->timer, &interval))
		return error_set(error, "policy '%s': cannot watch the load: out of memory",
				 policy->name);
	return 0;
}

static void destroy(struct policy *policy)
{
	struct load *load = policy->state;

	event_drop(load->timer);
	free(load);
}

/* Between `below` and `above` the state depends on the past. */
static void inherit(struct policy *policy, const struct policy *old)
{
	struct load *load = policy->state;
	const struct load *before = old->state;

	if (strcmp(load->path, before->path) != 0 || load->above != before->above ||
	    load->below != before->below)
		return;
	gate_inherit(&load->gate, &before->gate);
	update(load);
}

static void tell_state(const struct policy *policy, struct policy_state *state)
{
	const struct load *load = policy->state;

	gate_tell(&load->gate, "high", "normal", state);
	state->trouble = load->unreadable;
	if (load->unreadable)
		snprintf(state->why, sizeof(state->why), "%.64s cannot be read: %s; last %g",
			 load->path, strerror(load->unreadable), load->value);
	else
		snprintf(state->why, sizeof(state->why), "%.64s: %g; high above %g, until %g",
			 load->path, load->value, load->above, load->below);
}

static const struct policy_setting settings[] = {
	{ "above",
	  "the load average, or with 'pressure' the percentage, above which the policy matches",
	  .required = true },
	{ "below", "the value down to which it keeps matching; default: that of 'above'" },
	{ "pressure",
	  "the resource (cpu, memory or io) whose pressure is read instead of the load average" },
	{ "interval", "from one reading to the next, 10ms to 1h; default 1s" },
	{ NULL },
};

const struct policy_kind policy_load = {
	.name = "load",
	.help = "the load average of the last minute, or a pressure, is too high",
	.basis = POLICY_BASIS_HOST,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = gate_match,
	.start = start,
	.inherit = inherit,
	.tell_state = tell_state,
};
