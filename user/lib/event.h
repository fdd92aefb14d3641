/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef XDP_ICP_EVENT_H
#define XDP_ICP_EVENT_H

#include <event2/event.h>

/* Remove and free an event. Unlike with event_free(), NULL is ignored. */
static inline void event_drop(struct event *event)
{
	if (event)
		event_free(event);
}

#endif
