/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The result of a run, as text or as JSON. */
#ifndef XDP_ICP_BLAST_REPORT_H
#define XDP_ICP_BLAST_REPORT_H

#include "icpblast/run.h"

/* Print the result of a run on standard output. */
void blast_report(const struct blast_job *job, const struct blast_result *result, bool json);

#endif
