package floor

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Link is two ends of a backend on this host.
type Link struct {
	near, far end
	folder    string // of sockets
}

// end is where a URL is opened: here, or in a namespace.
type end struct {
	url   string
	space *netns.Namespace
}

func (e end) do(f func() error) error {
	if e.space == nil {
		return f()
	}
	return e.space.Do(f)
}

// Loopback is a link of a backend on the kernel's sockets.
func Loopback(backend string) Link {
	e := end{url: backend + "://127.0.0.1:0"}
	return Link{near: e, far: e}
}

const vethMTU = 1500

// Veth is a link of a backend on interfaces: a pair between two namespaces of its own.
// The error wraps [netns.ErrNotPermitted] without the privileges for that.
func Veth(backend string) (Link, error) {
	near, err := netns.New()
	if err != nil {
		return Link{}, err
	}
	far, err := netns.New()
	if err != nil {
		return Link{}, errors.Join(err, near.Close())
	}
	l := Link{near: end{backend + "://near", near}, far: end{backend + "://far?port=31850", far}}
	err = netns.Veth(vethMTU,
		netns.Port{Namespace: near, Name: "near", Addresses: []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}},
		netns.Port{Namespace: far, Name: "far", Addresses: []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24")}})
	if err != nil {
		return Link{}, errors.Join(err, l.Close())
	}
	return l, nil
}

// Virtual is a link of DPDK: vhost and virtio-user, which share memory.
func Virtual() (Link, error) {
	folder, err := os.MkdirTemp("", "peregrine-floor-")
	if err != nil {
		return Link{}, err
	}
	socket := filepath.Join(folder, "vhost")
	const memory = "&memory=128"
	return Link{
		near:   end{url: "dpdk://net_virtio_user0,path=" + socket + ",packed_vq=1?ip=10.9.0.2/24" + memory},
		far:    end{url: "dpdk://net_vhost0,iface=" + socket + "?ip=10.9.0.1/24&port=31850" + memory},
		folder: folder,
	}, nil
}

// Close gives up what Veth or Virtual made.
func (l Link) Close() error {
	var errs []error
	if l.folder != "" {
		errs = append(errs, os.RemoveAll(l.folder))
	}
	for _, e := range []end{l.near, l.far} {
		if e.space != nil {
			errs = append(errs, e.space.Close())
		}
	}
	return errors.Join(errs...)
}

// open opens a transport at each end.
func (l Link) open() (near, far transport.Transport, err error) {
	if err = l.far.do(func() (err error) { far, err = transport.Open(l.far.url); return err }); err != nil {
		return nil, nil, err
	}
	if err = l.near.do(func() (err error) { near, err = transport.Open(l.near.url); return err }); err != nil {
		return nil, nil, errors.Join(err, far.Close())
	}
	return near, far, nil
}

// listen opens an endpoint at each end.
func (l Link) listen(serverOptions, clientOptions []peregrine.Option) (server, client *peregrine.Endpoint, err error) {
	err = l.far.do(func() (err error) { server, err = peregrine.Listen(l.far.url, serverOptions...); return err })
	if err != nil {
		return nil, nil, err
	}
	err = l.near.do(func() (err error) { client, err = peregrine.Listen(l.near.url, clientOptions...); return err })
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	return server, client, nil
}
