/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of the programs: one line each to standard error, made printable by escape_line(). */
#ifndef XDP_ICP_LOG_H
#define XDP_ICP_LOG_H

#include <stdbool.h>
#include <syslog.h> /* LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG */
#include <time.h>

/*
 * Set the program's name and the highest syslog priority that is logged. Under systemd a line
 * begins with its priority, see sd-daemon(3), otherwise with the program's name.
 */
void log_open(const char *program, int level);

/* Write a JSON object a line instead, with time, level, program and message, or text again. */
void log_set_json(bool json);

void log_write(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define LOG_LIMIT_PERIOD 10 /* seconds */
#define LOG_LIMIT_TEXT 64   /* bytes */

/* Counts the messages about one thing that others could cause by the thousand. Initially zero. */
struct log_limit {
	time_t end;	      /* of the period, CLOCK_MONOTONIC; 0: none has begun */
	unsigned int written; /* messages in it */
	unsigned long suppressed;
};

/*
 * Count a message, of which at most `most` a period are written. Return whether to write it, and
 * what to append: " (and N more since the last)" if others were suppressed, else "".
 */
bool log_limit_allows(struct log_limit *limit, unsigned int most, char more[LOG_LIMIT_TEXT]);

#endif
