package peregrine

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/internal/nearest"
)

// CongestionConfig chooses a congestion controller: by its name, or by a mapping
// of its name and parameters, such as {name: swift, target_delay: 50us}.
type CongestionConfig struct {
	name    string
	cfg     any        // what the algorithm's Config returned, filled in
	factory cc.Factory // nil: the engine's default
}

// UnmarshalYAML implements yaml.InterfaceUnmarshaler.
func (c *CongestionConfig) UnmarshalYAML(unmarshal func(any) error) error {
	var raw any
	if err := unmarshal(&raw); err != nil {
		return err
	}
	return c.setRaw("cc", raw)
}

func (c *CongestionConfig) setRaw(key string, raw any) error {
	var parameters map[string]any
	switch raw := raw.(type) {
	case string:
		c.name = raw
	case map[string]any:
		parameters = maps.Clone(raw)
		delete(parameters, "name")
		if name, ok := raw["name"]; ok {
			c.name = fmt.Sprint(name)
		}
	default:
		return &ConfigError{Key: key, Problem: "write a controller's name, or {name: swift} with its parameters"}
	}
	there := cc.Names()
	if c.name == "" {
		return &ConfigError{Key: key + ".name", Problem: "missing; there are " + strings.Join(there, ", ")}
	}
	algorithm, err := cc.Lookup(c.name)
	if err != nil {
		return &ConfigError{Key: key + ".name", Problem: fmt.Sprintf("there is no controller %q%s; there are %s",
			c.name, nearest.DidYouMean(c.name, there), strings.Join(there, ", "))}
	}
	c.cfg = algorithm.Config()
	if parameters != nil {
		err = setYAML(key, reflect.ValueOf(c.cfg).Elem(), parameters)
	}
	factory, invalid := algorithm.New(c.cfg)
	if err = errors.Join(err, invalid); err == nil {
		c.factory = factory
	}
	return err
}

// WithCongestionControl chooses the congestion controller as a configuration
// file does: "swift", or "{name: swift, target_delay: 50us}". Unless told it is
// "auto", which may share a network with others.
func WithCongestionControl(text string) Option {
	return func(o *options) {
		var c CongestionConfig
		var raw any
		if err := yaml.Unmarshal([]byte(text), &raw); err != nil || raw == nil {
			raw = text
		}
		o.add(c.setRaw("cc", raw))
		o.set(Config{Controller: c.factory})
	}
}
