// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The local time lies in one of `times` (schedule_time.h). A timer checks it at the start of each
 * minute, and whenever the clock is set (TFD_TIMER_CANCEL_ON_SET).
 */
#include <errno.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "policy/gate.h"
#include "lib/event.h"
#include "lib/log.h"
#include "policy/kinds.h"
#include "policy/kinds/schedule.h"
#include "policy/kinds/schedule_time.h"

struct schedule {
	struct gate gate;
	struct schedule_range *ranges;
	size_t count;
	int timer; /* -1: not started */
	struct event *readable;
};

static void update(struct schedule *schedule, time_t now)
{
	struct tm local;

	/* localtime_r() alone does not notice a change of the host's time zone. */
	tzset();
	if (localtime_r(&now, &local))
		gate_set(&schedule->gate,
			 schedule_matches(schedule->ranges, schedule->count, &local));
}

/* Not time(), which can lag behind a timer by a tick. */
static time_t current_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

void policy_schedule_update(const struct policy *policy, time_t now)
{
	update(policy->state, now);
}

/* Arm the timer for the start of the next minute, or for when the clock is set. */
static int set_timer(const struct schedule *schedule, time_t now)
{
	struct itimerspec next = { .it_value.tv_sec = now - now % 60 + 60 };

	return timerfd_settime(schedule->timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &next,
			       NULL);
}

/*
 * Arm the timer first and then update, so that no change of the clock falls between the two.
 * ECANCELED reports such a change; the timer is armed nevertheless.
 */
static int rearm(struct schedule *schedule)
{
	if (set_timer(schedule, current_time()) && errno != ECANCELED)
		return -1;
	update(schedule, current_time());
	return 0;
}

static void timer_fired(evutil_socket_t fd, short what, void *context)
{
	struct schedule *schedule = context;
	uint64_t count;

	/* ECANCELED means that the clock was set: continue. */
	if (read(fd, &count, sizeof(count)) < 0 && errno == EAGAIN)
		return;
	if (rearm(schedule))
		log_write(LOG_ERR, "policy '%s': cannot set a timer: %s",
			  schedule->gate.policy->name, strerror(errno));
}

static int read_times(struct schedule *schedule, const struct policy_spec *spec,
		      struct error *error)
{
	const struct spec_setting *times = policy_spec_find(spec, "times");

	schedule->ranges = calloc(times->count + 1, sizeof(*schedule->ranges));
	if (!schedule->ranges)
		return error_set(error, "out of memory");
	for (size_t i = 0; i < times->count; i++)
		if (schedule_parse(times->values[i].text, &schedule->ranges[i], error))
			return error_prefix(error,
					    "%s: policy '%s': times: ", times->values[i].where,
					    spec->name);
	schedule->count = times->count;
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct schedule *schedule = gate_create(policy, spec, sizeof(*schedule), error);

	if (!schedule)
		return -1;
	schedule->timer = -1;
	if (read_times(schedule, spec, error))
		return -1;
	update(schedule, current_time());
	return 0;
}

static int start(struct policy *policy, struct event_base *base, policy_changed changed,
		 void *context, struct error *error)
{
	struct schedule *schedule = policy->state;

	gate_start(&schedule->gate, changed, context);
	schedule->timer = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (schedule->timer < 0)
		return error_set(error, "policy '%s': cannot watch the clock: %s", policy->name,
				 strerror(errno));
	schedule->readable = gate_event_prioritize(
		event_new(base, schedule->timer, EV_READ | EV_PERSIST, timer_fired, schedule));
	if (!schedule->readable || event_add(schedule->readable, NULL))
		return error_set(error, "policy '%s': cannot watch the clock: out of memory",
				 policy->name);
	if (rearm(schedule))
		return error_set(error, "policy '%s': cannot set a timer: %s", policy->name,
				 strerror(errno));
	return 0;
}

static void inherit(struct policy *policy, const struct policy *old)
{
	struct schedule *schedule = policy->state;
	const struct schedule *before = old->state;

	gate_inherit_since(&schedule->gate, &before->gate);
}

static void tell_state(const struct policy *policy, struct policy_state *state)
{
	const struct schedule *schedule = policy->state;

	gate_tell(&schedule->gate, "within its times", "outside its times", state);
}

static void destroy(struct policy *policy)
{
	struct schedule *schedule = policy->state;

	event_drop(schedule->readable);
	if (schedule->timer >= 0)
		close(schedule->timer);
	free(schedule->ranges);
	free(schedule);
}

static const struct policy_setting settings[] = {
	{ "times", "local times, as 02:00-04:00 or Mon-Fri 22:00-06:00", .list = true,
	  .required = true },
	{ NULL },
};

const struct policy_kind policy_schedule = {
	.name = "schedule",
	.help = "the local time lies in one of 'times'",
	.basis = POLICY_BASIS_HOST,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = gate_match,
	.start = start,
	.inherit = inherit,
	.tell_state = tell_state,
};
