// SPDX-License-Identifier: GPL-2.0-or-later
#include "packet.h"
#include "report.h"

const char *const fault_names[FAULT_MAX] = { "none",	"refused", "kernel",  "warm",
					     "touched", "lazy",	   "forgot",  "daemon",
					     "flight",	"check",   "answerer" };

static const char *const who[FAULT_MAX] = {
	[FAULT_REFUSED] = "the configuration is refused: ",
	[FAULT_KERNEL] = "the kernel answers ",
	[FAULT_WARM] = "the kernel answers from its memory ",
	[FAULT_TOUCHED] = "the kernel passes up another packet",
	[FAULT_LAZY] = "the kernel passes up what it must know",
	[FAULT_FORGOT] = "the kernel passes up what it was told to remember",
	[FAULT_DAEMON] = "the daemon answers ",
	[FAULT_FLIGHT] = "the daemon answers what was in flight with ",
	[FAULT_CHECK] = "check names ",
	[FAULT_ANSWERER] = "check names ",
};

static const char *const deciders[] = { "the form of the URL", "the drain", "the rule ", "policy ",
					"the default" };

bool wrong(struct report *report, enum fault fault, const struct expected *expected,
	   const char *got)
{
	char must[64];

	verdict_describe(must, sizeof(must), expected->verdict, expected->cost);
	report->fault = fault;
	snprintf(report->text, sizeof(report->text), "%s%s; right is %s, by %s%.*s", who[fault],
		 got, must, deciders[expected->decider], (int)expected->name.length,
		 expected->name.length ? expected->name.at : "");
	return false;
}
