/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A setup as the configuration and the list files that an operator would write. */
#ifndef FIDELITY_CONFIGURATION_H
#define FIDELITY_CONFIGURATION_H

#include "setup.h"

/* List files and scripts go to `directory`, named by the policies' places. */
void configuration_write(const struct setup *setup, const char *directory, FILE *out);

#endif
