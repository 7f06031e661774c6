package transport

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/nearest"
	"github.com/peregrine-rpc/peregrine/internal/setting"
)

// ConfigError says which key of a configuration cannot be used, and what to
// write instead: a Driver's, or of the program's own where Driver is empty. It
// has the string fields Driver, Key and Problem. Drivers return it from Validate
// and Open too.
type ConfigError = setting.Error

// ParseURL reads a backend's configuration from a URL of the form
//
//	driver://host?key=value&key=value
//
// and validates it. The host part is taken as written, up to the question mark:
// it need not be an Internet address (dpdk://0000:00:06.0). Only the %25 that
// URLs write before the zone of an address is a % there (RFC 6874). Keys and
// values are percent-decoded. Lists are separated by commas, durations have units (10ms).
//
// An unknown key, a repeated one, a malformed value or a missing host is a
// [*ConfigError]; a driver that this program lacks is [ErrUnavailable].
func ParseURL(raw string) (driver Driver, cfg any, err error) {
	name, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, nil, fmt.Errorf("transport: %q is not a transport URL: write driver://address, such as udp://127.0.0.1:31850", raw)
	}
	if driver, err = lookup(name); err != nil {
		return nil, nil, err
	}
	cfg = driver.Config()
	if err := fill(name, reflect.ValueOf(cfg).Elem(), rest); err != nil {
		return nil, nil, err
	}
	if err := validate(driver, cfg); err != nil {
		return nil, nil, err
	}
	return driver, cfg, nil
}

// fill sets the fields of a configuration struct from what follows the scheme.
func fill(driver string, cfg reflect.Value, rest string) error {
	host, query, _ := strings.Cut(rest, "?")
	host = unescapeZone(strings.TrimSuffix(host, "/"))
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("transport: %s: the query %q is malformed: write key=value&key=value: %w", driver, query, err)
	}
	if host != "" {
		field, ok := hostField(cfg)
		if !ok {
			return fmt.Errorf("transport: %s takes no address: write %s://?key=value instead of %q", driver, driver, host)
		}
		values[field.key] = append(values[field.key], host)
	}
	fields := configFields(cfg)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		given := values[key]
		i := slices.IndexFunc(fields, func(f configField) bool { return f.key == key })
		if i < 0 {
			return unknownKey(driver, key, keys(fields))
		}
		if len(given) > 1 {
			return &ConfigError{Driver: driver, Key: key,
				Problem: fmt.Sprintf("given %d times (%s): keep one", len(given), strings.Join(given, ", "))}
		}
		if err := setField(fields[i].value, given[0]); err != nil {
			return &ConfigError{Driver: driver, Key: key, Problem: err.Error()}
		}
	}
	return nil
}

// unescapeZone turns [fe80::1%25eth0] into [fe80::1%eth0]. What is left of
// [fe80::1%25] would be no zone: it is interface 25.
func unescapeZone(host string) string {
	open, end := strings.IndexByte(host, '['), strings.LastIndexByte(host, ']')
	if open < 0 || end < open {
		return host
	}
	addr, zone, found := strings.Cut(host[open:end], "%25")
	if !found || zone == "" {
		return host
	}
	return host[:open] + addr + "%" + zone + host[end:]
}

func unknownKey(driver, key string, known []string) error {
	return &ConfigError{Driver: driver, Key: key,
		Problem: "unknown key" + nearest.DidYouMean(key, known) + "; known keys are " + strings.Join(known, ", ")}
}

// validate checks what every configuration has in common, then what the
// driver's own Validate does.
func validate(d Driver, cfg any) error {
	if host, ok := hostField(reflect.ValueOf(cfg).Elem()); ok && host.value.IsZero() {
		return &ConfigError{Driver: d.Name(), Key: host.key,
			Problem: fmt.Sprintf("missing: write %s://%s or set the key", d.Name(), strings.ToUpper(host.key))}
	}
	v, ok := cfg.(interface{ Validate() error })
	if !ok {
		return nil
	}
	err := v.Validate()
	var own *ConfigError
	if err == nil || errors.As(err, &own) {
		return err
	}
	return fmt.Errorf("transport: %s: %w", d.Name(), err)
}

// configField is a field of a configuration struct that a key can set.
type configField struct {
	key   string
	host  bool
	value reflect.Value
}

// configFields lists the settable fields of cfg in the order of declaration.
func configFields(cfg reflect.Value) []configField {
	var fields []configField
	for i := range cfg.NumField() {
		tag := cfg.Type().Field(i).Tag
		key, _, _ := strings.Cut(tag.Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		fields = append(fields, configField{key, tag.Get("url") == "host", cfg.Field(i)})
	}
	return fields
}

func hostField(cfg reflect.Value) (configField, bool) {
	for _, f := range configFields(cfg) {
		if f.host {
			return f, true
		}
	}
	return configField{}, false
}

func keys(fields []configField) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
	}
	slices.Sort(names)
	return names
}

// setField parses text as v's type. Its errors complete the sentence of a
// ConfigError.
func setField(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return malformed(v, text, err)
		}
		return nil
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration: write a number with its unit, such as 10ms", text)
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not a truth value: write true or false", text)
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 0, v.Type().Bits())
		if err != nil {
			return wholeNumber(text, err, -1<<(v.Type().Bits()-1), 1<<(v.Type().Bits()-1)-1)
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := strconv.ParseUint(text, 0, v.Type().Bits())
		if err != nil {
			return wholeNumber(text, err, 0, 1<<v.Type().Bits()-1)
		}
		v.SetUint(u)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a number: write it such as 0.5", text)
		}
		v.SetFloat(f)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.String {
			return errNotInURL
		}
		v.Set(reflect.ValueOf(strings.Split(text, ",")).Convert(v.Type()))
	default:
		return errNotInURL
	}
	return nil
}

// errNotInURL is about keys whose values have keys of their own.
var errNotInURL = errors.New("a URL cannot hold its value: use a configuration file")

// malformed says how to write a value that parses itself.
func malformed(v reflect.Value, text string, err error) error {
	switch v.Interface().(type) {
	case netip.AddrPort:
		return fmt.Errorf("%q is not an address with a port: write 127.0.0.1:31850, [::1]:31850 or such", text)
	case netip.Addr:
		return fmt.Errorf("%q is not an address: write 127.0.0.1, ::1 or such", text)
	case netip.Prefix:
		return fmt.Errorf("%q is malformed: write an address with its network's length, such as 10.0.1.7/24", text)
	}
	return fmt.Errorf("%q is malformed: %w", text, err)
}

func wholeNumber(text string, err error, lo int64, hi uint64) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%s is out of range: write a number from %d to %d", text, lo, hi)
	}
	return fmt.Errorf("%q is not a whole number: write digits only, from %d to %d", text, lo, hi)
}
