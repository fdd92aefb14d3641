/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The functions of Lua's library of strings whose work has to be counted. */
#ifndef XDP_ICP_LUA_STRINGS_H
#define XDP_ICP_LUA_STRINGS_H

#include <lauxlib.h>

/* find, match, gmatch, gsub and rep, as Lua's manual has them; ends with a name of NULL. */
extern const luaL_Reg lua_strings[];

#endif
