// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * icpctl top: a view of the daemon that fills the terminal. One thread waits for keys, signals and the
 * daemon at the same time, so that keys work while a daemon hangs.
 */
#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <term.h>
#include <unistd.h>

#include "icpctl/icpctl.h"
#include "icpctl/top.h"
#include "lib/clock.h"

#define SECONDS_MAX 3600
#define MS 1000000u /* in nanoseconds */

#define OPTION_INTERVAL 0x200

struct input {
	struct icpctl *ctl;
	struct top top;
	int signals; /* a descriptor, readable once one asks to end */
	int events;  /* likewise for that and for keys */
};

/* --- the daemon */

static void drop_sample(struct top_sample *sample)
{
	json_decref(sample->status);
	json_decref(sample->policies);
	*sample = (struct top_sample){ 0 };
}

/* Report that the daemon does not reply, instead of showing outdated data. */
static void on_tick(void *context, size_t sent)
{
	struct top *top = context;

	error_write(&top->error, "no reply for %.0f s",
		    (double)(clock_ns(CLOCK_MONOTONIC) - top->when) / 1e9);
	top_draw(top);
}

/* Ask the daemon. A key that is pressed meanwhile stops the request. */
static enum control_result take_sample(struct input *input, struct error *error)
{
	struct top *top = &input->top;
	const struct control_wait wait = {
		.stop = input->events,
		.tick = stdscr ? on_tick : NULL,
		.context = top,
	};
	const char *path = input->ctl->socket;
	struct top_sample sample = { 0 };
	enum control_result result =
		control_ask_and(path, "GET", "/v1/status", NULL, &wait, &sample.status, error);

	if (result == CONTROL_OK)
		result = control_ask_and(path, "GET", "/v1/policies", NULL, &wait, &sample.policies,
					 error);
	if (result == CONTROL_OK) {
		drop_sample(&top->before);
		top->before = top->now;
		top->now = sample;
		top->when = clock_ns(CLOCK_MONOTONIC);
		top->error.text[0] = '\0';
	} else {
		drop_sample(&sample);
	}
	return result;
}

/* --- the terminal */

static int open_events(struct input *input)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	input->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	input->events = epoll_create1(EPOLL_CLOEXEC);
	if (input->signals < 0 || input->events < 0 ||
	    epoll_ctl(input->events, EPOLL_CTL_ADD, input->signals, &event) ||
	    epoll_ctl(input->events, EPOLL_CTL_ADD, STDIN_FILENO, &event))
		return icpctl_fail(input->ctl, ICPCTL_USAGE, "cannot wait for keys: %s",
				   strerror(errno));
	return 0;
}

/* newterm() would leak memory if the terminal is unknown, initscr() would exit. */
static bool is_usable(void)
{
	char cup[] = "cup"; /* the name of the capability */
	const char *place;
	int found;

	if (setupterm(NULL, STDOUT_FILENO, &found) != OK)
		return false;
	place = tigetstr(cup);
	del_curterm(cur_term);
	return place && place != (const char *)-1;
}

static int open_screen(struct input *input)
{
	const char *terminal = getenv("TERM");

	if (input->ctl->json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return icpctl_fail(input->ctl, ICPCTL_USAGE,
				   "top is for a terminal; elsewhere: icpctl status --watch");
	if (!is_usable() || !newterm(terminal, stdout, stdin))
		return icpctl_fail(input->ctl, ICPCTL_USAGE,
				   "TERM=%s: unknown, or a terminal that cannot place the cursor; "
				   "use icpctl status --watch",
				   terminal ? terminal : "");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	if (has_colors() && !getenv("NO_COLOR")) {
		start_color();
		use_default_colors();
		init_pair(1, COLOR_RED, -1);
	}
	return 0;
}

/* --- keys */

/* False: to end. */
static bool take_key(struct top *top, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case 's':
		top->order = (top->order + 1) % TOP_ORDERS;
		break;
	case KEY_UP:
	case 'k':
		top->move--;
		break;
	case KEY_DOWN:
	case 'j':
		top->move++;
		break;
	case KEY_PPAGE:
		top->move -= (int)top->page;
		break;
	case KEY_NPAGE:
	case ' ':
		top->move += (int)top->page;
		break;
	case KEY_HOME:
		top->move = -(int)top->row;
		break;
	case KEY_END:
		top->move = (int)(top->rows - top->row);
		break;
	case '\f':
		clearok(stdscr, TRUE);
		break;
	default: /* also KEY_RESIZE: it is drawn again in any case */
		break;
	}
	return true;
}

/* Take what has come from the terminal. False: to end. */
static bool take_keys(struct input *input)
{
	struct pollfd terminal = { .fd = STDIN_FILENO, .events = POLLIN };
	struct pollfd signals = { .fd = input->signals, .events = POLLIN };
	int key;

	if (poll(&signals, 1, 0) > 0)
		return false;
	poll(&terminal, 1, 0);
	if (terminal.revents & (POLLHUP | POLLERR | POLLNVAL))
		return false;
	while ((key = getch()) != ERR)
		if (!take_key(&input->top, key))
			return false;
	return true;
}

/* --- the loop */

static int wait_ms(uint64_t until)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	return until > now ? (int)((until - now) / MS) + 1 : 0;
}

static void run(struct input *input)
{
	struct pollfd events = { .fd = input->events, .events = POLLIN };
	struct top *top = &input->top;
	uint64_t next = clock_ns(CLOCK_MONOTONIC) + top->seconds * 1000 * MS;
	enum control_result result;

	while (take_keys(input)) {
		top_draw(top);
		if (poll(&events, 1, wait_ms(next)) != 0 || wait_ms(next) > 0)
			continue;
		result = take_sample(input, &top->error);
		if (result != CONTROL_STOPPED)
			next = clock_ns(CLOCK_MONOTONIC) + top->seconds * 1000 * MS;
		/* What begins again after a gap has no rates at first. */
		if (result != CONTROL_OK && result != CONTROL_STOPPED)
			drop_sample(&top->before);
	}
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	if (key != OPTION_INTERVAL)
		return ARGP_ERR_UNKNOWN;
	if (!icpctl_number(argument, 1, SECONDS_MAX, &input->top.seconds))
		return icpctl_usage(state, input->ctl, "--interval '%s': must be 1 to %d seconds",
				    argument, SECONDS_MAX);
	return 0;
}

static const struct argp_option options[] = {
	{ "interval", OPTION_INTERVAL, "SECONDS", 0, "ask the daemon every SECONDS (1)" },
	{ 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Fills the terminal with the rates, the policies, interfaces and maps of the "
	       "daemon, until q or Ctrl-C.\v"
	       "Up, down, page up, page down, home and end select a policy, of which the last "
	       "lines tell more. s sorts by rank, rate, total and name. With NO_COLOR in the "
	       "environment, there are no colours.",
};

int icpctl_top(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl, .top.seconds = 1, .signals = -1, .events = -1 };
	struct error error;
	enum control_result result;
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	if (status)
		return status;
	result = take_sample(&input, &error);
	if (result != CONTROL_OK)
		return icpctl_failed(ctl, result, &error);
	status = open_screen(&input);
	if (status == 0) {
		status = open_events(&input);
		if (status == 0)
			run(&input);
		endwin();
	}
	drop_sample(&input.top.before);
	drop_sample(&input.top.now);
	free(input.top.selected);
	return status;
}
