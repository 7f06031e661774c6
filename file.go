package peregrine

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/peregrine-rpc/peregrine/internal/nearest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// File is a configuration file:
//
//	transport: udp://0.0.0.0:31850   # or {udp: {address: "0.0.0.0:31850", recv_buffer: 8388608}}
//	loops: 2
//	cpus: [2, 3]
//	poll: adaptive                   # busy, adaptive or block
//	fault: loss=0.01,seed=7
//	cc: {name: swift, target_delay: 50us}
//	engine: {slots: 256, credits: 256, keep_alive: 3s}
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
}

// TransportConfig chooses and configures a backend: a URL, or a mapping from
// its name to its keys.
type TransportConfig struct {
	url  string
	name string
	cfg  any // what the driver's Config returned, filled in
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
	if url, ok := raw.(string); ok {
		t.url = url
		return nil
	}
	mapping, ok := raw.(map[string]any)
	if !ok || len(mapping) != 1 {
		return &transport.ConfigError{Key: key, Problem: "write a URL such as udp://0.0.0.0:31850, or one backend with its keys"}
	}
	for name, keys := range mapping {
		driver, ok := transport.Lookup(name)
		if !ok {
			there := transport.Drivers()
			return &transport.ConfigError{Key: key, Problem: fmt.Sprintf("there is no backend %q%s; there are %s",
				name, nearest.DidYouMean(name, there), strings.Join(there, ", "))}
		}
		t.name, t.cfg = name, driver.Config()
		if keys == nil {
			continue
		}
		err := setYAML("", reflect.ValueOf(t.cfg).Elem(), keys)
		if own := new(transport.ConfigError); errors.As(err, &own) {
			own.Driver = name
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *TransportConfig) check() error {
	if t.url != "" {
		return transport.CheckURL(t.url)
	}
	return transport.CheckConfig(t.name, t.cfg)
}

func (t *TransportConfig) open(loops int) ([]transport.Transport, error) {
	if t.url != "" {
		return transport.OpenQueues(t.url, loops)
	}
	return transport.OpenConfig(t.name, t.cfg, loops)
}

// LoadConfig reads and checks a configuration file. Unknown keys and values out
// of range are errors that name the key.
func LoadConfig(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	f := File{Loops: 1}
	if err := decodeYAML(text, &f); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return &f, nil
}

func (f *File) check() error {
	if f.Transport.url == "" && f.Transport.cfg == nil {
		return errors.New("transport is missing: write transport: udp://0.0.0.0:31850")
	}
	if f.Loops < 1 {
		return fmt.Errorf("loops is %d; it must be at least 1", f.Loops)
	}
	if len(f.CPUs) > 0 && len(f.CPUs) != f.Loops {
		return fmt.Errorf("cpus names %d CPUs for %d loops: name one for each", len(f.CPUs), f.Loops)
	}
	if err := f.Transport.check(); err != nil {
		return err
	}
	if _, err := transport.ParseFaults(f.Fault); f.Fault != "" && err != nil {
		return err
	}
	return f.Engine.Check()
}

// Listen opens the endpoint that the file describes, with its transport and
// congestion controller. opts come on top of the rest.
func (f *File) Listen(opts ...Option) (*Endpoint, error) {
	all := []Option{WithConfig(f.Engine), WithLoops(f.Loops), WithPoll(f.Poll), WithFault(f.Fault), WithCPU(f.CPUs...),
		func(o *options) { o.config.Controller = f.CC.factory }}
	o, err := newOptions(append(all, opts...))
	if err != nil {
		return nil, err
	}
	o.queues = f.Transport.open
	return open(o)
}
