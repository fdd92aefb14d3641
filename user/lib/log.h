/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one sink of all messages: standard error, one line a message, printable (escape_line()). */
#ifndef XDP_ICP_LOG_H
#define XDP_ICP_LOG_H

#include <stdarg.h>
#include <syslog.h> /* LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG */

/*
 * Messages above `level` (a syslog priority) are dropped. Under systemd each line carries its
 * priority as sd-daemon(3) has it, elsewhere the program's name.
 */
void log_open(const char *program, int level);

void log_write(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_vwrite(int priority, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

#endif
