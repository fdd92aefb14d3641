/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages to the service manager, in the protocol of sd_notify(3). libsystemd is not used, because
 * it would bring its compression and encryption libraries into a process that starts as root.
 * Without a service manager, or where it does not listen, nothing happens.
 */
#ifndef XDP_ICP_NOTIFY_H
#define XDP_ICP_NOTIFY_H

/*
 * Take the manager's socket and the interval of its watchdog from the environment, and remove them
 * there: they are not for children. Call once, before environment_reduce().
 */
void notify_open(void);

/* Send a message: lines of VARIABLE=VALUE, such as "READY=1". printf() formats it. */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Return the interval in milliseconds at which to send "WATCHDOG=1", half of the manager's timeout;
 * 0: it expects no such messages.
 */
unsigned int notify_watchdog_interval(void);

#endif
