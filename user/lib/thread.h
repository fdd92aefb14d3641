/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef XDP_ICP_THREAD_H
#define XDP_ICP_THREAD_H

#include <pthread.h>

/*
 * Start a thread that blocks all signals: the main thread handles them. Threads that it starts inherit
 * that. Arguments and result are those of pthread_create(): 0, or a number of errno.
 */
int thread_start(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *context),
		 void *context);

#endif
