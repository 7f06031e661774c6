package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/waiter"
)

// tables is the way to the kernel's tables of links, addresses, routes and
// neighbours, in the network namespace where it was opened.
type tables struct {
	namespace uint64
	handle    *netlink.Handle
	events    int // a netlink socket that hears of changes
	epoll     int // is readable while events is, or another that is watched
	waiter    *waiter.Waiter
	ended     chan struct{} // closed when the follower has; nil if there is none

	mu    *sync.Mutex // guards what follows
	paths map[route]*path
	hops  map[netip.Addr]*hop
	// reroute is when to ask anew for all paths; zero if nothing changed.
	reroute time.Time
}

// eventsBuffer is for a burst of changes. Where it overflows everything is read
// again.
const eventsBuffer = 1 << 20

func openTables() (t tables, err error) {
	t = tables{events: -1, epoll: -1, mu: new(sync.Mutex), paths: make(map[route]*path), hops: make(map[netip.Addr]*hop)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("xdp: no way to the kernel's network tables: %w", err), t.close())
		}
	}()
	var stat unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &stat); err != nil {
		return t, os.NewSyscallError("stat", err)
	}
	t.namespace = stat.Ino
	if t.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return t, err
	}
	if t.waiter, err = waiter.New(); err != nil {
		return t, err
	}
	if t.events, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE); err != nil {
		return t, os.NewSyscallError("socket", err)
	}
	_ = unix.SetsockoptInt(t.events, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventsBuffer) // a smaller one works too
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_NEIGH | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE |
		unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV6_ROUTE
	if err := unix.Bind(t.events, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return t, os.NewSyscallError("bind", err)
	}
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return t, os.NewSyscallError("epoll_create1", err)
	}
	return t, t.watch(t.events, unix.EPOLLIN)
}

// watch has the follower look when a descriptor has such events.
func (t *tables) watch(fd int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events}))
}

// stop returns once the follower has ended.
func (t *tables) stop() error {
	if t.ended == nil {
		return nil
	}
	t.waiter.Expel()
	<-t.ended
	return nil
}

func (t *tables) close() error {
	var err error
	if t.handle != nil {
		t.handle.Close()
	}
	if t.waiter != nil {
		err = t.waiter.Close()
	}
	for _, fd := range []*int{&t.epoll, &t.events} {
		if *fd >= 0 {
			err = errors.Join(err, os.NewSyscallError("close", unix.Close(*fd)))
			*fd = -1
		}
	}
	return err
}
