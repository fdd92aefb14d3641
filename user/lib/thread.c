// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>

#include "lib/thread.h"

int thread_start(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *context),
		 void *context)
{
	sigset_t all, before;
	int result;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(thread, attributes, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}
