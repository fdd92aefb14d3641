/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The directory in which the maps are pinned, as a configuration or a reply of a daemon names it. */
#ifndef XDP_ICP_PIN_DIR_H
#define XDP_ICP_PIN_DIR_H

#include "lib/error.h"

#define PIN_DIR_MAX 255 /* bytes */

/*
 * Takes only plain absolute paths: 1 to PIN_DIR_MAX letters, digits and /._-+:@,% without empty
 * components, "." and "..", and without a dot in the last component, which a bpffs would refuse.
 * Root works in such a directory, and prints it for the shell. -1 and an error without a place.
 */
int pin_dir_check(const char *path, struct error *error);

#endif
