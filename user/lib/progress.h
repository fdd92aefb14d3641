/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Progress of long work: one line on standard error, which the next one overwrites. Nothing is
 * written unless standard error is a terminal.
 */
#ifndef XDP_ICP_PROGRESS_H
#define XDP_ICP_PROGRESS_H

#include <stdbool.h>

/* Is progress shown, that is, is standard error a terminal? */
bool progress_is_shown(void);

/* Show a text of printable ASCII, which is cut where the terminal's line ends. */
void progress_show(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Remove the line, if there is one, before anything else is printed. */
void progress_end(void);

#endif
