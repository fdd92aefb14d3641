// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "xdp/device.h"
#include "xdp/attach.h"
#include "xdp/bpflog.h"
#include "xdp/pins.h"
#include "xdp/skeleton.h"
#include "lib/log.h"
#include "lib/shell_quote.h"

#define PROGRAM_NAME "xdp_icp"

/* --- what is there */

static bool program_uses_map(uint32_t program, uint32_t map)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	uint32_t maps[64];
	bool uses = false;
	int fd = bpf_prog_get_fd_by_id(program);

	if (fd < 0)
		return false;
	info.nr_map_ids = sizeof(maps) / sizeof(maps[0]);
	info.map_ids = (uintptr_t)maps;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
		for (uint32_t i = 0; i < info.nr_map_ids && i < 64; i++)
			uses = uses || maps[i] == map;
	close(fd);
	return uses;
}

static bool same_code(uint32_t program, int fd)
{
	struct bpf_prog_info old = { 0 }, new = { 0 };
	uint32_t old_size = sizeof(old), new_size = sizeof(new);
	int old_fd = bpf_prog_get_fd_by_id(program);
	bool same;

	if (old_fd < 0)
		return false;
	same = bpf_obj_get_info_by_fd(old_fd, &old, &old_size) == 0 &&
	       bpf_obj_get_info_by_fd(fd, &new, &new_size) == 0 &&
	       memcmp(old.tag, new.tag, sizeof(old.tag)) == 0;
	close(old_fd);
	return same;
}

/* What an interface carries. */
struct carried {
	struct xdp_multiprog *all; /* NULL: nothing */
	struct xdp_program *ours;  /* in `all`, NULL if ours is not there */
	bool native;
	bool dispatcher;
};

/* `controls` are the ids of control maps by which a program is known to be ours. */
static void carried_read(struct carried *carried, unsigned int ifindex, const uint32_t *controls,
			 size_t count)
{
	struct xdp_program *program = NULL;

	*carried = (struct carried){ .all = xdp_multiprog__get_from_ifindex(ifindex) };
	if (libxdp_get_error(carried->all)) {
		carried->all = NULL;
		return;
	}
	carried->native = xdp_multiprog__attach_mode(carried->all) == XDP_MODE_NATIVE;
	carried->dispatcher = !xdp_multiprog__is_legacy(carried->all);
	for (;;) {
		program = carried->dispatcher ? xdp_multiprog__next_prog(program, carried->all)
			  : program	      ? NULL
					      : xdp_multiprog__main_prog(carried->all);
		if (!program)
			return;
		for (size_t i = 0; i < count; i++)
			if (controls[i] && program_uses_map(xdp_program__id(program), controls[i]))
				carried->ours = program;
	}
}

static void carried_close(struct carried *carried)
{
	if (carried->all)
		xdp_multiprog__close(carried->all);
}

/* --- the program that is to be there */

/* It is loaded differently for the two modes (skeleton_open()), generic only when it is needed. */
struct code {
	const struct kernel_load *load;
	int native;		 /* fd, the caller's */
	struct xdp_icp *generic; /* NULL: not loaded yet */
};

/* A file descriptor that stays with `code`; -1 and `error`: the kernel refuses it. */
static int code_fd(struct code *code, bool native, struct error *error)
{
	const struct kernel_load *load = code->load;
	int err;

	if (native)
		return code->native;
	if (!code->generic) {
		code->generic = skeleton_open(load->pin_dir, &load->sizes, false, error);
		if (!code->generic)
			return -1;
		err = xdp_icp__load(code->generic);
		if (err) {
			xdp_icp__destroy(code->generic);
			code->generic = NULL;
			return error_set(error,
					 "the XDP program cannot be loaded for generic mode: %s",
					 strerror(-err));
		}
	}
	return bpf_program__fd(code->generic->progs.xdp_icp);
}

/* --- in a place of its own, or beside others */

static const char *attach_reason(int err)
{
	static char text[384];
	const char *reason = strerror(-err);

	if (err == -EOPNOTSUPP)
		reason = "the driver has no native XDP";
	else if (err == -ERANGE || strstr(kernel_cause, "MTU"))
		reason = "the MTU is larger than the driver takes with XDP; lower it";
	else if (err == -EBUSY || err == -EEXIST)
		reason = "another XDP program is attached in another mode";
	snprintf(text, sizeof(text), "%s%s%s%s", reason, kernel_cause[0] ? " (" : "", kernel_cause,
		 kernel_cause[0] ? ")" : "");
	return text;
}

