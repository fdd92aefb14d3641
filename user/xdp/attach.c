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
#include "xdp/attached.h"
#include "xdp/bpflog.h"
#include "xdp/pins.h"
#include "xdp/skeleton.h"
#include "lib/log.h"
#include "lib/shell_quote.h"

/* --- the program to attach */

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

/* The program per mode (skeleton_open()); the generic one is loaded on first use. */
struct code {
	const struct kernel_load *load;
	int native;		 /* fd, owned by the caller */
	struct xdp_icp *generic; /* NULL: not loaded yet */
};

/* Return a file descriptor owned by `code`, or -1 and `error` if the kernel refuses the program. */
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

/* --- attach by libxdp, or alone */

static const char *attach_error(int err)
{
	static char text[384];
	const char *reason = strerror(-err);

	if (err == -EOPNOTSUPP)
		reason = "the driver has no native XDP";
	else if (err == -ERANGE || strstr(kernel_cause, "MTU"))
		reason = "the MTU is larger than the driver supports with XDP; lower it";
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

/* Attach a new instance by libxdp. Return 0 or -errno. */
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
		/* libbpf reports frags support only after loading; libxdp would assume none. */
		xdp_program__set_xdp_frags_support(program, true);
		err = xdp_program__attach(program, ifindex, native ? XDP_MODE_NATIVE : XDP_MODE_SKB,
					  0);
		xdp_program__close(program);
	}
	xdp_icp__destroy(skeleton);
	return err;
}

/*
 * Attach by libxdp; if its dispatcher rejects the program and the interface is free, attach
 * directly. Kernels with "bpf: check changes_pkt_data property for extension programs" reject a
 * program that moves the packet's head behind the dispatcher of an older libxdp. Return 0 or
 * -errno.
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
	snprintf(refusal, sizeof(refusal), "%s", attach_error(err));
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

	/* A veth accepts a native program, and then drops what it transmits. */
	if (load->mode == CONFIG_MODE_AUTO && device_is_veth(load->interface) &&
	    !device_veth_transmits(ifindex)) {
		snprintf(native, sizeof(native),
			 "its peer carries no XDP program, so that a veth would drop the replies");
		log_write(LOG_NOTICE, "interface %s: no native mode: %s", load->interface, native);
	} else if (load->mode != CONFIG_MODE_GENERIC) {
		err = attach_by_libxdp_or_alone(code, ifindex, true, error);
		if (!err)
			return KERNEL_OK;
		snprintf(native, sizeof(native), "%s", attach_error(err));
		if (load->mode == CONFIG_MODE_NATIVE) {
			error_set(error, "interface %s: native mode: %s; try mode generic",
				  load->interface, native);
			return err == -EPERM ? KERNEL_UNAVAILABLE : KERNEL_NO_MODE;
		}
		log_write(LOG_INFO, "interface %s: no native mode: %s", load->interface, native);
	}
	err = attach_by_libxdp_or_alone(code, ifindex, false, error);
	if (!err)
		return KERNEL_OK;
	error_set(error, "interface %s: %s%s%sgeneric mode: %s", load->interface,
		  native[0] ? "native mode: " : "", native, native[0] ? "; " : "",
		  attach_error(err));
	return err == -EPERM ? KERNEL_UNAVAILABLE : KERNEL_NO_MODE;
}

static void warn_of_device(const char *interface, unsigned int ifindex, bool native)
{
	char quoted[SHELL_QUOTE_SIZE(IF_NAMESIZE)];

	if (native && device_is_veth(interface) && !device_veth_transmits(ifindex))
		log_write(
			LOG_WARNING,
			"interface %s is a veth in native mode whose peer carries no XDP program "
			"(or the kernel does not report it): replies are lost unless the peer gets "
			"one that passes everything; else use mode generic",
			interface);
	if (native && device_strips_vlan(interface) && !device_is_veth(interface))
		log_write(LOG_NOTICE,
			  "interface %s strips VLAN tags before the program sees them; if "
			  "queries arrive tagged, `ethtool -K %s rxvlan off`",
			  interface, shell_quote(interface, quoted));
}

static const char *mode_name(bool native)
{
	return native ? "native" : "generic";
}

static bool mode_fits(enum config_mode mode, bool native)
{
	return mode == CONFIG_MODE_AUTO || (mode == CONFIG_MODE_NATIVE) == native;
}

