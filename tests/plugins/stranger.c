// SPDX-License-Identifier: GPL-2.0-or-later
/* A shared object that is no plugin. */
extern int something;
int something = 1;