static uint32_t mode_flag(bool native)
{
	return native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

/* Attaches a fresh instance by libxdp; returns 0 or -errno. */
static int attach_fresh(const struct kernel_load *load, unsigned int ifindex, bool native,
			struct error *error)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options, .prog_name = PROGRAM_NAME);
	struct xdp_icp *skeleton = skeleton_open(load->pin_dir, &load->sizes, native, error);
	struct xdp_program *program;
	int err;

	if (!skeleton)
		return -ENOMEM;
	kernel_cause[0] = '\0';
	options.obj = skeleton->obj;
	program = xdp_program__create(&options);
	err = libxdp_get_error(program);
	if (!err) {
		/* Before it is loaded libbpf does not say so, and libxdp would take it for no. */
		xdp_program__set_xdp_frags_support(program, true);
		err = xdp_program__attach(program, ifindex, native ? XDP_MODE_NATIVE : XDP_MODE_SKB,
					  0);
		xdp_program__close(program);
	}
	xdp_icp__destroy(skeleton);
	return err;
}

/*
 * By libxdp; or alone, where its dispatcher does not take the program and nothing else has the
 * place: kernels that have got "bpf: check changes_pkt_data property for extension programs" refuse
 * to put a program that moves the packet's head behind the dispatcher of a libxdp older than they.
 * Returns 0 or -errno.
 */
static int attach_by_libxdp_or_alone(struct code *code, unsigned int ifindex, bool native,
				     struct error *error)
{
	const struct kernel_load *load = code->load;
	int err = attach_fresh(load, ifindex, native, error);
	char refusal[384];
	int fd;

	if (err != -EINVAL || attached_id(ifindex))
		return err;
	snprintf(refusal, sizeof(refusal), "%s", attach_reason(err));
	kernel_cause[0] = '\0';
	fd = code_fd(code, native, error);
	if (fd < 0)
		return err;
	err = bpf_xdp_attach(ifindex, fd, XDP_FLAGS_UPDATE_IF_NOEXIST | mode_flag(native), NULL);
	if (!err)
		log_write(LOG_INFO,
			  "interface %s: libxdp's dispatcher does not take the program: %s",
			  load->interface, refusal);
	return err;
}

static enum kernel_result attach_in_modes(struct code *code, unsigned int ifindex,
					  struct error *error)
{
	const struct kernel_load *load = code->load;
	char native[512] = "";
	int err;

	/* A veth takes a native program gladly, and then drops what it sends. */
	if (load->mode == KERNEL_AUTO && device_is_veth(load->interface) &&
	    !device_veth_transmits(ifindex)) {
		snprintf(native, sizeof(native),
			 "its peer carries no XDP program, so that a veth would drop the answers");
		log_write(LOG_NOTICE, "interface %s: no native mode: %s", load->interface, native);
	} else if (load->mode != KERNEL_GENERIC) {
		err = attach_by_libxdp_or_alone(code, ifindex, true, error);
		if (!err)
			return KERNEL_OK;
		snprintf(native, sizeof(native), "%s", attach_reason(err));
		if (load->mode == KERNEL_NATIVE) {
			error_set(error, "interface %s: native mode: %s; try mode generic",
				  load->interface, native);
			return err == -EPERM ? KERNEL_NO_MEANS : KERNEL_NO_MODE;
		}
		log_write(LOG_INFO, "interface %s: no native mode: %s", load->interface, native);
	}
	err = attach_by_libxdp_or_alone(code, ifindex, false, error);
	if (!err)
		return KERNEL_OK;
	error_set(error, "interface %s: %s%s%sgeneric mode: %s", load->interface,
		  native[0] ? "native mode: " : "", native, native[0] ? "; " : "",
		  attach_reason(err));
	return err == -EPERM ? KERNEL_NO_MEANS : KERNEL_NO_MODE;
}

static void warn_of_device(const char *interface, unsigned int ifindex, bool native)
{
	char quoted[SHELL_QUOTE_SIZE(IF_NAMESIZE)];

	if (native && device_is_veth(interface) && !device_veth_transmits(ifindex))
		log_write(
			LOG_WARNING,
			"interface %s is a veth in native mode whose peer carries no XDP program "
			"(or the kernel does not tell): answers are lost unless the peer gets one "
			"that passes all; else use mode generic",
			interface);
	if (native && device_strips_vlan(interface) && !device_is_veth(interface))
		log_write(LOG_NOTICE,
			  "interface %s takes VLAN tags off before the program sees them; if "
			  "queries come tagged, `ethtool -K %s rxvlan off`",
			  interface, shell_quote(interface, quoted));
}

static const char *mode_name(bool native)
{
	return native ? "native" : "generic";
}

static bool mode_fits(enum kernel_mode mode, bool native)
{
	return mode == KERNEL_AUTO || (mode == KERNEL_NATIVE) == native;
}

/*
 * Detaches what gives way: all that an interface carries, or ours from among others. Returns 0 or
 * -errno.
 */
