/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of the programs: one line each to standard error, made printable by escape_line(). */
#ifndef XDP_ICP_LOG_H
#define XDP_ICP_LOG_H

#include <stdarg.h>
#include <syslog.h> /* LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG */

/*
 * Set the program's name and the highest syslog priority that is logged. Under systemd a line
 * begins with its priority, see sd-daemon(3), otherwise with the program's name.
 */
void log_open(const char *program, int level);

void log_write(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_vwrite(int priority, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

#endif
