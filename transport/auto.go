package transport

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
)

// autoName is the scheme that chooses a backend.
const autoName = "auto"

// autoOrder is what auto tries, from the one that is the fastest where it is to be
// had to the one that is to be had everywhere. DPDK takes a device away from the
// kernel: it is for those who ask for it.
var autoOrder = []string{"xdp", "iouring", "udp"}

// contested are backends that ask the same kernel in another way than a later one:
// which way is faster is the host's to say.
var contested = map[string]string{"iouring": "udp"}

// openAuto opens n queues of the first backend that can serve rest, the part of
// a URL behind the scheme.
func openAuto(rest string, n int) ([]Transport, error) {
	urls, notes, err := autoURLs(rest)
	if err != nil {
		return nil, err
	}
	var refusals, absent []error
	for _, name := range autoOrder {
		u, ok := urls[name]
		if !ok {
			_, err := lookup(name)
			absent = append(absent, err)
			continue
		}
		trs, err := OpenQueues(u, n)
		if err == nil {
			err = beaten(name)
		}
		if err == nil {
			for i, tr := range trs {
				trs[i] = chosen{tr, append(refusals, notes[name]...)}
			}
			return trs, nil
		}
		for _, tr := range trs {
			err = errors.Join(err, tr.Close())
		}
		refusals = append(refusals, fmt.Errorf("auto did not take %s: %w", name, err))
	}
	return nil, fmt.Errorf("%w: no backend can serve %s://%s:\n%w", ErrUnavailable, autoName, rest, errors.Join(append(refusals, absent...)...))
}

// autoURLs makes of the rest of an auto URL one for each backend in this program,
// with those keys of the query that it knows, and notes on the others. A key that
// none knows is an error.
func autoURLs(rest string) (urls map[string]string, notes map[string][]error, err error) {
	host, query, _ := strings.Cut(rest, "?")
	given, err := url.ParseQuery(query)
	if err != nil {
		return nil, nil, fmt.Errorf("transport: %s: the query %q is malformed: write key=value&key=value: %w", autoName, query, err)
	}
	urls, notes = map[string]string{}, map[string][]error{}
	unknown := maps.Clone(given)
	var all []string
	for _, name := range autoOrder {
		d, ok := Lookup(name)
		if !ok {
			continue
		}
		known := keys(configFields(reflect.ValueOf(d.Config()).Elem()))
		all = append(all, known...)
		own := url.Values{}
		for _, key := range slices.Sorted(maps.Keys(given)) {
			if slices.Contains(known, key) {
				own[key] = given[key]
				delete(unknown, key)
			} else {
				notes[name] = append(notes[name], fmt.Errorf("auto took %s, which does not have the key %q", name, key))
			}
		}
		urls[name] = name + "://" + host
		if len(own) > 0 {
			urls[name] += "?" + own.Encode()
		}
	}
	slices.Sort(all)
	for _, key := range slices.Sorted(maps.Keys(unknown)) {
		if len(urls) > 0 {
			return nil, nil, unknownKey(autoName, key, slices.Compact(all))
		}
	}
	return urls, notes, nil
}

// beaten says that the backend, which can be had, is no faster here than one that
// auto tries later.
func beaten(name string) error {
	rival, ok := contested[name]
	if !ok {
		return nil
	}
	if _, ok := Lookup(rival); !ok {
		return nil
	}
	own, other, err := race(name, rival)
	switch {
	case err != nil:
		return fmt.Errorf("whether it is faster than %s could not be measured: %w", rival, err)
	case own > other-other/20:
		return fmt.Errorf("it is no faster than %s here: an echo over the loopback took %v against %v (as measured when this program first asked); "+
			"to have it all the same, write %s:// for auto://", rival, own.Round(10*time.Nanosecond), other.Round(10*time.Nanosecond), name)
	}
	return nil
}

// chosen is a Transport that auto took, whose Notes say why it took no other.
type chosen struct {
	Transport
	refusals []error
}

func (c chosen) Caps() Caps {
	caps := c.Transport.Caps()
	var notes []string
	for _, err := range c.refusals {
		notes = append(notes, err.Error())
	}
	caps.Notes = append(notes, caps.Notes...)
	return caps
}

// Dial implements [Dialer].
func (c chosen) Dial(addr netip.AddrPort) (Route, error) { return Dial(c.Transport, addr) }

// BindThread implements [ThreadBinder].
func (c chosen) BindThread() (release func(), err error) { return BindThread(c.Transport) }

// NextUnreachable implements [UnreachableReporter], if the one that was taken does.
func (c chosen) NextUnreachable() (u Unreachable, ok bool) {
	if r, reports := c.Transport.(UnreachableReporter); reports {
		return r.NextUnreachable()
	}
	return u, false
}