/* Attach the program, replacing what must not stay. */
static enum kernel_result attach(struct code *code, unsigned int ifindex,
				 const uint32_t controls[2], struct error *error)
{
	const struct kernel_load *load = code->load;
	LIBBPF_OPTS(bpf_xdp_attach_opts, replace_old);
	enum kernel_result result = KERNEL_OK;
	struct xdp_program *alone = NULL; /* attached without a dispatcher */
	char quoted[SHELL_QUOTE_SIZE(IF_NAMESIZE)];
	struct attached attached;
	bool detached = false;

	attached_read(&attached, ifindex, controls, 2);
	if (attached.all && !attached.dispatcher)
		alone = xdp_multiprog__main_prog(attached.all);
	if (alone && !attached.ours) {
		if (!load->replace) {
			error_set(error,
				  "interface %s: carries the XDP program %s (id %u), which is "
				  "attached without a dispatcher; detach it, or replace it with "
				  "`xdp-icp-load --replace %s`",
				  load->interface, xdp_program__name(alone), xdp_program__id(alone),
				  shell_quote(load->interface, quoted));
			result = KERNEL_OCCUPIED;
			goto out;
		}
		log_write(LOG_NOTICE, "interface %s: replacing the XDP program %s (id %u)",
			  load->interface, xdp_program__name(alone), xdp_program__id(alone));
		detached = true;
	} else if (attached.ours && mode_fits(load->mode, attached.native)) {
		uint32_t id = xdp_program__id(attached.ours);
		int fd = code_fd(code, attached.native, error);

		if (fd < 0) {
			result = KERNEL_FAILED;
			goto out;
		}
		if (same_code(id, fd) && program_uses_map(id, controls[0])) {
			log_write(LOG_INFO, "interface %s: the program is already attached (%s)",
				  load->interface, mode_name(attached.native));
			goto out;
		}
		if (alone) {
			replace_old.old_prog_fd = xdp_program__fd(alone);
			if (bpf_xdp_attach(ifindex, fd,
					   XDP_FLAGS_REPLACE | mode_flag(attached.native),
					   &replace_old) == 0) {
				log_write(LOG_NOTICE, "interface %s: replaced the previous program",
					  load->interface);
				goto out;
			}
		}
		detached = true;
	} else {
		detached = attached.ours;
	}
	if (detached)
		attached_detach(&attached, ifindex);
	result = attach_in_modes(code, ifindex, error);
	if (result != KERNEL_OK && detached && alone &&
	    bpf_xdp_attach(ifindex, xdp_program__fd(alone), mode_flag(attached.native), NULL))
		log_write(LOG_ERR, "interface %s: the previous program cannot be attached again",
			  load->interface);
out:
	attached_close(&attached);
	return result;
}

/* --- records of attachments */

size_t recorded_interfaces(int interfaces, uint32_t ifindex[RECORDED_MAX])
{
	uint32_t *previous = NULL;
	size_t count = 0;

	while (count < RECORDED_MAX &&
	       bpf_map_get_next_key(interfaces, previous, &ifindex[count]) == 0)
		previous = &ifindex[count++];
	return count;
}

/* Remove records of interfaces that no longer exist. */
static void purge_records(int interfaces)
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

/* Record the attachment for the daemon. */
static enum kernel_result record(const char *interface, unsigned int ifindex, int interfaces,
				 const uint32_t controls[2], struct error *error)
{
	struct attachment entry = { .attached_id = attached_id(ifindex) };
	enum kernel_result result = KERNEL_FAILED;
	struct attached attached;
	uint32_t key = ifindex;

	purge_records(interfaces);
	attached_read(&attached, ifindex, controls, 2);
	if (!attached.ours) {
		error_set(error, "interface %s: the program is gone although it was attached",
			  interface);
		goto out;
	}
	entry.program_id = xdp_program__id(attached.ours);
	entry.native = attached.native;
	entry.dispatcher = attached.dispatcher;
	if (bpf_map_update_elem(interfaces, &key, &entry, BPF_ANY)) {
		error_set(error,
			  "interface %s: no more than %u interfaces can carry the program: %s",
			  interface, map_entries(interfaces), strerror(errno));
		attached_detach(&attached, ifindex);
		goto out;
	}
	log_write(LOG_NOTICE, "interface %s: XDP program %u attached, mode %s%s", interface,
		  entry.program_id, mode_name(attached.native),
		  attached.dispatcher ? ", beside other programs"
				      : ", alone (the libxdp dispatcher is not in use)");
	warn_of_device(interface, ifindex, attached.native);
	result = KERNEL_OK;
out:
	attached_close(&attached);
	return result;
}

enum kernel_result kernel_attach(const struct kernel_load *load, unsigned int ifindex, int loaded,
				 int interfaces, const uint32_t controls[2], struct error *error)
{
	struct code code = { .load = load, .native = loaded };
	enum kernel_result result = attach(&code, ifindex, controls, error);

	xdp_icp__destroy(code.generic);
	return result == KERNEL_OK ? record(load->interface, ifindex, interfaces, controls, error)
				   : result;
}

/* --- detach */

bool kernel_detach(unsigned int ifindex, uint32_t control, enum config_mode *mode)
{
	struct attached attached;
	bool ours;

	attached_read(&attached, ifindex, &control, 1);
	ours = attached.ours != NULL;
	*mode = attached.native ? CONFIG_MODE_NATIVE : CONFIG_MODE_GENERIC;
	if (ours)
		attached_detach(&attached, ifindex);
	attached_close(&attached);
	return ours;
}

