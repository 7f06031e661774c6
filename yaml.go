package peregrine

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/peregrine-rpc/peregrine/internal/nearest"
)

// decodeYAML fills the struct that into points to from a document. The YAML
// library's own decoding would tell of Go's types where a value does not fit, and
// cut 1.5 to 1.
func decodeYAML(text []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document any
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var second error
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		second = errors.New("there is a second document, behind ---: keep one")
	}
	return errors.Join(second, setYAML("", reflect.ValueOf(into).Elem(), document))
}

// rawYAML is implemented by types that more than one form of value stands for.
type rawYAML interface {
	// setRaw takes a value that the YAML library made, other than nil. key is
	// where it stands.
	setRaw(key string, raw any) error
}

// setYAML sets v, which stands at key, to what raw means. What is left empty, or
// cannot be read, stays as it is. Errors are [*ConfigError], all joined.
func setYAML(key string, v reflect.Value, raw any) error {
	if raw == nil {
		return nil
	}
	wrong := func(want string) error {
		return &ConfigError{Key: key, Problem: fmt.Sprintf("%s is not %s", describeYAML(raw), want)}
	}
	switch to := v.Addr().Interface().(type) {
	case rawYAML:
		return to.setRaw(key, raw)
	case encoding.TextUnmarshaler:
		if isCollection(raw) {
			return wrong("a word")
		}
		if err := to.UnmarshalText(fmt.Append(nil, raw)); err != nil {
			return &ConfigError{Key: key, Problem: err.Error()}
		}
		return nil
	case *time.Duration:
		text, _ := raw.(string)
		d, err := time.ParseDuration(text)
		if err != nil {
			return wrong("a duration: write a number with its unit, such as 10ms")
		}
		*to = d
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return setStruct(key, v, raw)
	case reflect.Slice:
		list, ok := raw.([]any)
		if !ok {
			return wrong("a list: write [" + fmt.Sprint(raw) + "]")
		}
		slice := reflect.MakeSlice(v.Type(), len(list), len(list))
		var errs []error
		for i, element := range list {
			errs = append(errs, setYAML(fmt.Sprintf("%s[%d]", key, i), slice.Index(i), element))
		}
		v.Set(slice)
		return errors.Join(errs...)
	case reflect.String:
		if isCollection(raw) {
			return wrong("a text: write it in quotes")
		}
		v.SetString(fmt.Sprint(raw))
	case reflect.Bool:
		b, ok := raw.(bool)
		if !ok {
			return wrong("a truth value: write true or false")
		}
		v.SetBool(b)
	case reflect.Float32, reflect.Float64:
		f, ok := number(raw)
		if !ok {
			return wrong("a number: write it such as 0.5")
		}
		v.SetFloat(f)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, ok := whole(raw)
		if !ok || v.OverflowInt(i) {
			return wrong(fmt.Sprintf("a whole number of %d bits: write digits only", v.Type().Bits()))
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, ok := whole(raw)
		if !ok || i < 0 || v.OverflowUint(uint64(i)) {
			return wrong(fmt.Sprintf("a whole number from 0, of %d bits: write digits only", v.Type().Bits()))
		}
		v.SetUint(uint64(i))
	default:
		panic(fmt.Sprintf("peregrine: key %q is of a %v, which no file can set", key, v.Type()))
	}
	return nil
}

// setStruct sets the fields of v whose keys a mapping names.
func setStruct(key string, v reflect.Value, raw any) error {
	mapping, ok := raw.(map[string]any)
	if !ok {
		problem := fmt.Sprintf("%s is not keys and values: write them such as {name: value}", describeYAML(raw))
		if key == "" {
			return errors.New(problem)
		}
		return &ConfigError{Key: key, Problem: problem}
	}
	fields := map[string]reflect.Value{}
	yamlFields(v, fields)
	known := slices.Sorted(maps.Keys(fields))
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(mapping)) {
		below := name
		if key != "" {
			below = key + "." + name
		}
		field, ok := fields[name]
		if !ok {
			errs = append(errs, &ConfigError{Key: below, Problem: "unknown key" + nearest.DidYouMean(name, known) +
				"; known keys are " + strings.Join(known, ", ")})
			continue
		}
		errs = append(errs, setYAML(below, field, mapping[name]))
	}
	return errors.Join(errs...)
}

// nameDriver notes whose keys setYAML's errors are of.
func nameDriver(name string, err error) {
	switch err := err.(type) {
	case *ConfigError:
		err.Driver = name
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			nameDriver(name, err)
		}
	}
}

// yamlFields collects the fields of a struct by their keys.
func yamlFields(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		key, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			yamlFields(v.Field(i), into)
		case key != "" && key != "-":
			into[key] = v.Field(i)
		}
	}
}

// describeYAML writes a value of the YAML library's, as its user might.
func describeYAML(raw any) string {
	switch raw := raw.(type) {
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case string:
		return fmt.Sprintf("%q", raw)
	}
	return fmt.Sprint(raw)
}

func isCollection(raw any) bool {
	switch raw.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func number(raw any) (float64, bool) {
	switch n := raw.(type) {
	case uint64:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// whole takes 1000.0, too.
func whole(raw any) (int64, bool) {
	switch n := raw.(type) {
	case uint64:
		return int64(n), n <= math.MaxInt64
	case int64:
		return n, true
	case float64:
		return int64(n), n == math.Trunc(n) && math.Abs(n) < 1<<53
	}
	return 0, false
}
