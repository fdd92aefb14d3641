/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The directory in which maps are pinned, as given in a configuration or a daemon's response. */
#ifndef XDP_ICP_PIN_DIR_H
#define XDP_ICP_PIN_DIR_H

#include "lib/error.h"

#define PIN_DIR_MAX 255 /* bytes */

/*
 * Accept only plain absolute paths: 1 to PIN_DIR_MAX letters, digits and /._-+:@,% without empty
 * components, "." and "..", and without a dot in the last component, which bpffs does not allow.
 * Root works in this directory and prints it in shell commands. -1 with an error that does not name
 * the place.
 */
int pin_dir_check(const char *path, struct error *error);

#endif
