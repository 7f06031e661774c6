package peregrine

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/peregrine-rpc/peregrine/internal/nearest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// File is a configuration file:
//
//	transport: udp://0.0.0.0:31850   # or {udp: {address: "0.0.0.0:31850", recv_buffer: 8388608}}, or auto://...
//	loops: 2
//	cpus: [2, 3]
//	poll: adaptive                   # busy, adaptive or block
//	fault: loss=0.01,seed=7
//	cc: {name: swift, target_delay: 50us}
//	engine: {slots: 256, credits: 256, keep_alive: 3s}
//	tls: {cert: server.pem, key: server.key}   # see TLSFiles; or psk: a file of keys, see LoadPSK
//
// All keys but transport may be left out.
type File struct {
	Transport TransportConfig  `yaml:"transport"`
	Loops     int              `yaml:"loops"`
	CPUs      []int            `yaml:"cpus"`
	Poll      Poll             `yaml:"poll"`
	Fault     string           `yaml:"fault"`
	CC        CongestionConfig `yaml:"cc"`
	Engine    Config           `yaml:"engine"`
	TLS       TLSFiles         `yaml:"tls"`
	PSK       string           `yaml:"psk"`
	// Plain says that connections may be plain text also where others reach the
	// endpoint: peregrine serve wants to be told.
	Plain bool `yaml:"plain"`
}

// TransportConfig chooses and configures a backend: a URL, or a mapping from
// its name to its keys.
type TransportConfig struct {
	url  string
	name string
	cfg  any // what the driver's Config returned, filled in

	refused bool // what was written, when it was read
}

// UnmarshalYAML implements yaml.InterfaceUnmarshaler.
func (t *TransportConfig) UnmarshalYAML(unmarshal func(any) error) error {
	var raw any
	if err := unmarshal(&raw); err != nil {
		return err
	}
	return t.setRaw("transport", raw)
}

func (t *TransportConfig) setRaw(key string, raw any) error {
	err := t.read(key, raw)
	t.refused = err != nil
	return err
}

func (t *TransportConfig) read(key string, raw any) error {
	if text, ok := raw.(string); ok {
		if text == auto {
			text = auto + "://0.0.0.0:0" // for an endpoint that only calls, any will do
		}
		t.url = text
		return nil
	}
	mapping, ok := raw.(map[string]any)
	if !ok || len(mapping) != 1 {
		return &ConfigError{Key: key, Problem: "write a URL such as udp://0.0.0.0:31850, or one backend with its keys"}
	}
	for name, keys := range mapping {
		if name == auto {
			return t.setAuto(key, keys)
		}
		driver, ok := transport.Lookup(name)
		if !ok {
			there := transport.Drivers()
			return &ConfigError{Key: key, Problem: fmt.Sprintf("there is no backend %q%s; there are %s",
				name, nearest.DidYouMean(name, there), strings.Join(there, ", "))}
		}
		t.name, t.cfg = name, driver.Config()
		if keys == nil {
			continue
		}
		err := setYAML("", reflect.ValueOf(t.cfg).Elem(), keys)
		nameDriver(name, err)
		if err != nil {
			return err
		}
	}
	return nil
}

// auto is what chooses a backend; it has no configuration of its own.
const auto = "auto"

// setAuto makes a URL of keys, which are those of any backend.
func (t *TransportConfig) setAuto(key string, raw any) error {
	keys, ok := raw.(map[string]any)
	address, has := keys["address"]
	if !ok || !has {
		return &ConfigError{Key: key, Problem: `auto needs an address: write auto://0.0.0.0:31850 or {auto: {address: "0.0.0.0:31850"}}`}
	}
	query := url.Values{}
	for k, v := range keys {
		if k != "address" {
			query.Set(k, fmt.Sprint(v))
		}
	}
	t.url = fmt.Sprintf("%s://%v", auto, address)
	if len(query) > 0 {
		t.url += "?" + query.Encode()
	}
	return nil
}

func (t *TransportConfig) check() error {
	switch {
	case t.url != "":
		return transport.CheckURL(t.url)
	case t.cfg == nil && t.refused:
		return nil // as is known
	case t.cfg == nil:
		return &ConfigError{Key: "transport", Problem: "missing: write transport: udp://0.0.0.0:31850"}
	}
	return transport.CheckConfig(t.name, t.cfg)
}

func (t *TransportConfig) open(loops int) ([]transport.Transport, error) {
	if t.url != "" {
		return transport.OpenQueues(t.url, loops)
	}
	return transport.OpenConfig(t.name, t.cfg, loops)
}

// LoadConfig reads and checks a configuration file. Each unknown key and value
// out of range is a [*ConfigError], all joined in one error. Whether this host has
// the CPUs and addresses is for Listen to find out.
func LoadConfig(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	f := File{Loops: 1}
	err = decodeYAML(text, &f)
	if complains(err, "loops") && len(f.CPUs) > 0 {
		f.Loops = len(f.CPUs) // so that these are not said to be too many
	}
	if err := errors.Join(err, f.options().check()); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return &f, nil
}

// complains says whether an error is, or joins, one of key.
func complains(err error, key string) bool {
	switch err := err.(type) {
	case *ConfigError:
		return err.Key == key
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), func(err error) bool { return complains(err, key) })
	}
	return false
}

// options are what the file says.
func (f *File) options(more ...Option) *options {
	opts := []Option{
		WithConfig(f.Engine), WithConfig(Config{Controller: f.CC.factory}),
		WithLoops(f.Loops), WithPoll(f.Poll), WithCPU(f.CPUs...),
	}
	if f.Fault != "" {
		opts = append(opts, WithFault(f.Fault))
	}
	if f.TLS != (TLSFiles{}) {
		opts = append(opts, WithTLSFiles(f.TLS))
	}
	if f.PSK != "" {
		opts = append(opts, WithPSKFile(f.PSK))
	}
	o := newOptions(append(opts, more...))
	if o.url != "" || o.open != nil {
		o.refuse("transport", "the file names it: leave out WithTransport and WithTransports")
	}
	file := f.Transport
	file.url = o.secrecy.split(file.url, o)
	o.file = &file
	return o
}

// Listen opens the endpoint that the file describes, with its transport. opts
// come on top of the rest.
func (f *File) Listen(opts ...Option) (*Endpoint, error) { return open(f.options(opts...)) }
