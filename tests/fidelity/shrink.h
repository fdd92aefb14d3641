/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes a script that fails shorter, for as long as it fails in the same way. */
#ifndef FIDELITY_SHRINK_H
#define FIDELITY_SHRINK_H

#include "script.h"

/* Runs the steps; true: they still fail in that way. */
typedef bool (*still_fails)(void *context, const struct step *steps, size_t count);

/* The last step is the one that shows the wrong reply. */
void shrink(struct script *script, still_fails fails, void *context);

#endif