/*
 * A program of ours whose maps are no longer pinned is reported and not detached: nothing shows
 * that it belongs to these pins.
 */
static enum kernel_result check_orphan(const char *interface, unsigned int ifindex,
				       struct error *error)
{
	enum kernel_result result = KERNEL_OK;
	char quoted[SHELL_QUOTE_SIZE(IF_NAMESIZE)];
	struct xdp_program *program;
	struct attached attached;

	attached_read(&attached, ifindex, NULL, 0);
	program = attached.all && !attached.dispatcher ? xdp_multiprog__main_prog(attached.all)
						       : NULL;
	if (program && strcmp(xdp_program__name(program), PROGRAM_NAME) == 0) {
		error_set(error,
			  "interface %s: carries an %s (id %u) whose maps are pinned elsewhere or "
			  "nowhere; `ip link set dev %s %s off` detaches it",
			  interface, PROGRAM_NAME, xdp_program__id(program),
			  shell_quote(interface, quoted),
			  attached.native ? "xdpdrv" : "xdpgeneric");
		result = KERNEL_FAILED;
	}
	attached_close(&attached);
	return result;
}

/* Detach the program and remove its record. */
static enum kernel_result unload(const char *interface, int interfaces, int control,
				 struct error *error)
{
	uint32_t id = map_id(control), key = if_nametoindex(interface);
	struct attached attached;
	int err = 0;

	if (!key) {
		error_set(error, "interface %s: no such device in this network namespace",
			  interface);
		return KERNEL_NO_DEVICE;
	}
	attached_read(&attached, key, &id, 1);
	if (attached.ours)
		err = attached_detach(&attached, key);
	attached_close(&attached);
	if (err) {
		error_set(error, "interface %s: cannot detach: %s", interface, strerror(-err));
		return err == -EPERM ? KERNEL_UNAVAILABLE : KERNEL_FAILED;
	}
	bpf_map_delete_elem(interfaces, &key);
	return KERNEL_OK;
}

/* Detach from all interfaces that are recorded. Return the last failure. */
static enum kernel_result unload_all(int interfaces, int control, struct error *error)
{
	enum kernel_result result = KERNEL_OK;
	uint32_t ifindex[RECORDED_MAX];
	size_t count = recorded_interfaces(interfaces, ifindex);
	char name[IF_NAMESIZE];

	for (size_t i = 0; i < count; i++) {
		struct error failure;
		enum kernel_result one;

		if (!if_indextoname(ifindex[i], name))
			continue;
		one = unload(name, interfaces, control, &failure);
		if (one == KERNEL_OK)
			continue;
		result = one;
		*error = failure;
	}
	return result;
}

static enum kernel_result unload_orphan(const char *interface, struct error *error)
{
	unsigned int ifindex;

	if (!interface)
		return KERNEL_OK; /* nothing is recorded */
	ifindex = if_nametoindex(interface);
	if (ifindex)
		return check_orphan(interface, ifindex, error);
	error_set(error, "interface %s: no such device in this network namespace", interface);
	return KERNEL_NO_DEVICE;
}

enum kernel_result kernel_unload(const char *pin_dir, const char *interface, struct error *error)
{
	struct pin_dir *dir;
	int interfaces, control;
	enum kernel_result result;
	struct error ignored;
	bool failed, all_gone = false;
	uint32_t key;

	bpf_log_init();
	if (geteuid() != 0) {
		error_set(error, "%s: permission denied; run it as root", pin_dir);
		return KERNEL_UNAVAILABLE;
	}
	dir = pin_dir_open(pin_dir, PIN_DIR_ANY_USER, error);
	if (!dir)
		return errno == ENOENT ? unload_orphan(interface, error) : KERNEL_FAILED;
	pin_dir_take_turn(dir);
	result = kernel_check_namespace(dir, error);
	if (result != KERNEL_OK) {
		pin_dir_close(dir);
		return result;
	}
	control = pin_open_any(dir, PIN_CONTROL);
	failed = control < 0 && errno != ENOENT && pin_report(dir, PIN_CONTROL, error);
	interfaces = pin_open(dir, PIN_INTERFACES);
	if (!failed)
		failed =
			interfaces < 0 && errno != ENOENT && pin_report(dir, PIN_INTERFACES, error);
	if (failed) {
		result = KERNEL_FAILED;
	} else if (control >= 0 && interfaces >= 0) {
		result = interface ? unload(interface, interfaces, control, error)
				   : unload_all(interfaces, control, error);
		purge_records(interfaces);
		all_gone = (result == KERNEL_OK || result == KERNEL_NO_DEVICE) &&
			   bpf_map_get_next_key(interfaces, NULL, &key);
	} else {
		result = unload_orphan(interface, error); /* a load was interrupted */
		all_gone = result == KERNEL_OK;
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
