/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What surrounds the daemon, in the hands of the test: the linker leads these calls here (--wrap).
 * The clocks, the seeds of hashes, files of /proc, the helpers' processes, and the plugins' objects.
 */
#ifndef FIDELITY_SEAMS_H
#define FIDELITY_SEAMS_H

#include "setup.h"

/* `kernel_now` is the clock of the XDP program. Files lie in `directory`, which has to outlive it. */
void seams_open(const char *directory, uint64_t *kernel_now);
void seams_close(void);

/* A new run: time begins, the load is 0. */
void seams_begin(void);

/* The setup that chains are made from until the next call: what helpers and plugins reply. */
void seams_chain(const struct setup *setup);

void seams_seed(uint64_t seed);
/* The next chain begins with the same hash keys as the one before. */
void seams_begin_chain(void);
void seams_time(const struct setup *setup);
time_t seams_wall(void);
void seams_load(const char *name, int value);

/* A helper or plugin of the chain that was made last changes what it replies. */
void seams_say(const struct step *says);

/* The shared object for a plugin that declares these. Valid until the next call. */
const char *plugin_path(enum sight sees, int ttl);

/* The question that was asked last and is still open; NULL: none. */
struct open_question;
struct open_question *seams_last_question(void);

/* Replies to it, or, `lost`, has the pool say that nobody does. */
void seams_reply(struct open_question *question, bool lost);

#endif
