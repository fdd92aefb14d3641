// SPDX-License-Identifier: GPL-2.0-or-later
/* The main() of unit tests. It is apart, so that fidelity, which has its own, can link the rest. */
#include "support/test.h"

int main(void)
{
	return test_run();
}
