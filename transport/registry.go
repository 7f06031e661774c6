package transport

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/peregrine-rpc/peregrine/internal/nearest"
)

// Driver is one kind of backend. Its package registers it from init, and a
// program chooses backends by importing their packages.
//
// Methods may be called from any goroutine.
type Driver interface {
	// Name is the URL scheme and the name in configuration files.
	Name() string

	// Config returns a pointer to a new struct that holds the defaults. Fields
	// tagged `yaml:"key"` are set by that key, in files and in the query of a
	// URL; the one tagged `url:"host"` as well takes the URL's host part, and
	// may not stay empty. If the pointer has a method Validate() error, it is
	// called before Open.
	//
	// Fields are strings, booleans, integers, floats, [time.Duration],
	// []string, or implement [encoding.TextUnmarshaler].
	Config() any

	// Open opens one queue of several that share an address; queue counts from
	// 0. cfg is what Config returned, filled in, and is read only.
	Open(cfg any, queue, queues int) (Transport, error)
}

var registry struct {
	sync.RWMutex
	drivers map[string]Driver
}

// Register makes a driver available by its name. It panics if the name is empty
// or taken: two packages of one program claim it.
func Register(d Driver) {
	registry.Lock()
	defer registry.Unlock()
	name := d.Name()
	if name == "" || name == autoName {
		panic(fmt.Sprintf("transport: the driver name %q is reserved", name))
	}
	if _, taken := registry.drivers[name]; taken {
		panic(fmt.Sprintf("transport: driver %q is registered twice", name))
	}
	if registry.drivers == nil {
		registry.drivers = make(map[string]Driver)
	}
	registry.drivers[name] = d
}

// Drivers returns the registered names, sorted.
func Drivers() []string {
	registry.RLock()
	defer registry.RUnlock()
	return slices.Sorted(maps.Keys(registry.drivers))
}

// Lookup returns the driver registered under name.
func Lookup(name string) (Driver, bool) {
	registry.RLock()
	defer registry.RUnlock()
	d, ok := registry.drivers[name]
	return d, ok
}

// Open opens the one queue of the address that a URL names, such as
// udp://127.0.0.1:31850 or iouring://[::1]:0?sqpoll=true. See [ParseURL] for
// the form and the errors, and [OpenQueues] for auto://.
func Open(url string) (Transport, error) {
	trs, err := OpenQueues(url, 1)
	if err != nil {
		return nil, err
	}
	return trs[0], nil
}

// OpenQueues opens n queues of the one address that a URL names. If its port
// is 0, the first queue chooses one and the others share it. On an error none
// stays open.
//
// The scheme auto tries the backends of this program from the fastest to the
// slowest, each with the same host part and the keys that it knows, and takes the
// first that opens. One that asks the same kernel as another, iouring, is taken only
// if it proves faster than that on this host, which is measured once in a program and
// takes some tens of milliseconds. It fails only where udp fails. Caps().Backend
// tells which was taken, Caps().Notes why not another.
func OpenQueues(url string, n int) ([]Transport, error) {
	if rest, ok := strings.CutPrefix(url, autoName+"://"); ok {
		return openAuto(rest, n)
	}
	d, cfg, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	return openQueues(d, cfg, n)
}

// OpenConfig opens n queues as OpenQueues does, from a struct that the named
// driver's Config returned and the caller filled in.
func OpenConfig(name string, cfg any, n int) ([]Transport, error) {
	if err := CheckConfig(name, cfg); err != nil {
		return nil, err
	}
	d, err := lookup(name)
	if err != nil {
		return nil, err
	}
	return openQueues(d, cfg, n)
}

// CheckURL says what is wrong with a URL that Open gets, as far as that shows
// without opening anything. Of auto it checks the keys' names only.
func CheckURL(url string) error {
	if rest, ok := strings.CutPrefix(url, autoName+"://"); ok {
		_, _, err := autoURLs(rest)
		return err
	}
	_, _, err := ParseURL(url)
	return err
}

// CheckConfig says what is wrong with what OpenConfig gets, likewise.
func CheckConfig(name string, cfg any) error {
	d, err := lookup(name)
	if err != nil {
		return err
	}
	if got, want := reflect.TypeOf(cfg), reflect.TypeOf(d.Config()); got != want {
		return fmt.Errorf("transport: these settings are not those of %s: fill in what the Config method of its driver returns", name)
	}
	return validate(d, cfg)
}

func openQueues(d Driver, cfg any, n int) ([]Transport, error) {
	if n < 1 {
		return nil, fmt.Errorf("transport: cannot open %d queues: ask for at least 1", n)
	}
	trs := make([]Transport, 0, n)
	for q := range n {
		tr, err := d.Open(cfg, q, n)
		if err != nil {
			err = fmt.Errorf("transport: %s queue %d of %d: %w", d.Name(), q, n, err)
			for _, tr := range trs {
				err = errors.Join(err, tr.Close())
			}
			return nil, err
		}
		trs = append(trs, tr)
		if q == 0 && n > 1 {
			cfg = withPort(cfg, tr.LocalAddr())
		}
	}
	return trs, nil
}

// withPort returns cfg, or a copy in which a port of 0 in the host field is the
// port that local has.
func withPort(cfg any, local netip.AddrPort) any {
	filled := reflect.New(reflect.TypeOf(cfg).Elem())
	filled.Elem().Set(reflect.ValueOf(cfg).Elem())
	host, ok := hostField(filled.Elem())
	if !ok {
		return cfg
	}
	switch addr := host.value.Interface().(type) {
	case string:
		name, port, err := net.SplitHostPort(addr)
		if err != nil || port != "0" {
			return cfg
		}
		host.value.SetString(net.JoinHostPort(name, strconv.Itoa(int(local.Port()))))
	case netip.AddrPort:
		if addr.Port() != 0 {
			return cfg
		}
		host.value.Set(reflect.ValueOf(netip.AddrPortFrom(addr.Addr(), local.Port())))
	}
	return filled.Interface()
}

// remedies says, for each backend of this project, how a program gets it.
var remedies = map[string]string{
	"udp":     imported("udp"),
	"iouring": imported("iouring") + " (Linux 6.1 or later)",
	"xdp":     imported("xdp") + " (Linux)",
	"dpdk":    imported("dpdk") + " and build with cgo, libdpdk and -tags dpdk",
	"mem":     imported("mem"),
}

func imported(name string) string {
	return `import _ "github.com/peregrine-rpc/peregrine/transport/` + name + `"`
}

// lookup is Lookup with an error that says how to get the missing driver.
func lookup(name string) (Driver, error) {
	if d, ok := Lookup(name); ok {
		return d, nil
	}
	have := "none is registered"
	if names := Drivers(); len(names) > 0 {
		have = "registered are " + strings.Join(names, ", ")
	}
	if remedy, ok := remedies[name]; ok {
		return nil, fmt.Errorf("%w: %q is not in this program: %s; %s", ErrUnavailable, name, remedy, have)
	}
	known := slices.Concat(Drivers(), slices.Collect(maps.Keys(remedies)))
	return nil, fmt.Errorf("%w: there is no %q%s; %s", ErrUnavailable, name, nearest.DidYouMean(strings.ToLower(name), known), have)
}
