/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A drain that outlives the daemon: its name in a file of CONFIGURATION.d whose name no policy's
 * file has (dropin.h). A drain is a verdict (enum icp_opcode), DRAIN_SILENCE, or 0 for none.
 */
#ifndef XDP_ICP_SAVED_DRAIN_H
#define XDP_ICP_SAVED_DRAIN_H

#include <stdint.h>

#include "config/saved_file.h"

#define DRAIN_NAMES "silence, " VERDICT_NAMES /* for messages */

/* Return the drain of a name, 0 if there is none. */
uint32_t drain_from_name(const char *name);

/* Return the name of a drain, as that of an opcode: ICP_OP_MISS_NOFETCH. NULL: 0, none. */
const char *drain_name(uint32_t drain);

/* Read what is saved beside a configuration, 0 if nothing is. Returns 0, or -1 with an error. */
int saved_drain_read(const char *config_path, uint32_t *drain, struct error *error);

/*
 * Save a drain, or (0) remove what is saved. Returns 0 and the file, by which the caller can undo
 * the change, and which it frees; or -1 with nothing changed and an error.
 */
int saved_drain_change(const char *config_path, uint32_t drain, struct saved_file **file,
		       struct error *error);

#endif
