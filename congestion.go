package peregrine

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/peregrine-rpc/peregrine/cc"
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
	var keys map[string]any
	if unmarshal(&keys) != nil {
		keys = map[string]any{}
		if err := unmarshal(&c.name); err != nil {
			return errors.New("cc: write a controller's name, or {name: swift} with its parameters")
		}
	} else if name, ok := keys["name"]; ok {
		c.name = fmt.Sprint(name)
	}
	if c.name == "" {
		return fmt.Errorf("cc.name is missing; there are %s", strings.Join(cc.Names(), ", "))
	}
	algorithm, err := cc.Lookup(c.name)
	if err != nil {
		return fmt.Errorf("cc.name: %w", err)
	}
	c.cfg = algorithm.Config()
	keys = maps.Clone(keys)
	delete(keys, "name")
	text, err := yaml.Marshal(keys)
	if err != nil {
		return fmt.Errorf("cc: %w", err)
	}
	if err := yaml.UnmarshalWithOptions(text, c.cfg, yaml.Strict()); err != nil {
		return fmt.Errorf("cc: %s: %w", c.name, err)
	}
	c.factory, err = algorithm.New(c.cfg)
	return err
}

// WithCongestionControl chooses the congestion controller as a configuration
// file does: "swift", or "{name: swift, target_delay: 50us}".
func WithCongestionControl(text string) Option {
	return func(o *options) {
		var c CongestionConfig
		if err := yaml.Unmarshal([]byte(text), &c); err != nil {
			o.err = err
		} else if c.factory == nil {
			o.err = fmt.Errorf("cc: no controller named; there are %s", strings.Join(cc.Names(), ", "))
		}
		o.config.Controller = c.factory
	}
}
