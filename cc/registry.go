package cc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrUnknown says that no controller has that name. The wrapping error lists
// those there are.
var ErrUnknown = errors.New("cc: no such congestion controller")

// Algorithm is one kind of controller.
type Algorithm struct {
	// Name is what configuration files call it.
	Name string
	// Config returns a pointer to a new struct that holds the defaults, with
	// yaml tags.
	Config func() any
	// New checks what Config returned and the caller filled in, and makes the
	// factory. A parameter out of range is a [*ConfigError].
	New func(cfg any) (Factory, error)
}

var registry = make(map[string]Algorithm)

// Register makes an algorithm available by its name. It is for init functions,
// which run one at a time; afterwards the registry is only read. It panics if
// the name is empty or taken: two packages of one program claim it.
func Register(a Algorithm) {
	if _, taken := registry[a.Name]; taken || a.Name == "" {
		panic(fmt.Sprintf("cc: the name %q is empty or registered twice", a.Name))
	}
	registry[a.Name] = a
}

// Names returns the registered names, sorted. Any goroutine may call it.
func Names() []string { return slices.Sorted(maps.Keys(registry)) }

// Lookup returns the algorithm registered under name, or an error that wraps
// [ErrUnknown]. Any goroutine may call it.
func Lookup(name string) (Algorithm, error) {
	if a, ok := registry[name]; ok {
		return a, nil
	}
	return Algorithm{}, fmt.Errorf("%w: %q; there are %s", ErrUnknown, name, strings.Join(Names(), ", "))
}

// configured is the New of an algorithm whose Config returns a *C.
func configured[C any, P interface {
	*C
	Validate() error
}](factory func(C) Factory) func(any) (Factory, error) {
	return func(cfg any) (Factory, error) {
		c, ok := cfg.(P)
		if !ok || c == nil {
			return nil, fmt.Errorf("cc: the parameters are a %T, not a %T: start from what Config returns", cfg, c)
		}
		if err := c.Validate(); err != nil {
			return nil, err
		}
		return factory(*c), nil
	}
}