static int give_way(const struct carried *carried, unsigned int ifindex)
{
	if (carried->ours && carried->dispatcher)
		return xdp_program__detach(carried->ours, ifindex,
					   carried->native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	return carried->all ? xdp_multiprog__detach(carried->all) : 0;
}

/* Puts the program on the interface, or in the place of what is there. */
static enum kernel_result attach(struct code *code, unsigned int ifindex,
				 const uint32_t controls[2], struct error *error)
{
	const struct kernel_load *load = code->load;
	LIBBPF_OPTS(bpf_xdp_attach_opts, in_place);
	enum kernel_result result = KERNEL_OK;
	struct xdp_program *alone = NULL; /* that shares its place with no other */
	char quoted[SHELL_QUOTE_SIZE(IF_NAMESIZE)];
	struct carried carried;
	bool gave_way = false;

	carried_read(&carried, ifindex, controls, 2);
	if (carried.all && !carried.dispatcher)
		alone = xdp_multiprog__main_prog(carried.all);
	if (alone && !carried.ours) {
		if (!load->replace) {
			error_set(error,
				  "interface %s: carries the XDP program %s (id %u), which shares "
				  "its place with no other; detach it, or take its place with "
				  "`xdp-icp-load --replace %s`",
				  load->interface, xdp_program__name(alone), xdp_program__id(alone),
				  shell_quote(load->interface, quoted));
			result = KERNEL_OCCUPIED;
			goto out;
		}
		log_write(LOG_NOTICE, "interface %s: takes the place of the XDP program %s (id %u)",
			  load->interface, xdp_program__name(alone), xdp_program__id(alone));
		gave_way = true;
	} else if (carried.ours && mode_fits(load->mode, carried.native)) {
		uint32_t id = xdp_program__id(carried.ours);
		int fd = code_fd(code, carried.native, error);

		if (fd < 0) {
			result = KERNEL_FAILED;
			goto out;
		}
		if (same_code(id, fd) && program_uses_map(id, controls[0])) {
			log_write(LOG_INFO, "interface %s: the program is there already (%s)",
				  load->interface, mode_name(carried.native));
			goto out;
		}
		if (alone) {
			in_place.old_prog_fd = xdp_program__fd(alone);
			if (bpf_xdp_attach(ifindex, fd,
					   XDP_FLAGS_REPLACE | mode_flag(carried.native),
					   &in_place) == 0) {
				log_write(LOG_NOTICE, "interface %s: replaced the former program",
					  load->interface);
				goto out;
			}
		}
		gave_way = true;
	} else {
		gave_way = carried.ours;
	}
	if (gave_way)
		give_way(&carried, ifindex);
	result = attach_in_modes(code, ifindex, error);
	if (result != KERNEL_OK && gave_way && alone &&
	    bpf_xdp_attach(ifindex, xdp_program__fd(alone), mode_flag(carried.native), NULL))
		log_write(LOG_ERR, "interface %s: the former program is lost", load->interface);
out:
	carried_close(&carried);
	return result;
}

/* --- notes of it */

/* Forgets interfaces that are gone. */
static void purge_notes(int interfaces)
{
	char name[IF_NAMESIZE];
	uint32_t key, next;

	for (bool more = bpf_map_get_next_key(interfaces, NULL, &next) == 0; more;) {
		key = next;
		more = bpf_map_get_next_key(interfaces, &key, &next) == 0;
		if (!if_indextoname(key, name))
			bpf_map_delete_elem(interfaces, &key);
	}
}

/* Notes for the daemon where the program is. */
static enum kernel_result note(const char *interface, unsigned int ifindex, int interfaces,
			       const uint32_t controls[2], struct error *error)
{
	struct attachment note = { .attached_id = attached_id(ifindex) };
	enum kernel_result result = KERNEL_FAILED;
	struct carried carried;
	uint32_t key = ifindex;

	purge_notes(interfaces);
	carried_read(&carried, ifindex, controls, 2);
	if (!carried.ours) {
		error_set(error, "interface %s: the program is not there although it was attached",
			  interface);
		goto out;
	}
	note.program_id = xdp_program__id(carried.ours);
	note.native = carried.native;
	note.dispatcher = carried.dispatcher;
	if (bpf_map_update_elem(interfaces, &key, &note, BPF_ANY)) {
		error_set(error,
			  "interface %s: no more than %u interfaces can carry the program: %s",
			  interface, map_entries(interfaces), strerror(errno));
		give_way(&carried, ifindex);
		goto out;
	}
	log_write(LOG_NOTICE, "interface %s: XDP program %u attached, mode %s%s", interface,
		  note.program_id, mode_name(carried.native),
		  carried.dispatcher ? ", beside others"
				     : ", alone (the libxdp dispatcher is not in use)");
	warn_of_device(interface, ifindex, carried.native);
	result = KERNEL_OK;
out:
	carried_close(&carried);
	return result;
}

enum kernel_result kernel_attach(const struct kernel_load *load, unsigned int ifindex, int loaded,
				 int interfaces, const uint32_t controls[2], struct error *error)
{
	struct code code = { .load = load, .native = loaded };
	enum kernel_result result = attach(&code, ifindex, controls, error);

	xdp_icp__destroy(code.generic);
	return result == KERNEL_OK ? note(load->interface, ifindex, interfaces, controls, error)
				   : result;
}

/* --- off again */

bool kernel_detach(unsigned int ifindex, uint32_t control, enum kernel_mode *mode)
{
	struct carried carried;
	bool ours;

	carried_read(&carried, ifindex, &control, 1);
	ours = carried.ours != NULL;
	*mode = carried.native ? KERNEL_NATIVE : KERNEL_GENERIC;
	if (ours)
		give_way(&carried, ifindex);
	carried_close(&carried);
	return ours;
}

/* A program of ours whose maps are pinned no more cannot be told from somebody else's. */
static enum kernel_result check_orphan(const char *interface, unsigned int ifindex,
				       struct error *error)
{
	enum kernel_result result = KERNEL_OK;
	char quoted[SHELL_QUOTE_SIZE(IF_NAMESIZE)];
	struct xdp_program *program;
	struct carried carried;

	carried_read(&carried, ifindex, NULL, 0);
	program = carried.all && !carried.dispatcher ? xdp_multiprog__main_prog(carried.all) : NULL;
	if (program && strcmp(xdp_program__name(program), PROGRAM_NAME) == 0) {
		error_set(error,
			  "interface %s: carries an %s (id %u) whose maps are pinned elsewhere or "
			  "nowhere; `ip link set dev %s xdp off` takes it off",
			  interface, PROGRAM_NAME, xdp_program__id(program),
			  shell_quote(interface, quoted));
		result = KERNEL_FAILED;
	}
	carried_close(&carried);
	return result;
}

/* Takes the program off the interface, and its note out of `interfaces`. */
static enum kernel_result unload(const char *interface, int interfaces, int control,
				 struct error *error)
{
	uint32_t id = map_id(control), key = if_nametoindex(interface);
	struct carried carried;
	int err = 0;

	if (!key) {
		error_set(error, "interface %s: no such device", interface);
		return KERNEL_NO_DEVICE;
	}
	carried_read(&carried, key, &id, 1);
	if (carried.ours)
		err = give_way(&carried, key);
	carried_close(&carried);
	if (err) {
		error_set(error, "interface %s: cannot detach: %s", interface, strerror(-err));
		return err == -EPERM ? KERNEL_NO_MEANS : KERNEL_FAILED;
	}
	bpf_map_delete_elem(interfaces, &key);
	return KERNEL_OK;
}

static enum kernel_result unload_orphan(const char *interface, struct error *error)
{
	unsigned int ifindex = if_nametoindex(interface);

	if (ifindex)
		return check_orphan(interface, ifindex, error);
	error_set(error, "interface %s: no such device", interface);
	return KERNEL_NO_DEVICE;
}

enum kernel_result kernel_unload(const char *pin_dir, const char *interface, struct error *error)
{
	struct pin_dir *dir;
	int interfaces, control;
	enum kernel_result result;
	struct error ignored;
	bool all_gone = true;
	uint32_t key;

	libraries_open();
	if (geteuid() != 0) {
		error_set(error, "%s: no rights: run it as root", pin_dir);
		return KERNEL_NO_MEANS;
	}
	dir = pin_dir_open(pin_dir, PIN_DIR_ANYBODY, error);
	if (!dir)
		return errno == ENOENT ? unload_orphan(interface, error) : KERNEL_FAILED;
	control = pin_open_any(dir, PIN_CONTROL);
	interfaces = pin_open_told(dir, PIN_INTERFACES, error);
	if (control >= 0 && interfaces >= 0) {
		result = unload(interface, interfaces, control, error);
		purge_notes(interfaces);
		all_gone = (result == KERNEL_OK || result == KERNEL_NO_DEVICE) &&
			   bpf_map_get_next_key(interfaces, NULL, &key);
	} else if (errno == ENOENT) {
		result = unload_orphan(interface, error); /* of a load that was cut short */
	} else {
		result = KERNEL_FAILED;
		all_gone = false;
	}
	if (all_gone && pin_dir_lock(dir, &ignored) == 0) {
		pins_remove(dir);
		pin_dir_remove(dir);
	}
	if (interfaces >= 0)
		close(interfaces);
	if (control >= 0)
		close(control);
	pin_dir_close(dir);
	return result;
}
